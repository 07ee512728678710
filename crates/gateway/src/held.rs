//! What a request holds until its last byte, and gives back by being dropped.

use openai::Usage;
use telemetry::clock::Moment;

use crate::limits::Grant;
use crate::scheduler::Lease;

/// What a request holds.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Its places on schedulers' accounts.
    pub(crate) leases: Vec<Lease>,
    /// What it may use, where that is limited.
    pub(crate) grant: Option<Grant>,
}

impl Held {
    /// The request is admitted, and on its way to an engine.
    pub(crate) fn admitted(&mut self) {
        self.grant.iter_mut().for_each(Grant::begin);
    }

    /// The request is with its engine, and being answered.
    pub(crate) fn delivered(&mut self) {
        self.leases.iter_mut().for_each(Lease::delivered);
    }

    /// No engine serves the request.
    pub(crate) fn failed(&mut self) {
        self.grant.iter_mut().for_each(Grant::fail);
    }

    /// Generated tokens have passed.
    pub(crate) fn tokens(&mut self, count: u32, now: Moment) {
        if count > 0 {
            self.leases.iter_mut().for_each(|lease| lease.tokens(count, now));
            self.grant.iter_mut().for_each(|grant| grant.tokens(count));
        }
    }

    /// The answer is complete, and the engine may have said what it used. Who has read the end of an answer may count on its
    /// place being free.
    pub(crate) fn complete(&mut self, usage: Option<Usage>) {
        if let (Some(mut grant), Some(usage)) = (self.grant.take(), usage) {
            grant.usage(usage.prompt_tokens, usage.completion_tokens);
        }
    }
}
