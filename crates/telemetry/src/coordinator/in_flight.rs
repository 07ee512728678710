//! Requests that have not ended, for whoever must know of them sooner than the engine's own metrics say.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::clock::{self, Moment};

/// A request that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InFlight {
    /// The id that both legs carry.
    #[serde(serialize_with = "as_text")]
    pub id: Arc<str>,
    /// How long ago it came, in seconds.
    pub age_seconds: f64,
    /// How long ago it was sent to the decoder, in seconds; absent while it has not been.
    pub decode_seconds: Option<f64>,
    /// Whether its client wants a stream. Of others it is not known when their first token is there.
    pub streaming: bool,
    /// Whether its first token is there.
    pub first_token: bool,
}

fn as_text<S: serde::Serializer>(id: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id)
}

/// Who is in flight. Each request touches it four times at most, for as long as a map's entry takes.
#[derive(Default)]
pub(super) struct Registry(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    next: u64,
    requests: HashMap<u64, Entry>,
}

struct Entry {
    id: Arc<str>,
    received: Moment,
    decode_sent: Option<Moment>,
    streaming: bool,
    first_token: bool,
}

impl Registry {
    pub(super) fn enter(&self, id: Arc<str>, received: Moment) -> u64 {
        let mut entries = self.0.lock();
        entries.next += 1;
        let key = entries.next;
        let entry = Entry { id, received, decode_sent: None, streaming: false, first_token: false };
        entries.requests.insert(key, entry);
        key
    }

    pub(super) fn decode_sent(&self, key: u64, now: Moment, streaming: bool) {
        if let Some(entry) = self.0.lock().requests.get_mut(&key) {
            entry.decode_sent.get_or_insert(now);
            entry.streaming = streaming;
        }
    }

    pub(super) fn first_token(&self, key: u64) {
        if let Some(entry) = self.0.lock().requests.get_mut(&key) {
            entry.first_token = true;
        }
    }

    pub(super) fn leave(&self, key: u64) {
        self.0.lock().requests.remove(&key);
    }

    pub(super) fn list(&self) -> Vec<InFlight> {
        let entries = self.0.lock();
        let now = clock::now();
        let mut requests: Vec<_> = entries.requests.iter().map(|(key, entry)| (*key, entry.seen_at(now))).collect();
        drop(entries);
        requests.sort_unstable_by_key(|(key, _)| *key);
        requests.into_iter().map(|(_, request)| request).collect()
    }
}

impl Entry {
    fn seen_at(&self, now: Moment) -> InFlight {
        InFlight {
            id: Arc::clone(&self.id),
            age_seconds: (now - self.received).as_secs_f64(),
            decode_seconds: self.decode_sent.map(|sent| (now - sent).as_secs_f64()),
            streaming: self.streaming,
            first_token: self.first_token,
        }
    }
}
