//! What the tests of several modules need.

use std::sync::Arc;

use cluster::api::InferType;
use cluster::records::{InstanceMetadata, InstanceStatus};
use telemetry::clock::Moment;

use crate::policy::{Mode, Parameters, Policy, built_in};
use crate::predict::{Decodes, Predictor, PredictorConfig, Prefills};
use crate::view::{ClusterView, Roster};

/// A moment of no significance, in seconds.
pub(crate) fn at(seconds: u64) -> Moment {
    Moment::from_nanos((1 << 51) + seconds * 1_000_000_000)
}

/// That moment as an instance would write it.
pub(crate) fn wall(seconds: u64) -> i64 {
    (at(seconds).unix_nanos() / 1_000_000) as i64
}

pub(crate) fn metadata(id: &str, infer_type: InferType) -> InstanceMetadata {
    InstanceMetadata {
        instance_id: id.to_owned(),
        instance_type: infer_type.to_string(),
        ip: format!("10.0.0.{}", id.len()),
        api_server_port: 8000,
        node_id: format!("node-{id}"),
        unit_id: format!("unit-{id}"),
        data_parallel_size: 1,
        utc_create: 1.0,
        max_num_batched_tokens: 1000,
        ..InstanceMetadata::default()
    }
}

pub(crate) fn status(id: &str, update_id: i32) -> InstanceStatus {
    InstanceStatus {
        instance_id: id.to_owned(),
        schedulable: true,
        timestamp_ms: wall(0) + i64::from(update_id),
        update_id,
        num_total_gpu_tokens: 1000,
        ..InstanceStatus::default()
    }
}

/// A roster of these, each with its status.
pub(crate) fn roster(of: &[(InstanceMetadata, InstanceStatus)]) -> Roster {
    let mut roster = Roster::default();
    roster.metadata(of.iter().map(|(metadata, _)| metadata), at(0));
    roster.statuses(of.iter().map(|(_, status)| status), at(0));
    roster
}

pub(crate) fn view(of: &[(InstanceMetadata, InstanceStatus)]) -> ClusterView {
    roster(of).view()
}

/// The value of a flag of upstream's in full mode.
pub(crate) fn flag(name: &str) -> Option<String> {
    let value = match name {
        "instance-staleness-seconds" => "60",
        "failover-domain" => "instance",
        "dispatch-prefill-cache-locality-metric" => "cache_aware_all_prefills_tokens_num",
        "ttft-slo" => "1000",
        "tpot-slo" => "20",
        "ttft-slo-dispatch-threshold" | "tpot-slo-dispatch-threshold" => "0.5",
        "dispatch-top-k" => "1",
        "dispatch-neutral-load-metric" | "dispatch-prefill-load-metric" => "all_prefills_tokens_num",
        "dispatch-decode-load-metric" => "kv_cache_usage_ratio_projected",
        "dispatch-neutral-load-threshold" => "8192",
        "dispatch-prefill-load-threshold" => "2048",
        "dispatch-decode-load-threshold" => "1.0",
        _ => return None,
    };
    Some(value.to_owned())
}

/// The same in lite mode.
pub(crate) fn lite_flag(name: &str) -> Option<String> {
    match name.strip_prefix("dispatch-") {
        Some(name) if name.ends_with("-load-metric") => Some("num_tokens".to_owned()),
        Some(name) if name.ends_with("-load-threshold") => Some("inf".to_owned()),
        _ => flag(name),
    }
}

pub(crate) fn parse(text: &str) -> Policy {
    Policy::parse(text, Parameters { flag: &flag, seed: 7 }).unwrap()
}

pub(crate) fn policy(name: &str, mode: Mode) -> Policy {
    let flag: &dyn Fn(&str) -> Option<String> = if mode == Mode::Full { &flag } else { &lite_flag };
    Policy::parse(built_in(name, mode).unwrap(), Parameters { flag, seed: 7 }).unwrap()
}

/// Numbers that look random, from 0 to 1, the same at every run.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What knows from a profile that prompts take 0.1 ms a token, and a decode step 1 ms a request.
pub(crate) fn predictor() -> Predictor {
    let prefills = br#"[{"tokens_num": 0, "p50": 0.0}, {"tokens_num": 1000, "p50": 100.0}]"#;
    let decodes = br#"[{"batch_size": 1, "tokens_per_request": 1, "p50": 1.0}, {"batch_size": 2, "tokens_per_request": 1, "p50": 2.0}]"#;
    Predictor::new(&PredictorConfig {
        warmup: 20,
        prefills: Some(Arc::new(Prefills::parse(prefills).unwrap())),
        decodes: Some(Arc::new(Decodes::parse(decodes).unwrap())),
    })
}
