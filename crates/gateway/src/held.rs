//! What a request holds until its last byte, and gives back by being dropped.

use crate::scheduler::Lease;

/// What a request holds.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Its places on schedulers' accounts.
    pub(crate) leases: Vec<Lease>,
}

impl Held {
    /// The request is with its engine, and being answered.
    pub(crate) fn delivered(&mut self) {
        self.leases.iter_mut().for_each(Lease::delivered);
    }

    /// Generated tokens have passed.
    pub(crate) fn tokens(&mut self, count: u32) {
        if count > 0 {
            self.leases.iter_mut().for_each(|lease| lease.tokens(count));
        }
    }
}
