//! From a page to the store.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use telemetry::exposition::{self, Sample as Line, Scrape};

use super::target::ScrapeTarget;
use crate::metrics::store::{Appender, Exemplar, Metadata, STALE, Sample, Store};
use crate::metrics::{Labels, METRIC_NAME};

/// The pages of one target.
pub(super) struct Pages {
    target: ScrapeTarget,
    store: Arc<Store>,
    /// The series of the last page, which end where the next one does not have them.
    current: HashSet<Labels>,
    /// The time of the last page.
    last: i64,
}

impl Pages {
    pub(super) fn new(target: ScrapeTarget, store: Arc<Store>) -> Self {
        Self { target, store, current: HashSet::new(), last: i64::MIN }
    }

    pub(super) fn target(&self) -> &ScrapeTarget {
        &self.target
    }

    /// Keeps a page of time `at`, and what is to say about its scrape. Says why there was no page, if there was none.
    pub(super) fn take(&mut self, page: Result<String, String>, at: i64, took: Duration) -> Option<String> {
        let page = page.and_then(|page| exposition::parse(&page).map_err(|error| error.to_string()));
        let store = Arc::clone(&self.store);
        self.last = at;
        let mut appender = store.appender(at);
        let (page, error) = match page {
            Ok(page) => (page, None),
            Err(error) => (Scrape::default(), Some(error)),
        };
        let mut current = HashSet::with_capacity(page.samples.len());
        let mut kept = 0_u32;
        for line in &page.samples {
            let pairs = self.pairs(line);
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            let own = line.timestamp.map(|time| millis(time, page.ended));
            let sample = Sample { at: own.unwrap_or(at), value: line.value };
            let Ok(series) = appender.append_to(&pairs, sample) else { continue };
            kept += 1;
            if let Some(exemplar) = &line.exemplar {
                appender.exemplar(&pairs, own_exemplar(exemplar, at));
            }
            // What says its own times also says, by them, when it ends.
            if own.is_none() {
                current.insert(series);
            }
        }
        describe(&mut appender, &page);
        let added = current.difference(&self.current).count();
        let ended = std::mem::replace(&mut self.current, current);
        mark_ended(&mut appender, ended.difference(&self.current), at);
        for (name, value) in [
            ("up", if error.is_none() { 1.0 } else { 0.0 }),
            ("scrape_duration_seconds", took.as_secs_f64()),
            ("scrape_samples_scraped", page.samples.len() as f64),
            ("scrape_samples_post_metric_relabeling", f64::from(kept)),
            ("scrape_series_added", added as f64),
        ] {
            self.report(&mut appender, name, Sample { at, value });
        }
        error
    }

    /// Marks everything as ended: the target is not scraped any more. The end comes after the last page even where both fall
    /// into one millisecond, since a second sample of one time is refused and the series would be drawn on.
    pub(super) fn end(&mut self, at: i64) {
        let at = at.max(self.last.saturating_add(1));
        let store = Arc::clone(&self.store);
        let mut appender = store.appender(at);
        mark_ended(&mut appender, std::mem::take(&mut self.current).iter(), at);
        for name in REPORTED {
            self.report(&mut appender, name, Sample { at, value: STALE });
        }
    }

    fn report(&self, appender: &mut Appender<'_>, name: &str, sample: Sample) {
        let labels = self.target.labels().iter().chain([(METRIC_NAME, name)]);
        let mut pairs: Vec<(&str, &str)> = labels.collect();
        pairs.sort_unstable();
        // A refusal is counted by the store.
        let _ = appender.append_always(&pairs, sample);
    }

    /// The sorted labels of a line with those of the target, which win: what a line says under the same name is kept as
    /// `exported_…`.
    fn pairs<'a>(&'a self, line: &'a Line) -> Vec<(String, &'a str)> {
        let own = self.target.labels();
        let mut pairs: Vec<(String, &str)> = vec![(METRIC_NAME.to_owned(), line.name.as_str())];
        for (name, value) in line.labels.iter().filter(|(_, value)| !value.is_empty()) {
            let taken = own.shared(name).is_some();
            pairs.push((if taken { format!("exported_{name}") } else { name.clone() }, value));
        }
        pairs.extend(own.iter().map(|(name, value)| (name.to_owned(), value)));
        pairs.sort();
        pairs.dedup_by(|next, kept| next.0 == kept.0);
        pairs
    }
}

/// What is reported of every scrape.
const REPORTED: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

fn mark_ended<'a>(appender: &mut Appender<'_>, ended: impl Iterator<Item = &'a Labels>, at: i64) {
    for labels in ended {
        let pairs: Vec<(&str, &str)> = labels.iter().collect();
        // A refusal is counted by the store.
        let _ = appender.append(&pairs, Sample { at, value: STALE });
    }
}

fn describe(appender: &mut Appender<'_>, page: &Scrape) {
    for (name, kind) in &page.types {
        let about = page.about.get(name).cloned().unwrap_or_default();
        let kind = if kind == "untyped" { "unknown" } else { kind };
        appender.describe(name, Metadata { kind: kind.to_owned(), help: about.help, unit: about.unit });
    }
}

fn own_exemplar(exemplar: &exposition::Exemplar, at: i64) -> Exemplar {
    Exemplar {
        labels: Labels::new(exemplar.labels.iter().map(|(name, value)| (name, value))),
        value: exemplar.value,
        at: exemplar.timestamp.map_or(at, |seconds| millis(seconds, true)),
    }
}

/// A time of a page in milliseconds: OpenMetrics has seconds.
fn millis(time: f64, seconds: bool) -> i64 {
    (if seconds { time * 1000.0 } else { time }).round() as i64
}
