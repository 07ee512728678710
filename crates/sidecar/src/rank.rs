//! One listener's view: the shared state of the process, and the decoder that the listener belongs to.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coordinator::{Decoder, Failure, Runner};
use http::HeaderMap;
use openai::ErrorKind;
use proxy::Drain;
use telemetry::coordinator::{Connector, Coordinator};

use crate::config::Config;
use crate::headers::DATA_PARALLEL;
use crate::targets::Targets;

/// What all listeners of the process share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) connector: Connector,
    pub(crate) coordinator: Coordinator,
    pub(crate) runner: Runner,
    pub(crate) targets: Targets,
    pub(crate) drain: Drain,
    /// The pods of the pool have been read at least once; true from the start where there is no pool.
    pub(crate) pods_known: AtomicBool,
    /// Every rank's decoder, with the port by which it is addressed from outside.
    pub(crate) decoders: Vec<(u16, Arc<Decoder>)>,
}

impl Shared {
    pub(crate) fn are_pods_known(&self) -> bool {
        self.pods_known.load(Ordering::Relaxed)
    }
}

/// One listener.
pub(crate) struct Rank {
    pub(crate) shared: Arc<Shared>,
    pub(crate) decoder: Arc<Decoder>,
}

impl Rank {
    /// The decoder for a request: this rank's, or the one that `x-data-parallel-host-port` names.
    ///
    /// The header is how gateways address a rank that cannot choose a port; it must name this pod and one of its ranks.
    pub(crate) fn decoder_for(&self, headers: &HeaderMap) -> Result<Arc<Decoder>, Failure> {
        let Some(value) = headers.get(DATA_PARALLEL) else { return Ok(Arc::clone(&self.decoder)) };
        let named = value.to_str().ok().and_then(|text| self.named(text.trim()));
        named.ok_or_else(|| {
            let message = format!("x-data-parallel-host-port {value:?} names no rank of this pod");
            Failure::client(ErrorKind::InvalidRequest, message)
        })
    }

    fn named(&self, text: &str) -> Option<Arc<Decoder>> {
        let (host, port) = text.rsplit_once(':')?;
        let host: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        let port: u16 = port.parse().ok()?;
        let pod = self.shared.config.pod_ip;
        if pod.is_some_and(|pod| pod != host.to_canonical()) {
            return None;
        }
        let found = self.shared.decoders.iter().find(|(known, _)| *known == port);
        found.map(|(_, decoder)| Arc::clone(decoder))
    }
}
