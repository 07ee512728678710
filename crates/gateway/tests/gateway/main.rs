//! The gateway from outside: real sockets, a hand-driven engine on one side, a client that sees every byte on the other.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it does not expect has failed")]
#![expect(unreachable_pub, reason = "the support modules read like the library they are to the tests")]

mod access;
mod admin;
mod apis;
mod bodies;
mod clients;
mod counts;
mod disagg;
mod discovering;
mod forwarding;
mod lifecycle;
mod limits;
mod mirror;
mod queueing;
mod relaying;
mod retries;
mod scheduling;
mod staged;
mod support;
mod timing;
mod traffic;
mod upstream_faults;
mod usage;
