//! The scraper: asks targets for their metrics, at regular times, and keeps what they say.
//!
//! Each target has a loop of its own, so one that hangs or sends garbage delays nobody else; its answer is bounded in time
//! and size, and what became of it is in `up` and in `/api/v1/targets`. A series that is not there any more is marked as
//! ended, so that nobody draws its last value on.

mod discovery;
mod fetch;
mod page;
mod target;
mod targets;

pub use discovery::Discovery;
pub use target::{Health, ScrapeTarget, TargetError};
pub use targets::{Targets, Timing};

#[cfg(test)]
mod tests;
