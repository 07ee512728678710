//! What an instance is.

/// What an instance is, as it says itself. Sent again from time to time, since it expires where it lies.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InstanceMetadata {
    /// The engine's id, with `_dp<rank>` where there are ranks.
    #[prost(string, tag = "1")]
    pub instance_id: String,
    /// `neutral`, `prefill` or `decode`.
    #[prost(string, tag = "2")]
    pub instance_type: String,
    /// `vLLM` or `SGLang`.
    #[prost(string, tag = "3")]
    pub backend_type: String,
    /// Where its HTTP server is.
    #[prost(string, tag = "4")]
    pub ip: String,
    /// Under which address the KV store knows it.
    #[prost(string, tag = "5")]
    pub ip_kvs: String,
    /// Port of its HTTP server.
    #[prost(int32, tag = "6")]
    pub api_server_port: i32,
    /// Port of its llumlet.
    #[prost(int32, tag = "7")]
    pub llumlet_port: i32,
    /// Port for KV transfer.
    #[prost(int32, tag = "8")]
    pub kvt_port: i32,
    /// The machine.
    #[prost(string, tag = "9")]
    pub node_id: String,
    /// Data-parallel ranks there are.
    #[prost(int32, tag = "10")]
    pub data_parallel_size: i32,
    /// Accelerators that share one rank.
    #[prost(int32, tag = "11")]
    pub tensor_parallel_size: i32,
    /// What fails together: ranks of one unit.
    #[prost(string, tag = "12")]
    pub unit_id: String,
    /// Its data-parallel rank.
    #[prost(int32, tag = "13")]
    pub dp_rank: i32,
    /// Its expert-parallel rank.
    #[prost(int32, tag = "14")]
    pub ep_rank: i32,
    /// Its data-parallel rank among those of its machine.
    #[prost(int32, tag = "15")]
    pub dp_local_rank: i32,
    /// When the engine started, in seconds since 1970. An engine that comes back under its old id has another.
    #[prost(double, tag = "16")]
    pub utc_create: f64,
    /// When this was written, in seconds since 1970.
    #[prost(double, tag = "17")]
    pub utc_update: f64,
    /// Address for KV transfer.
    #[prost(string, tag = "18")]
    pub ip_kvt: String,
    /// Tokens per KV block.
    #[prost(int32, tag = "19")]
    pub block_size: i32,
    /// Tokens in one step at most.
    #[prost(int32, tag = "20")]
    pub max_num_batched_tokens: i32,
    /// The model it serves; upstream's records do not say, and its readers pass over the field.
    #[prost(string, tag = "100")]
    pub model: String,
}
