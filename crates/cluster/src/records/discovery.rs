//! Who there is and where, as gateways learn it.

/// All instances of one pod. Field 2 is not used by anybody.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PodDiscoveryInfo {
    /// The pod.
    #[prost(string, tag = "1")]
    pub pod_name: String,
    /// When this was true, in milliseconds since 1970. Readers drop what is too old.
    #[prost(int64, tag = "3")]
    pub timestamp_ms: i64,
    /// One per data-parallel rank that is healthy.
    #[prost(message, repeated, tag = "4")]
    pub instances: Vec<InstanceDiscoveryInfo>,
}

/// One instance of a pod.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InstanceDiscoveryInfo {
    /// `neutral`, `prefill` or `decode`.
    #[prost(string, tag = "1")]
    pub instance_type: String,
    /// Where requests go.
    #[prost(string, tag = "2")]
    pub entrypoint_ip: String,
    /// Its port.
    #[prost(int32, tag = "3")]
    pub entrypoint_port: i32,
    /// Address for KV transfer.
    #[prost(string, tag = "4")]
    pub kv_transfer_ip: String,
    /// Its port.
    #[prost(int32, tag = "5")]
    pub kv_transfer_port: i32,
    /// Data-parallel rank.
    #[prost(int32, tag = "6")]
    pub dp_rank: i32,
    /// Ranks there are.
    #[prost(int32, tag = "7")]
    pub dp_size: i32,
    /// The model it serves.
    #[prost(string, tag = "8")]
    pub model: String,
    /// Grows when the instance starts anew.
    #[prost(int64, tag = "9")]
    pub version: i64,
}
