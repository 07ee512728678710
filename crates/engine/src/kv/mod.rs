//! KV between instances: who keeps what for whom, and the wire between them.
//!
//! Real connectors move KV by one-sided reads and talk about it over side channels of their own. Here one line protocol
//! over TCP ([`link`]) does all the talking; the bytes themselves are only waited for. These kinds of conversation exist:
//!
//! - **pull** (vLLM's NIXL connector): the decode instance names the prefill instance's engine and request, waits for
//!   the transfer and says `done`, which frees the blocks there ([`leases`]).
//! - **join** (SGLang): prefill and decode meet in a room at the prefill instance's bootstrap server ([`rooms`]).
//! - **compute** (blade-kvt): the decode instance has the prefill instance compute a prompt, and pulls it then.
//! - **follow**: the instance to which a request has moved says how far it is ([`crate::migrate`]).
//! - **put / get** (LMCache, shared storage): block hashes in a store that one instance serves ([`store`]).

pub(crate) mod client;
pub(crate) mod leases;
pub(crate) mod link;
pub(crate) mod rooms;
pub(crate) mod server;
pub(crate) mod store;

use std::sync::Arc;

/// In place of an engine's name: whoever is asked.
pub(crate) const ANY_ENGINE: &str = "*";

/// Where a request's KV comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A prefill instance that holds it under these names.
    Lease(Lease),
    /// A prefill instance that is computing it.
    Room {
        /// `host:port` of its bootstrap server.
        address: String,
        /// The room agreed on.
        room: u64,
        /// The engine that is expected there; empty is whoever serves the room.
        engine_id: String,
    },
    /// A prefill instance that computes it when it is asked, and then holds it.
    Computed {
        /// Where it is held then.
        lease: Lease,
        /// What is to be computed: a salt, and the prompt's tokens.
        prompt: (u64, Arc<[u32]>),
    },
    /// The shared store; looked up already.
    Store,
}

/// What `kv_transfer_params` of a decode leg name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// `remote_host:remote_port`.
    pub(crate) address: String,
    /// `remote_engine_id`.
    pub(crate) engine_id: String,
    /// `remote_request_id`.
    pub(crate) request_id: String,
}

/// Why KV did not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The other instance could not be talked to.
    #[error("side channel {address}: {source}")]
    Link {
        /// Its address.
        address: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// It answered no.
    #[error("{0}")]
    Refused(String),
    /// It did not answer in time.
    #[error("room {0} timed out")]
    TimedOut(u64),
}

#[cfg(test)]
mod tests;
