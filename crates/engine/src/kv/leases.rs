//! What a prefill instance keeps for decode instances, by the names it gave out (vLLM's NIXL connector).
//!
//! A lease ends when it is pulled or when the abort time-out passes. What a second pull meets differs, as on a real
//! pair: memory that was pulled before is read again without an error (one-sided reads ask nobody), and the prefill
//! instance merely counts a notification for a request it no longer tracks; a lease that timed out, or never was, fails.

use crate::core::RequestId;
use std::collections::{HashMap, VecDeque};

/// Pulled leases that are remembered.
const REMEMBERED: usize = 4096;

/// The table of leases.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    live: HashMap<String, RequestId>,
    names: HashMap<RequestId, String>,
    pulled: VecDeque<String>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Blocks are held.
    Live(RequestId),
    /// Blocks were held and have been pulled.
    Pulled,
    /// No blocks.
    Unknown,
}

impl Leases {
    /// Remembers that the finished request `id` holds its blocks under `name`.
    pub(crate) fn grant(&mut self, name: &str, id: RequestId) {
        self.live.insert(name.to_owned(), id);
        self.names.insert(id, name.to_owned());
    }

    /// What `name` stands for.
    pub(crate) fn standing(&self, name: &str) -> Standing {
        match self.live.get(name) {
            Some(id) => Standing::Live(*id),
            None if self.pulled.iter().any(|pulled| pulled == name) => Standing::Pulled,
            None => Standing::Unknown,
        }
    }

    /// Ends a lease because it was pulled. None when it had ended before.
    pub(crate) fn pulled(&mut self, name: &str) -> Option<RequestId> {
        let id = self.live.remove(name)?;
        self.names.remove(&id);
        if self.pulled.len() == REMEMBERED {
            self.pulled.pop_front();
        }
        self.pulled.push_back(name.to_owned());
        Some(id)
    }

    /// Ends a lease that is not to be pulled any more, if it is there.
    pub(crate) fn revoke(&mut self, name: &str) {
        if let Some(id) = self.live.remove(name) {
            self.names.remove(&id);
        }
    }

    /// Ends the leases of `ids` because nobody pulled them.
    pub(crate) fn expired(&mut self, ids: &[RequestId]) {
        for name in ids.iter().filter_map(|id| self.names.remove(id)) {
            self.live.remove(&name);
        }
    }

    /// Leases that have not ended.
    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }
}
