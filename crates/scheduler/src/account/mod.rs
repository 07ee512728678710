//! What is in flight to an instance: dispatched, and not yet in the status that the instance writes.
//!
//! Between a placement and the moment the engine's own numbers show it lies a refresh interval, in which a hundred more may
//! be placed. Each instance has an account of its own, so that two placements on different instances never meet. Decisions
//! read the sums, which are atomics; only entering and settling a request takes the instance's lock.
//!
//! Every entry is settled: by a status that lists the request, by a release, by the instance's restart or end, or by its age.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cluster::api::InferType;
use parking_lot::Mutex;
use telemetry::clock::Moment;

use crate::lrs::MOST_TOKENS;

#[cfg(test)]
mod tests;

/// The sums of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inflight {
    /// Requests, each once.
    pub requests: i64,
    /// Of these, those whose prompt will be computed there.
    pub prefill_requests: i64,
    /// Of these, those that will decode there.
    pub decode_requests: i64,
    /// Prompt tokens to be computed there.
    pub prefill_tokens: i64,
    /// Tokens that will need room to decode there.
    pub decode_tokens: i64,
}

/// An instance's account.
#[derive(Debug, Default)]
pub struct Account {
    requests: AtomicI64,
    prefill_requests: AtomicI64,
    decode_requests: AtomicI64,
    prefill_tokens: AtomicI64,
    decode_tokens: AtomicI64,
    entries: Mutex<HashMap<Box<str>, Entry>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    infer_type: InferType,
    tokens: i64,
    /// Those of the prompt that need not be computed.
    cached: i64,
    placed: Moment,
}

impl Account {
    /// Enters a placed request. One that is there already is placed anew: it counts once.
    pub fn enter(&self, id: &str, infer_type: InferType, prompt_tokens: u64, now: Moment) {
        let tokens = i64::try_from(prompt_tokens.min(MOST_TOKENS)).unwrap_or(0);
        let entry = Entry { infer_type, tokens, cached: 0, placed: now };
        let mut entries = self.entries.lock();
        let before = entries.insert(id.into(), entry);
        self.add(entry, 1);
        if let Some(before) = before {
            self.add(before, -1);
        }
    }

    /// So many tokens of an entered request's prompt are in the instance's cache, and will not be computed.
    pub fn cached(&self, id: &str, tokens: u64) {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(id) else {
            return;
        };
        self.add(*entry, -1);
        entry.cached = i64::try_from(tokens).unwrap_or(i64::MAX).min(entry.tokens);
        self.add(*entry, 1);
    }

    /// Takes a request out; says whether it was there.
    pub fn release(&self, id: &str) -> bool {
        let mut entries = self.entries.lock();
        let removed = entries.remove(id);
        if let Some(entry) = removed {
            self.add(entry, -1);
        }
        removed.is_some()
    }

    /// Takes out the requests that a status lists, under whatever form of their id the engine uses.
    pub fn reconcile<'a>(&self, listed: impl IntoIterator<Item = &'a str>) {
        let mut entries = self.entries.lock();
        if entries.is_empty() {
            return;
        }
        for listed in listed {
            if let Some(entry) = forms(listed).find_map(|id| entries.remove(id)) {
                self.add(entry, -1);
            }
        }
    }

    /// Takes out what was placed longer than `patience` ago: it will not come any more. Says how many there were.
    pub fn expire(&self, now: Moment, patience: Duration) -> usize {
        let mut entries = self.entries.lock();
        let before = entries.len();
        entries.retain(|_, entry| {
            let stays = now - entry.placed <= patience;
            if !stays {
                self.add(*entry, -1);
            }
            stays
        });
        before - entries.len()
    }

    /// Takes out everything: the instance has started anew.
    pub fn clear(&self) {
        let mut entries = self.entries.lock();
        for (_, entry) in entries.drain() {
            self.add(entry, -1);
        }
    }

    /// The sums as they are now, without a lock; each is right, though a placement may show in one and not yet in another.
    #[must_use]
    pub fn read(&self) -> Inflight {
        Inflight {
            requests: self.requests.load(Ordering::Relaxed),
            prefill_requests: self.prefill_requests.load(Ordering::Relaxed),
            decode_requests: self.decode_requests.load(Ordering::Relaxed),
            prefill_tokens: self.prefill_tokens.load(Ordering::Relaxed),
            decode_tokens: self.decode_tokens.load(Ordering::Relaxed),
        }
    }

    /// The sums of one instant, which belong together; what a scrape shows.
    #[must_use]
    pub fn exact(&self) -> Inflight {
        let _entries = self.entries.lock();
        self.read()
    }

    /// Called with the entries' lock held, so that sums and entries agree.
    fn add(&self, entry: Entry, sign: i64) {
        let (prefills, decodes) = match entry.infer_type {
            InferType::Neutral => (sign, sign),
            InferType::Prefill => (sign, 0),
            InferType::Decode => (0, sign),
        };
        self.requests.fetch_add(sign, Ordering::Relaxed);
        self.prefill_requests.fetch_add(prefills, Ordering::Relaxed);
        self.decode_requests.fetch_add(decodes, Ordering::Relaxed);
        self.prefill_tokens.fetch_add(prefills * (entry.tokens - entry.cached), Ordering::Relaxed);
        self.decode_tokens.fetch_add(decodes * entry.tokens, Ordering::Relaxed);
    }
}

/// What engines put before a request's id to make it their own, by API.
const PREFIXES: [&str; 5] = ["chatcmpl-", "cmpl-", "embd-", "msg_", "resp_"];

/// What a request's id may have been before an engine made it its own, the likeliest first.
fn forms(listed: &str) -> impl Iterator<Item = &str> {
    let bare = PREFIXES.iter().find_map(|prefix| listed.strip_prefix(prefix));
    // vLLM may put both behind it: an index, and then a word.
    let shorter = std::iter::successors(Some(bare.unwrap_or(listed)), |id| without_tail(id)).take(3);
    shorter.chain(bare.map(|_| listed))
}

/// The id without what vLLM puts behind it: the index of one of several prompts, or a random word. Whatever else stands behind
/// the last dash is the client's own.
fn without_tail(id: &str) -> Option<&str> {
    let at = id.rfind(['+', '-'])?;
    let tail = id.get(at + 1..)?;
    let is_index = (1..=4).contains(&tail.len()) && tail.bytes().all(|byte| byte.is_ascii_digit());
    let is_word = tail.len() == 8 && tail.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_engines = id.as_bytes().get(at) == Some(&b'+') || is_index || is_word;
    id.get(..at).filter(|_| is_engines)
}
