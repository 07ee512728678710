//! What an instance says of itself, as numbers that can be reckoned with.

use cluster::records::InstanceStatus;

use crate::account::Inflight;

/// An instance's status without its lists: small, and beside its neighbours' in memory. Counts below zero are read as zero,
/// and a number that is none as zero too; they cannot be, and must not make an instance look better than idle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Requests that wait.
    pub waiting_requests: i64,
    /// Requests whose KV cache is being loaded.
    pub loading_requests: i64,
    /// Requests that run.
    pub running_requests: i64,
    /// Of the waiting ones, those that will decode here.
    pub scheduler_waiting_to_decode_requests: i64,
    /// Of the running ones, those that decode here.
    pub scheduler_running_to_decode_requests: i64,
    /// Those parked in a hybrid connector.
    pub hybrid_waiting_to_decode_requests: i64,
    /// Room of the KV cache.
    pub total_gpu_tokens: i64,
    /// What of it is used.
    pub used_gpu_tokens: i64,
    /// Prompt tokens of waiting requests that are not computed.
    pub uncomputed_all_waiting_prefills: i64,
    /// The same of running requests.
    pub uncomputed_running_prefills: i64,
    /// Prompt tokens of running requests that have no blocks yet.
    pub unallocated_running_prefills: i64,
    /// Tokens of parked requests that have no blocks yet.
    pub unallocated_hybrid_waiting_decodes: i64,
    /// Tokens of parked requests.
    pub hybrid_waiting_to_decode_tokens: i64,
    /// Tokens of waiting requests that will decode here.
    pub scheduler_waiting_to_decode_tokens: i64,
    /// Tokens of requests that decode here.
    pub scheduler_running_to_decode_tokens: i64,
    /// Tokens of requests being loaded.
    pub loading_tokens: i64,
    /// What the latest step took, milliseconds; 0 where there was none.
    pub step_ms: f64,
}

impl Load {
    /// The numbers of a status.
    #[must_use]
    pub fn of(status: &InstanceStatus) -> Self {
        let count = |number: i32| i64::from(number.max(0));
        Self {
            waiting_requests: count(status.num_waiting_requests),
            loading_requests: count(status.num_loading_requests),
            running_requests: count(status.num_running_requests),
            scheduler_waiting_to_decode_requests: count(status.scheduler_waiting_to_decode_requests_num),
            scheduler_running_to_decode_requests: count(status.scheduler_running_to_decode_requests_num),
            hybrid_waiting_to_decode_requests: count(status.hybrid_scheduler_waiting_to_decode_requests_num),
            total_gpu_tokens: count(status.num_total_gpu_tokens),
            used_gpu_tokens: count(status.num_used_gpu_tokens),
            uncomputed_all_waiting_prefills: count(status.num_uncomputed_tokens_all_waiting_prefills),
            uncomputed_running_prefills: count(status.num_uncomputed_tokens_scheduler_running_prefills),
            unallocated_running_prefills: count(status.num_unallocated_tokens_scheduler_running_prefills),
            unallocated_hybrid_waiting_decodes: count(status.num_unallocated_tokens_hybrid_scheduler_waiting_decodes),
            hybrid_waiting_to_decode_tokens: count(status.hybrid_scheduler_waiting_to_decode_tokens_num),
            scheduler_waiting_to_decode_tokens: count(status.scheduler_waiting_to_decode_tokens_num),
            scheduler_running_to_decode_tokens: count(status.scheduler_running_to_decode_tokens_num),
            loading_tokens: count(status.num_tokens_loading_requests),
            step_ms: Some(status.step_duration).filter(|ms| ms.is_finite() && *ms > 0.0).unwrap_or(0.0),
        }
    }

    /// Share of the KV cache that is used, or will be by what waits here and by what is on its way to decode here; absent
    /// where the cache's size is not known.
    #[must_use]
    pub fn kv_usage_projected(&self, inflight: &Inflight) -> Option<f64> {
        let tokens = self.used_gpu_tokens
            + self.uncomputed_all_waiting_prefills
            + self.unallocated_running_prefills
            + self.unallocated_hybrid_waiting_decodes
            + inflight.decode_tokens;
        (self.total_gpu_tokens > 0).then(|| tokens as f64 / self.total_gpu_tokens as f64)
    }

    /// Requests that decode, or will next.
    #[must_use]
    pub fn decode_batch_size(&self, inflight: &Inflight) -> i64 {
        self.hybrid_waiting_to_decode_requests
            + self.loading_requests
            + self.scheduler_waiting_to_decode_requests
            + self.scheduler_running_to_decode_requests
            + inflight.decode_requests
    }

    /// Prompt tokens that are still to be computed.
    #[must_use]
    pub fn all_prefills_tokens(&self, inflight: &Inflight) -> i64 {
        self.uncomputed_all_waiting_prefills + self.uncomputed_running_prefills + inflight.prefill_tokens
    }

    /// Tokens of the requests that decode, or will.
    #[must_use]
    pub fn all_decodes_tokens(&self, inflight: &Inflight) -> i64 {
        self.hybrid_waiting_to_decode_tokens
            + self.scheduler_waiting_to_decode_tokens
            + self.scheduler_running_to_decode_tokens
            + self.loading_tokens
            + inflight.decode_tokens
    }

    /// Whether its status shows any request.
    #[must_use]
    pub const fn has_requests(&self) -> bool {
        self.waiting_requests + self.loading_requests + self.running_requests > 0
    }

    /// Requests altogether. One in flight to a neutral instance is one, though it is in flight to prefill and to decode.
    #[must_use]
    pub fn requests(&self, inflight: &Inflight) -> i64 {
        self.waiting_requests + self.loading_requests + self.running_requests + inflight.requests
    }
}
