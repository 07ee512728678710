//! What the tests of a whole deployment send to it.

use std::net::SocketAddr;
use std::time::Duration;

use audit::load::{Arrivals, Limit, Load, Target};
use audit::workload::{Lengths, Prompts, Share, Workload};
use fleet::MODEL;

/// A bit of everything; some clients leave in the middle of their stream.
pub(crate) fn mixed(seed: u64) -> Workload {
    Workload {
        seed,
        model: MODEL.to_owned(),
        prompts: Prompts::Made(Lengths::Uniform(8, 100)),
        output: Lengths::Uniform(6, 12),
        chat: Share::of(0.5),
        stream: Share::of(0.75),
        usage: Share::of(0.5),
        cancel_before_first: Share::NONE,
        cancel_within: Duration::from_millis(60),
        cancel_mid_stream: Share::of(0.1),
        inject: Vec::new(),
    }
}

/// So many requests by so many clients, who send their next one as soon as the last has ended.
pub(crate) fn closed(gateway: SocketAddr, workload: Workload, clients: usize, requests: u64) -> Load {
    Load {
        target: Target::of(gateway),
        nonce: workload.seed,
        workload,
        arrivals: Arrivals::Closed { clients, ramp: Duration::from_millis(10) },
        limit: Limit { requests, time: Duration::from_secs(3600) },
        timeout: Duration::from_secs(20),
        echo: None,
        quiet: true,
    }
}
