//! From labels to series: by hash for writers, inverted for readers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use promql_parser::label::{MatchOp, Matcher};

use crate::metrics::Labels;

/// What a text costs beside its bytes: the shared allocation's counters, and its places in set and map.
const PER_TEXT: usize = 96;

/// The index.
#[derive(Default)]
pub(super) struct Index {
    hasher: RandomState,
    by_hash: HashMap<u64, Vec<u32>>,
    postings: HashMap<Arc<str>, BTreeMap<Arc<str>, Vec<u32>>>,
    texts: HashSet<Arc<str>>,
    text_bytes: usize,
    /// Whether a series has gone since unused texts were last looked for.
    gone: bool,
}

impl Index {
    /// The hash of sorted pairs.
    pub(super) fn hash(&self, pairs: &[(&str, &str)]) -> u64 {
        self.hasher.hash_one(pairs)
    }

    /// The series with this hash; they need not have the same labels.
    pub(super) fn with_hash(&self, hash: u64) -> &[u32] {
        self.by_hash.get(&hash).map_or(&[], Vec::as_slice)
    }

    /// Adds a series; its labels share their texts with all others.
    pub(super) fn insert(&mut self, hash: u64, id: u32, pairs: &[(&str, &str)]) -> Labels {
        self.by_hash.entry(hash).or_default().push(id);
        let mut builder = Labels::empty().edit();
        for (name, value) in pairs {
            let (name, value) = (self.text(name), self.text(value));
            let ids = self.postings.entry(Arc::clone(&name)).or_default().entry(Arc::clone(&value)).or_default();
            if let Err(at) = ids.binary_search(&id) {
                ids.insert(at, id);
            }
            builder.set(name, value);
        }
        builder.finish()
    }

    /// Removes a series.
    pub(super) fn remove(&mut self, hash: u64, id: u32, labels: &Labels) {
        if let Some(ids) = self.by_hash.get_mut(&hash) {
            ids.retain(|known| *known != id);
            if ids.is_empty() {
                self.by_hash.remove(&hash);
            }
        }
        for (name, value) in labels.iter() {
            let Some(values) = self.postings.get_mut(name) else { continue };
            if let Some(ids) = values.get_mut(value) {
                if let Ok(at) = ids.binary_search(&id) {
                    ids.remove(at);
                }
                if ids.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.postings.remove(name);
            }
        }
        self.gone = true;
    }

    /// Forgets texts that no series has any more.
    pub(super) fn forget_unused(&mut self) {
        if !std::mem::take(&mut self.gone) {
            return;
        }
        let mut freed = 0;
        self.texts.retain(|text| {
            let used = Arc::strong_count(text) > 1;
            freed += if used { 0 } else { text.len() + PER_TEXT };
            used
        });
        self.text_bytes -= freed;
    }

    /// Memory for texts.
    pub(super) fn bytes(&self) -> usize {
        self.text_bytes
    }

    pub(super) fn names(&self) -> BTreeSet<Arc<str>> {
        self.postings.keys().cloned().collect()
    }

    pub(super) fn values(&self, name: &str) -> BTreeSet<Arc<str>> {
        self.postings.get(name).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// Series that may match: those of the matcher that leaves the fewest. `None` where no matcher asks for a label to be
    /// there, so that any series may match.
    pub(super) fn candidates(&self, matchers: &[Matcher]) -> Option<Vec<u32>> {
        let needed = matchers.iter().filter(|matcher| !matcher.is_match(""));
        let lists = needed.map(|matcher| self.lists(matcher));
        let fewest = lists.min_by_key(|lists| lists.iter().map(|ids| ids.len()).sum::<usize>())?;
        let mut ids: Vec<u32> = fewest.into_iter().flatten().copied().collect();
        ids.sort_unstable();
        Some(ids)
    }

    fn lists(&self, matcher: &Matcher) -> Vec<&Vec<u32>> {
        let Some(values) = self.postings.get(matcher.name.as_str()) else {
            return Vec::new();
        };
        match matcher.op {
            MatchOp::Equal => values.get(matcher.value.as_str()).into_iter().collect(),
            _ => values.iter().filter(|(value, _)| matcher.is_match(value)).map(|(_, ids)| ids).collect(),
        }
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = Arc::from(text);
        self.text_bytes += text.len() + PER_TEXT;
        self.texts.insert(Arc::clone(&text));
        text
    }
}
