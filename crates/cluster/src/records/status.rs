//! How an instance is.

/// How an instance is. Its `*_tokens*` fields count KV tokens, its `num_*` and `*_num` fields requests unless they say tokens.
///
/// "Waiting to decode" are requests that need more than their first token; "hybrid" ones are parked in a connector that moves
/// KV; "loading" ones are having theirs loaded.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InstanceStatus {
    /// The engine's id, as in its metadata.
    #[prost(string, tag = "1")]
    pub instance_id: String,
    /// Whether it takes requests.
    #[prost(bool, tag = "2")]
    pub schedulable: bool,
    /// When this was true, in milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub timestamp_ms: i64,
    /// Steps done.
    #[prost(int32, tag = "4")]
    pub step_id: i32,
    /// Counts states; begins anew with the engine.
    #[prost(int32, tag = "5")]
    pub update_id: i32,
    /// Ids of requests that came since the state before.
    #[prost(string, repeated, tag = "6")]
    pub recent_waiting_requests: Vec<String>,
    /// Ids of all requests that wait.
    #[prost(string, repeated, tag = "7")]
    pub waiting_requests: Vec<String>,
    /// Hybrid requests that wait to decode.
    #[prost(int32, tag = "8")]
    pub hybrid_scheduler_waiting_to_decode_requests_num: i32,
    /// Waiting requests that will decode here.
    #[prost(int32, tag = "9")]
    pub scheduler_waiting_to_decode_requests_num: i32,
    /// Waiting requests.
    #[prost(int32, tag = "10")]
    pub num_waiting_requests: i32,
    /// Running requests that decode here, or will.
    #[prost(int32, tag = "11")]
    pub scheduler_running_to_decode_requests_num: i32,
    /// Running requests.
    #[prost(int32, tag = "12")]
    pub num_running_requests: i32,
    /// Loading requests.
    #[prost(int32, tag = "13")]
    pub num_loading_requests: i32,
    /// Tokens that fit.
    #[prost(int32, tag = "14")]
    pub num_total_gpu_tokens: i32,
    /// Tokens of blocks that are not free.
    #[prost(int32, tag = "15")]
    pub num_used_gpu_tokens: i32,
    /// Tokens to compute for hybrid requests that wait for prefill.
    #[prost(int32, tag = "16")]
    pub num_uncomputed_tokens_hybrid_scheduler_waiting_prefills: i32,
    /// Tokens without blocks of hybrid requests that wait to decode.
    #[prost(int32, tag = "17")]
    pub num_unallocated_tokens_hybrid_scheduler_waiting_decodes: i32,
    /// Tokens of hybrid requests that wait to decode.
    #[prost(int32, tag = "18")]
    pub hybrid_scheduler_waiting_to_decode_tokens_num: i32,
    /// Tokens to compute for waiting requests.
    #[prost(int32, tag = "19")]
    pub num_uncomputed_tokens_scheduler_waiting_prefills: i32,
    /// Tokens of waiting requests that will decode here.
    #[prost(int32, tag = "20")]
    pub scheduler_waiting_to_decode_tokens_num: i32,
    /// Tokens still to compute for running requests whose prefill is under way, those of the step under way included.
    #[prost(int32, tag = "21")]
    pub num_uncomputed_tokens_scheduler_running_prefills: i32,
    /// Tokens without blocks of running requests whose prefill is under way.
    #[prost(int32, tag = "22")]
    pub num_unallocated_tokens_scheduler_running_prefills: i32,
    /// Tokens of running requests that decode here, or will.
    #[prost(int32, tag = "23")]
    pub scheduler_running_to_decode_tokens_num: i32,
    /// Tokens of loading requests.
    #[prost(int32, tag = "24")]
    pub num_tokens_loading_requests: i32,
    /// Tokens to compute for all that wait, hybrid ones included.
    #[prost(int32, tag = "25")]
    pub num_uncomputed_tokens_all_waiting_prefills: i32,
    /// Requests migrating in.
    #[prost(int32, tag = "26")]
    pub num_migrate_in_reqs: i32,
    /// Requests migrating out.
    #[prost(int32, tag = "27")]
    pub num_migrate_out_reqs: i32,
    /// Requests that may migrate in besides.
    #[prost(int32, tag = "28")]
    pub num_available_migrate_in_slots: i32,
    /// Requests that may migrate out besides.
    #[prost(int32, tag = "29")]
    pub num_available_migrate_out_slots: i32,
    /// Tokens migrating in.
    #[prost(int32, tag = "30")]
    pub num_migrate_in_tokens: i32,
    /// Tokens migrating out.
    #[prost(int32, tag = "31")]
    pub num_migrate_out_tokens: i32,
    /// Tokens that may migrate in besides.
    #[prost(int32, tag = "32")]
    pub num_available_migrate_in_tokens: i32,
    /// Tokens that may migrate out besides.
    #[prost(int32, tag = "33")]
    pub num_available_migrate_out_tokens: i32,
    /// Share of the KV cache migrating in.
    #[prost(double, tag = "34")]
    pub kv_cache_usage_ratio_migrate_in: f64,
    /// Share of the KV cache migrating out.
    #[prost(double, tag = "35")]
    pub kv_cache_usage_ratio_migrate_out: f64,
    /// Share of the KV cache that may migrate in besides.
    #[prost(double, tag = "36")]
    pub available_kv_cache_usage_ratio_migrate_in: f64,
    /// Share of the KV cache that may migrate out besides.
    #[prost(double, tag = "37")]
    pub available_kv_cache_usage_ratio_migrate_out: f64,
    /// Counts the samples in the two fields below.
    #[prost(int32, tag = "38")]
    pub profiling_id: i32,
    /// What the latest step took, in milliseconds.
    #[prost(double, tag = "39")]
    pub step_duration: f64,
    /// Prompt tokens that were computed in it.
    #[prost(int32, tag = "40")]
    pub num_scheduled_prefill_tokens: i32,
}
