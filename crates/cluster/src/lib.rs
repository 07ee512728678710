//! What the parts of a cluster tell each other: which instances there are, how they are, and where a request goes.
//!
//! Everything here is a peer's format, kept to the letter so that either side can be exchanged alone:
//!
//! - [`records`]: the protobuf messages in Redis and etcd (instance metadata and status, discovery) and those of the llumlet's
//!   gRPC service;
//! - [`keys`]: under which names they lie there;
//! - [`api`]: the JSON that gateways and the scheduler exchange;
//! - [`blocks`]: prompts cut into blocks, by which equal beginnings are found;
//! - [`cms`]: where instances say what they are and how they are;
//! - [`discovery`]: which instances there are, for gateways;
//! - [`publication`]: what an instance says of itself, to both.
//!
//! A record that cannot be read is an error that names its key ([`BadRecord`]), and costs that record only.

pub mod api;
pub mod blocks;
pub mod cms;
pub mod discovery;
mod etcd;
pub mod keys;
pub mod publication;
pub mod records;
mod redis;

pub use etcd::{Credentials, EtcdEndpoints};
pub use publication::Publication;
pub use records::BadRecord;
pub use redis::{Redis, RedisConfig, RedisUrlError, StoreError};
