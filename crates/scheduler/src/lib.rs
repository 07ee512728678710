//! The scheduler: where each request goes.
//!
//! A gateway asks `POST /schedule` and is told an instance, or a prefill and a decode instance. What that rests on:
//!
//! - [`view`]: the cluster as a decision sees it, an immutable snapshot made from the instances' records;
//! - [`account`]: what is in flight to an instance and not in its status yet (full mode);
//! - [`lrs`]: what gateways report of instances that say nothing of themselves (lite mode);
//! - [`predict`]: what instances' steps take, learnt from their statuses (full mode);
//! - [`prefix`]: how much of a prompt each instance is thought to have in its cache;
//! - [`policy`]: metrics → filters → selector over a snapshot, put together by a file;
//! - [`reschedule`]: which instances should hand requests over to which, over the same snapshot, and the calls that have them do so.
//!
//! All of these are functions of what they are given, the time included; they know no socket and read no clock. Around them:
//! `refresh` keeps the snapshot true, `service` and its handlers speak upstream's HTTP and WebSocket API, `election` decides
//! which of several replicas places requests. A decision takes the current snapshot and waits for nobody.

pub mod account;
mod answer;
pub mod config;
mod election;
mod gateways;
mod keepalive;
mod locality;
pub mod lrs;
pub mod policy;
pub mod predict;
pub mod prefix;
mod refresh;
pub mod reschedule;
mod run;
mod schedule;
mod scrape;
mod service;
mod state;
pub mod view;

pub use config::{Args, Config, Fault, Rescheduling, Source};
pub use locality::PrefixConfig;
pub use run::{Running, StartError, start};

#[cfg(test)]
mod testing;
