//! HTTP plumbing between sockets and the components: a server, a client, and the bodies that flow between them.
//!
//! Everything a component measures hangs on two promises made here:
//!
//! - **Ends are reported once, with their reason.** [`observe::Observed`] tells its observer of every frame and, exactly
//!   once, how the stream ended, also when nobody polls it any more.
//! - **Leaving is felt at once.** A handler's future and its response body are dropped when the client goes; a client call
//!   or body that is dropped closes its upstream connection in the same instant, since HTTP/1 connections are driven by
//!   the very task that uses them ([`client`] argues why).
//!
//! What is deliberately absent: routing, metrics, JSON, retries of answered requests. The crate knows HTTP and sockets only.

pub mod body;
pub mod client;
pub mod drain;
pub mod egress;
pub mod grpc;
pub mod headers;
mod io;
pub mod observe;
pub mod server;
pub mod tls;

pub use body::{Body, BoxError};
pub use client::{Client, ClientConfig, ClientError, Target};
pub use drain::{Drain, DrainReport};
pub use egress::EgressWatch;
pub use observe::{End, Observe, Observed};
pub use server::{ConnInfo, Listener, ListenerConfig};
