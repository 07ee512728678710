//! The request timeline: points in, durations out, in integer nanoseconds.
//!
//! Pure types without a clock. Their invariant, held by property tests: the parts of a total add up to it exactly, for
//! every order of points that a request can produce; and what was not measured is absent, never zero. Definitions:
//! `design/latency.md`.

mod coordinator;
mod gateway;

pub use coordinator::{CoordinatorNumbers, CoordinatorPoints, KvTransfer, Legs};
pub use gateway::{Component, GatewayPoints, TtftParts, UpstreamParts};

#[cfg(test)]
mod tests;
