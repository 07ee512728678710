//! What a server and a recorder tell each other of one client's connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::clock::{Moment, now};

/// A client's connection. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Peer(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Raw nanoseconds of a [`Moment`]; 0 while the client is there.
    left: AtomicU64,
    followed: AtomicBool,
}

impl Peer {
    /// The client is found to have closed the connection. Only the first call counts.
    pub fn note_left(&self) {
        // Whoever comes second finds the first one's moment, and leaves it.
        let _ = self.0.left.compare_exchange(0, now().as_nanos(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// When it was found to have closed the connection.
    pub fn left(&self) -> Option<Moment> {
        match self.0.left.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Moment::from_nanos(nanos)),
        }
    }

    /// The next write is to be followed until it has left the kernel.
    pub fn follow_next_write(&self) {
        self.0.followed.store(true, Ordering::Relaxed);
    }

    /// Whether the write that was just made is one to follow; asked once for each write.
    pub fn is_followed(&self) -> bool {
        self.0.followed.load(Ordering::Relaxed) && self.0.followed.swap(false, Ordering::Relaxed)
    }
}
