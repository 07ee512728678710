//! What a request has been let use, until it is known what it used.

use telemetry::clock;

use super::{Holder, Limits, Rates};

/// A request on an account, and the tokens that are reserved for it there.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) holder: Holder,
    pub(super) reserved: u64,
}

/// The accounts that a request is on: its model's, its key's.
pub(super) type Entries = [Option<Entry>; 2];

/// A request's place on its accounts, and the tokens reserved for it. Dropped, the place is given back and the tokens are
/// settled.
#[derive(Debug)]
pub(crate) struct Grant {
    limits: Limits,
    entries: Entries,
    /// Tokens of the prompt, as far as they were known when it was let in.
    prompt: u64,
    /// Whether an engine may have worked for it.
    begun: bool,
    /// Generated tokens that have passed.
    passed: u64,
    /// Prompt and answer, as the engine counted them.
    counted: Option<u64>,
}

impl Grant {
    pub(super) fn new(limits: Limits, entries: Entries, prompt: u64) -> Self {
        Self { limits, entries, prompt, begun: false, passed: 0, counted: None }
    }

    /// It is on its way to an engine, whose work is charged from here on.
    pub(crate) fn begin(&mut self) {
        self.begun = true;
    }

    /// Nobody served it.
    pub(crate) fn fail(&mut self) {
        self.begun = false;
    }

    /// Generated tokens have passed.
    pub(crate) fn tokens(&mut self, count: u32) {
        self.passed += u64::from(count);
    }

    /// The engine's own count of prompt and answer.
    pub(crate) fn usage(&mut self, prompt: u64, answer: u64) {
        self.counted = Some(prompt.saturating_add(answer));
    }

    /// What its accounts have left.
    pub(crate) fn rates(&self) -> Rates {
        let now = clock::now();
        let mut books = self.limits.books.lock();
        self.holders().for_each(|holder| books.account(holder).advance(now));
        books.rates(self.holders())
    }

    /// The accounts that it is on.
    pub(super) fn holders(&self) -> impl Iterator<Item = &Holder> {
        self.entries.iter().flatten().map(|entry| &entry.holder)
    }

    fn used(&self) -> u64 {
        let seen = self.prompt.saturating_add(self.passed);
        if self.begun { self.counted.unwrap_or(seen) } else { 0 }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.limits.books.lock().settle(&self.entries, self.used(), clock::now());
    }
}
