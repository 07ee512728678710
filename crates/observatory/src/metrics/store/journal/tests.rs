use std::fs;
use std::time::Duration;

use proptest::prelude::*;

use super::codec::Entries;
use super::*;
use crate::metrics::store::{STALE, Stats, Store};

const NOW: i64 = 1_700_000_000_000;
const LIMITS: Limits = Limits { retention: Duration::from_secs(3600), max_bytes: 1 << 24, max_series: 1000 };

fn kept(folder: &Path, limits: Limits, now: i64) -> Store {
    Store::kept(limits, folder, now).unwrap().0
}

/// Appends a scrape of `count` series.
fn scrape(store: &Store, count: usize, at: i64) {
    let mut appender = store.appender(at);
    for id in 0..count {
        let id = id.to_string();
        let value = if id.ends_with('3') { (at as f64).sin() } else { (at / 1000 % 97) as f64 };
        appender.append(&[("__name__", "a"), ("id", &id)], Sample { at, value }).unwrap();
    }
}

/// Everything that a store can be asked for.
fn all(store: &Store) -> String {
    all_since(store, i64::MIN)
}

fn all_since(store: &Store, from: i64) -> String {
    let samples = store.select(&[], from, i64::MAX, usize::MAX).unwrap();
    let mut samples: Vec<String> =
        samples.iter().map(|series| format!("{} {:?}", series.labels, series.samples)).collect();
    samples.sort();
    format!("{samples:?} {:?} {:?}", store.metadata(), store.exemplars(&[], i64::MIN, i64::MAX))
}

fn size(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn a_store_is_the_same_after_any_number_of_starts() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = String::new();
    for start in 0..4 {
        let store = kept(folder.path(), LIMITS, NOW + start * 100_000);
        if start > 0 {
            assert!(all(&store) == before, "start {start}");
            assert_eq!(store.stats().stored, 0, "what was read back did not come anew");
        }
        for number in 0..9 {
            scrape(&store, 50, NOW + start * 100_000 + number * 10_000);
        }
        let mut appender = store.appender(NOW + start * 100_000 + 95_000);
        let series = [("__name__", "a"), ("id", "7")];
        appender.append(&series, Sample { at: NOW + start * 100_000 + 95_000, value: STALE }).unwrap();
        let labels = Labels::new([("trace_id", "abc")]);
        appender.exemplar(&series, Exemplar { labels, value: 0.5, at: NOW + start * 100_000 });
        let help = format!("What it was at start {start}.");
        appender.describe("a", Metadata { kind: "gauge".to_owned(), help, unit: String::new() });
        drop(appender);
        before = all(&store);
    }
    assert!(fs::read_dir(folder.path()).unwrap().count() > 4, "over several files");
}

#[test]
fn the_disk_is_bounded_by_what_bounds_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let store = kept(folder.path(), LIMITS, NOW);
    let mut most = 0;
    for number in 0..2000 {
        let at = NOW + number * 10_000;
        scrape(&store, 20, at);
        store.maintain(at);
        most = most.max(size(folder.path()));
        assert_eq!(size(folder.path()), store.health().unwrap().bytes());
    }
    let hour = 360 * 20 * 12;
    assert!(most < hour, "five and a half hours went by, one is kept: {most} bytes");
    // In memory, a chunk is kept for as long as its last sample.
    let wanted = NOW + 19_990_000 - 3_600_000;
    let held = all_since(&store, wanted);
    drop(store);
    let store = kept(folder.path(), LIMITS, NOW + 19_990_000);
    assert!(all(&store) == held, "all of the last hour, and no more");
    let half = usize::try_from(store.stats().bytes / 2).unwrap();
    drop(store);
    let store = kept(folder.path(), Limits { max_bytes: half, ..LIMITS }, NOW + 19_990_000);
    assert!(store.stats().bytes <= half as u64);
    assert!(size(folder.path()) < most * 3 / 4, "what the memory has no room for goes from the disk as well");
}

#[test]
fn what_is_too_old_or_of_too_many_series_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = kept(folder.path(), LIMITS, NOW);
    scrape(&store, 10, NOW);
    scrape(&store, 5, NOW + 1_000_000);
    drop(store);
    let later = kept(folder.path(), LIMITS, NOW + 3_600_001);
    assert_eq!(later.stats(), Stats { bytes: later.stats().bytes, series: 5, samples: 5, ..Stats::default() });
    drop(later);
    let narrow = kept(folder.path(), Limits { max_series: 3, ..LIMITS }, NOW + 3_600_001);
    assert_eq!(narrow.stats().series, 3);
    drop(narrow);
    let early = kept(folder.path(), LIMITS, NOW - 3_600_000);
    assert_eq!(
        early.stats().series,
        0,
        "a clock that was set back: the series must not be locked until it has caught up"
    );
}

#[test]
fn a_series_that_comes_back_under_another_number_is_named_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = kept(folder.path(), LIMITS, NOW);
    let one = |name: &str, at: i64| {
        store.appender(at).append(&[("__name__", name)], Sample { at, value: 1.0 }).unwrap();
    };
    one("a", NOW);
    store.maintain(NOW + 3_600_001);
    one("b", NOW + 3_600_001);
    one("a", NOW + 3_600_002);
    let held = all(&store);
    drop(store);
    assert_eq!(all(&kept(folder.path(), LIMITS, NOW + 3_600_003)), held);
}

fn entry() -> impl Strategy<Value = Entry> {
    let value =
        prop_oneof![any::<u64>().prop_map(f64::from_bits), any::<i32>().prop_map(f64::from), Just(-0.0), Just(STALE)];
    let labels = prop::collection::btree_map("[a-z]{1,4}", ".{1,5}", 0..4).prop_map(Labels::new);
    let text = || ".{0,9}";
    prop_oneof![
        (any::<u32>(), any::<i64>(), value.clone())
            .prop_map(|(id, at, value)| Entry::Sample { id, sample: Sample { at, value } }),
        (any::<u32>(), labels.clone()).prop_map(|(id, labels)| Entry::Series { id, labels }),
        (text(), text(), text(), text())
            .prop_map(|(name, kind, help, unit)| Entry::Family { name, metadata: Metadata { kind, help, unit } }),
        (any::<u32>(), any::<i64>(), value, labels)
            .prop_map(|(id, at, value, labels)| Entry::Exemplar { id, exemplar: Exemplar { labels, value, at } }),
    ]
}

proptest! {
    #[test]
    fn a_batch_gives_back_what_it_got(entries in prop::collection::vec(entry(), 0..40)) {
        let mut writer = Writer::default();
        entries.iter().for_each(|entry| writer.entry(entry));
        let mut read = Entries::of(writer.bytes());
        for entry in &entries {
            // By their texts: NaN is not equal to itself.
            let (got, want) = (format!("{:?}", read.entry()), format!("{:?}", Some(entry)));
            prop_assert_eq!(got, want);
        }
        prop_assert!(read.is_done());
    }

    #[test]
    fn nonsense_is_refused_and_breaks_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut inner = Inner::default();
        let _ = Reader::new(&mut inner, LIMITS, NOW).record(0, &bytes);
        prop_assert!(inner.stats.series <= 1000);
    }
}
