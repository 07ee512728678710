//! A scheduler over real sockets.
#![allow(clippy::unwrap_used, reason = "tests, their helpers included")]

mod api;
mod discovery;
mod election;
mod faults;
mod lite;
mod metrics;
<<<<<<< HEAD
mod prefix;
=======
mod rescheduling;
>>>>>>> 72074fc (scheduler: rescheduling over llumlets, beside placing or in a process of its own; the demo has an engine hand its requests over)
mod support;
