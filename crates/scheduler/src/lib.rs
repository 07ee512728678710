//! The scheduler: where each request goes.
//!
//! - [`view`]: the cluster as a decision sees it, an immutable snapshot made from the instances' records;
//! - [`account`]: what is in flight to an instance and not in its status yet (full mode);
//! - [`lrs`]: what gateways report of instances that say nothing of themselves (lite mode);
//! - [`policy`]: metrics → filters → selector over a snapshot, put together by a file.
//!
//! All of it is a function of what it is given, the time included; nothing here knows a socket or reads a clock.

pub mod account;
pub mod lrs;
pub mod policy;
pub mod view;

#[cfg(test)]
mod testing;
