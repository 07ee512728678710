//! Spans: what is kept of them, where, and for how long.
//!
//! Spans arrive in [`Block`]s of about a thousand, in the order in which they came. A block holds everything its spans refer
//! to, so that the oldest one can be dropped whole when there is no more room. Beside the blocks there is one index from a
//! trace to its spans. Age is counted from a span's arrival, not from what its sender's clock said: a sender with a wrong
//! clock cannot make others' spans disappear, nor its own immortal.

pub mod block;
mod ingest;
mod limits;
mod log;
pub mod model;
mod render;
mod store;
mod tags;

pub use block::Block;
pub use ingest::Accepted;
pub use limits::{Limits, SpanLimits};
pub use log::SpanLog;
pub use render::trace_data;
pub use store::{SpanStore, Stats, Stored};
pub use tags::{TagScope, tag_names};

#[cfg(test)]
mod tests;
