//! Prefill/decode protocols, sans IO: what each leg of a request says, and what goes from one leg into the other.
//!
//! A [`Protocol`] is a value that *plans*. It is given the client's body and the prefill host that was chosen, and
//! answers with a [`Plan`]: which legs there are, in which order, and the bytes of each. It owns no socket and no clock,
//! so the coordinator in the sidecar and the one in the gateway share it, and every rule here is tested without either.
//!
//! Three things are the same in every protocol:
//!
//! - **Bodies are edited in place.** A leg is the client's bytes with some members set or removed; number text, order and
//!   everything nobody planned to change stay as they were. "Restoring" what the prefill leg changed is therefore
//!   nothing to do at all: the decode leg starts again from the client's bytes.
//! - **A client names no hosts.** [`hosts::strip`] removes the members by which an engine is told to connect somewhere, on
//!   every path, planned or not. A peer may do this only where it disaggregates; then a request without a prefill
//!   header reaches the engine with a remote host of the client's choice.
//! - **What an engine hands over is opaque.** `kv_transfer_params` goes from the prefill response into the decode leg byte for
//!   byte: fields that a later engine adds need no release of ours.

pub mod bootstrap;
mod cached_tokens;
pub mod hosts;
mod limits;
mod peer;
mod plan;
mod probe;
mod protocol;

pub use cached_tokens::CachedTokens;
pub use peer::{Meeting, Peer, Room};
pub use plan::{Concurrent, Handover, HandoverError, Plan, PlanError, Serial};
pub use probe::{Probe, Verdict};
pub use protocol::{DEFAULT_BOOTSTRAP_PORT, Order, Protocol, ProtocolError};
