//! What an instance says of itself to schedulers and gateways: into the CMS what it is and how it is, into discovery where it
//! is. The flags, the ids and the tasks are the same for an engine that knows its own state and for an agent beside one.

mod args;

use std::sync::Arc;
use std::time::Duration;

use proxy::Drain;
use tokio::sync::Notify;

use crate::api::InferType;
use crate::cms::{Publisher, Reporter, Store};
use crate::discovery::{Announcer, Registry};
use crate::keys;
use crate::records::{InstanceDiscoveryInfo, InstanceMetadata, PodDiscoveryInfo};

pub use args::{PublishArgs, PublishFault, host_and_port};

/// What to say, and where.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The CMS, where there is one.
    pub cms: Option<Store>,
    /// Discovery, where there is one.
    pub registry: Option<Registry>,
    /// The engine's id; data-parallel ranks share it.
    pub instance_id: String,
    /// What fails together.
    pub unit_id: String,
    /// The machine.
    pub node_id: String,
    /// Data-parallel rank.
    pub dp_rank: u16,
    /// Ranks there are.
    pub dp_size: u16,
    /// Where requests are sent, if not to the instance itself: the sidecar in front of it.
    pub endpoint: Option<(String, u16)>,
    /// Statuses are this far apart at least.
    pub push_interval: Duration,
    /// How often the discovery record is written again.
    pub announce_interval: Duration,
}

/// Rung when something else is to be said.
#[derive(Clone, Debug, Default)]
pub struct Bells {
    /// The status is another.
    pub status: Arc<Notify>,
    /// The discovery record is another.
    pub record: Arc<Notify>,
}

impl Publication {
    /// The id that records in the CMS bear.
    #[must_use]
    pub fn id(&self) -> String {
        match self.dp_size {
            0 | 1 => self.instance_id.clone(),
            _ => keys::rank_id(&self.instance_id, i32::from(self.dp_rank)),
        }
    }

    /// Metadata with what is said here filled in.
    #[must_use]
    pub fn metadata(&self, infer_type: InferType) -> InstanceMetadata {
        let (ip, port) = self.endpoint.clone().unwrap_or_default();
        InstanceMetadata {
            instance_id: self.id(),
            instance_type: infer_type.as_str().to_owned(),
            ip,
            api_server_port: i32::from(port),
            node_id: self.node_id.clone(),
            data_parallel_size: i32::from(self.dp_size),
            tensor_parallel_size: 1,
            unit_id: self.unit_id.clone(),
            dp_rank: i32::from(self.dp_rank),
            dp_local_rank: i32::from(self.dp_rank),
            ..InstanceMetadata::default()
        }
    }

    /// A discovery record with what is said here filled in.
    #[must_use]
    pub fn info(&self, infer_type: InferType) -> InstanceDiscoveryInfo {
        let (entrypoint_ip, port) = self.endpoint.clone().unwrap_or_default();
        InstanceDiscoveryInfo {
            instance_type: infer_type.as_str().to_owned(),
            entrypoint_ip,
            entrypoint_port: i32::from(port),
            dp_rank: i32::from(self.dp_rank),
            dp_size: i32::from(self.dp_size),
            ..InstanceDiscoveryInfo::default()
        }
    }

    /// Publishes until `drain` begins, then takes everything back. Where `info` says nothing, the instance is not to be sent to,
    /// and is not announced.
    pub fn start(
        self,
        reporter: impl Reporter,
        mut info: impl FnMut() -> Option<InstanceDiscoveryInfo> + Send + 'static,
        bells: Bells,
        drain: &Drain,
    ) {
        if let Some(store) = self.cms {
            let publisher = Publisher { store, changes: bells.status, min_interval: self.push_interval };
            drain.spawn(publisher.run(reporter, drain.clone()));
        }
        if let Some(registry) = self.registry {
            // Each rank has a record of its own: it is written by a process of its own.
            let pod = match self.dp_size {
                0 | 1 => self.instance_id,
                _ => format!("{}-r{}", self.instance_id, self.dp_rank),
            };
            let record = {
                let pod_name = pod.clone();
                move || {
                    let instances = vec![info()?];
                    Some(PodDiscoveryInfo { pod_name: pod_name.clone(), timestamp_ms: 0, instances })
                }
            };
            let announcer = Announcer { registry, pod, interval: self.announce_interval, changes: bells.record };
            drain.spawn(announcer.run(record, drain.clone()));
        }
    }
}
