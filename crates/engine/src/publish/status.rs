//! The core's load as a CMS status.

use crate::core::Load;
use crate::engine::Engine;
use cluster::cms::Reporter;
use cluster::records::{InstanceMetadata, InstanceStatus};
use std::sync::Arc;
use telemetry::clock;

/// Counts what it reports.
pub(super) struct Status {
    metadata: InstanceMetadata,
    engine: Arc<Engine>,
    update_id: i32,
    timestamp_ms: i64,
}

impl Status {
    pub(super) fn new(metadata: InstanceMetadata, engine: Arc<Engine>) -> Self {
        Self { metadata, engine, update_id: 0, timestamp_ms: 0 }
    }
}

impl Reporter for Status {
    fn metadata(&mut self) -> InstanceMetadata {
        self.metadata.clone()
    }

    fn status(&mut self) -> InstanceStatus {
        let snapshot = self.engine.instance.snapshot();
        // After the snapshot: what is in it was true by then. Readers ignore a status that is not newer than the last.
        let now_ms = i64::try_from(clock::now().unix_nanos() / 1_000_000).unwrap_or(i64::MAX);
        self.timestamp_ms = now_ms.max(self.timestamp_ms + 1);
        self.update_id = self.update_id.wrapping_add(1).max(1);
        InstanceStatus {
            instance_id: self.metadata.instance_id.clone(),
            schedulable: self.engine.is_schedulable(),
            timestamp_ms: self.timestamp_ms,
            update_id: self.update_id,
            recent_waiting_requests: snapshot.recent,
            waiting_requests: snapshot.waiting,
            ..counts(&snapshot.load)
        }
    }
}

/// The numbers. Nothing here is parked outside the scheduler ("hybrid"): requests whose KV is on its way are "loading".
fn counts(load: &Load) -> InstanceStatus {
    let (step_duration, prefill_tokens) = load.last_step.unwrap_or_default();
    InstanceStatus {
        step_id: int(load.steps),
        scheduler_waiting_to_decode_requests_num: int(load.waiting_to_decode.requests),
        scheduler_waiting_to_decode_tokens_num: int(load.waiting_to_decode.tokens),
        num_waiting_requests: int(load.waiting.requests),
        scheduler_running_to_decode_requests_num: int(load.running_to_decode.requests),
        scheduler_running_to_decode_tokens_num: int(load.running_to_decode.tokens),
        num_running_requests: int(load.running.requests),
        num_loading_requests: int(load.loading.requests),
        num_tokens_loading_requests: int(load.loading.tokens),
        num_migrate_out_reqs: int(load.away.requests),
        num_migrate_out_tokens: int(load.away.tokens),
        num_total_gpu_tokens: int(load.total_tokens),
        num_used_gpu_tokens: int(load.used_tokens),
        num_uncomputed_tokens_scheduler_waiting_prefills: int(load.uncomputed_waiting),
        num_uncomputed_tokens_all_waiting_prefills: int(load.uncomputed_waiting),
        num_uncomputed_tokens_scheduler_running_prefills: int(load.uncomputed_running),
        num_unallocated_tokens_scheduler_running_prefills: int(load.unallocated_running),
        profiling_id: int(load.steps),
        step_duration: step_duration.as_secs_f64() * 1e3,
        num_scheduled_prefill_tokens: int(prefill_tokens),
        ..InstanceStatus::default()
    }
}

/// The record's numbers have 32 bits.
fn int(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
