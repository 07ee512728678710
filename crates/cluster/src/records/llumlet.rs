//! Messages of the gRPC service `llumlet.Llumlet`, by which requests migrate between engines.

/// The service's methods, as gRPC writes them in a request's path.
pub mod method {
    /// [`MigrateRequest`](super::MigrateRequest) → [`MigrateResponse`](super::MigrateResponse).
    pub const MIGRATE: &str = "/llumlet.Llumlet/Migrate";
    /// [`AbortRequests`](super::AbortRequests) → [`AbortResponse`](super::AbortResponse).
    pub const ABORT: &str = "/llumlet.Llumlet/Abort";
    /// [`MigrateInRequest`](super::MigrateInRequest) → [`MigrateInResponse`](super::MigrateInResponse).
    pub const MIGRATE_IN: &str = "/llumlet.Llumlet/MigrateIn";
    /// [`AbortMigrateInRequest`](super::AbortMigrateInRequest) → [`AbortResponse`](super::AbortResponse).
    pub const ABORT_MIGRATE_IN: &str = "/llumlet.Llumlet/AbortMigrateIn";
    /// [`InstanceStatus`](crate::records::InstanceStatus) → [`PushInstanceStatusResponse`](super::PushInstanceStatusResponse).
    pub const PUSH_INSTANCE_STATUS: &str = "/llumlet.Llumlet/PushInstanceStatus";
}

/// Asks an engine to hand requests over to another.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MigrateRequest {
    /// Instance id of the engine that is asked.
    #[prost(string, tag = "1")]
    pub src_engine_id: String,
    /// Instance id of the engine that shall have them.
    #[prost(string, tag = "2")]
    pub dst_engine_id: String,
    /// Where its llumlet is.
    #[prost(string, tag = "3")]
    pub dst_engine_ip: String,
    /// Its port.
    #[prost(int32, tag = "4")]
    pub dst_engine_port: i32,
    /// What `migration_value` counts: `NUM_REQ`, `TOKEN` or `RATIO`.
    #[prost(string, tag = "5")]
    pub migration_type: String,
    /// Which requests first: `LCR`, `FCR`, `LR`, `SR`, `FCW` or `FCWSR`.
    #[prost(string, tag = "6")]
    pub migration_req_policy: String,
    /// How much.
    #[prost(oneof = "MigrationValue", tags = "7, 8, 9")]
    pub migration_value: Option<MigrationValue>,
    /// Which rescheduling policy asks.
    #[prost(string, tag = "10")]
    pub trigger_policy: String,
}

/// How much a [`MigrateRequest`] asks for.
#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub enum MigrationValue {
    /// Requests; −1 is all of them.
    #[prost(int64, tag = "7")]
    NumReqs(i64),
    /// Tokens.
    #[prost(int64, tag = "8")]
    NumTokens(i64),
    /// A share of the KV cache.
    #[prost(float, tag = "9")]
    KvCacheUsageRatio(f32),
}

/// Whether requests were handed over.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MigrateResponse {
    /// All went well.
    #[prost(bool, tag = "1")]
    pub success: bool,
    /// What did not.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// Gives requests up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AbortRequests {
    /// Which.
    #[prost(string, repeated, tag = "1")]
    pub request_ids: Vec<String>,
}

/// Whether they were given up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AbortResponse {
    /// All went well.
    #[prost(bool, tag = "1")]
    pub success: bool,
    /// What did not.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// Hands one request over, from engine to engine.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MigrateInRequest {
    /// The request, in the engine's own form.
    #[prost(bytes = "vec", tag = "1")]
    pub serialized_migrate_req: Vec<u8>,
    /// Which form.
    #[prost(string, tag = "2")]
    pub serialization_format: String,
}

/// Whether it was taken.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MigrateInResponse {
    /// It was.
    #[prost(bool, tag = "1")]
    pub success: bool,
    /// Why not.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// Takes a handing over back.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AbortMigrateInRequest {
    /// Of which requests.
    #[prost(string, repeated, tag = "1")]
    pub request_ids: Vec<String>,
    /// Where they were going.
    #[prost(string, tag = "2")]
    pub migrate_in_ip_address: String,
    /// Its port.
    #[prost(int32, tag = "3")]
    pub migrate_in_port: i32,
}

/// Whether a status was taken.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PushInstanceStatusResponse {
    /// It was.
    #[prost(bool, tag = "1")]
    pub success: bool,
    /// Why not.
    #[prost(string, tag = "2")]
    pub message: String,
}
