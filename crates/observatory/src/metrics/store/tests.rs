use std::time::Duration;

use promql_parser::label::MatchOp;
use proptest::prelude::*;

use super::chunk::{FULL, Head};
use super::*;

const NOW: i64 = 1_700_000_000_000;

fn store(max_bytes: usize, max_series: usize) -> Store {
    Store::new(Limits { retention: Duration::from_secs(3600), max_bytes, max_series })
}

fn equal(name: &str, value: &str) -> Matcher {
    Matcher::new(MatchOp::Equal, name, value)
}

fn sample(at: i64, value: f64) -> Sample {
    Sample { at, value }
}

fn everything(store: &Store, matchers: &[Matcher]) -> Vec<Selected> {
    store.select(matchers, i64::MIN, i64::MAX, usize::MAX).unwrap()
}

proptest! {
    #[test]
    fn a_chunk_gives_back_what_it_got(
        start in any::<i64>(),
        steps in prop::collection::vec((prop_oneof![Just(10_000i64), 9_990..10_010i64, 1..i64::from(u32::MAX), 1..i64::MAX], value()), 0..300),
    ) {
        let mut samples = vec![sample(start, 1.0)];
        for (step, value) in steps {
            let Some(at) = samples[samples.len() - 1].at.checked_add(step) else { continue };
            samples.push(sample(at, value));
        }
        let mut head = Head::new(samples[0]);
        samples[1..].iter().for_each(|sample| head.push(*sample));
        let bits = |samples: &[Sample]| samples.iter().map(|s| (s.at, s.value.to_bits())).collect::<Vec<_>>();
        prop_assert_eq!(bits(&head.samples().collect::<Vec<_>>()), bits(&samples));
        let chunk = head.finish();
        prop_assert_eq!(bits(&chunk.samples().collect::<Vec<_>>()), bits(&samples));
        prop_assert_eq!((chunk.first, chunk.last), (samples[0].at, samples[samples.len() - 1].at));
    }

    #[test]
    fn a_series_gives_back_any_part(count in 1..700usize, from in 0..700usize, length in 0..700usize) {
        let store = store(1 << 30, 10);
        let mut appender = store.appender(NOW);
        for at in 0..count {
            appender.append(&[("__name__", "a")], sample(NOW + at as i64, at as f64)).unwrap();
        }
        drop(appender);
        let to = from + length;
        let got = store.select(&[equal("__name__", "a")], NOW + from as i64, NOW + to as i64, usize::MAX).unwrap();
        let got: Vec<usize> = got.iter().flat_map(|s| &s.samples).map(|s| s.value as usize).collect();
        let want: Vec<usize> = (from..=to).filter(|at| *at < count).collect();
        prop_assert_eq!(got, want);
    }
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(STALE),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(0.0),
        Just(-0.0),
        (0..1000i32).prop_map(f64::from),
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
    ]
}

#[test]
fn a_regular_scrape_of_an_unchanged_value_costs_two_bits() {
    let mut head = Head::new(sample(NOW, 7.0));
    for at in 1..i64::from(FULL) {
        head.push(sample(NOW + at * 10_000, 7.0));
    }
    assert!(head.finish().bytes() < 100);
}

#[test]
fn matchers_select() {
    let store = store(1 << 30, 100);
    let mut appender = store.appender(NOW);
    for (job, instance) in [("a", "1"), ("a", "2"), ("b", "1")] {
        appender.append(&[("__name__", "up"), ("instance", instance), ("job", job)], sample(NOW, 1.0)).unwrap();
    }
    appender.append(&[("__name__", "down")], sample(NOW, 1.0)).unwrap();
    drop(appender);
    let count = |matchers: &[Matcher]| everything(&store, matchers).len();
    assert_eq!(count(&[equal("__name__", "up")]), 3);
    assert_eq!(count(&[equal("__name__", "up"), equal("job", "a")]), 2);
    assert_eq!(count(&[equal("job", "")]), 1, "an absent label is an empty one");
    let not = Matcher::new(MatchOp::NotEqual, "job", "a");
    assert_eq!(count(std::slice::from_ref(&not)), 2);
    assert_eq!(count(&[not, equal("__name__", "up")]), 1);
    assert_eq!(store.label_values("job").len(), 2);
    assert_eq!(store.label_names().len(), 3);
    assert_eq!(store.select(&[equal("__name__", "up")], NOW, NOW, 2), None, "more samples than were asked for");
}

#[test]
fn what_is_refused_is_counted_and_nothing_else_is_lost() {
    let store = store(1 << 30, 2);
    let mut appender = store.appender(NOW);
    let a = [("__name__", "a")];
    assert_eq!(appender.append(&a, sample(NOW, 1.0)), Ok(()));
    assert_eq!(appender.append(&a, sample(NOW, 1.0)), Ok(()), "the same once more");
    assert_eq!(appender.append(&a, sample(NOW, 2.0)), Err(Refused::OutOfOrder));
    assert_eq!(appender.append(&a, sample(NOW - 1, 2.0)), Err(Refused::OutOfOrder));
    assert_eq!(appender.append(&a, sample(NOW + 601_000, 2.0)), Err(Refused::TooNew), "a clock that jumped ahead");
    assert_eq!(appender.append(&a, sample(NOW - 3_600_001, 2.0)), Err(Refused::TooOld), "or back");
    assert_eq!(appender.append(&[("__name__", "b")], sample(NOW, 1.0)), Ok(()));
    assert_eq!(appender.append(&[("__name__", "c")], sample(NOW, 1.0)), Err(Refused::OverLimit));
    assert_eq!(appender.append(&a, sample(NOW + 1, 3.0)), Ok(()));
    drop(appender);
    let stats = store.stats();
    assert_eq!((stats.series, stats.samples, stats.stored), (2, 3, 3));
    assert_eq!((stats.out_of_order, stats.too_old, stats.too_new, stats.over_limit), (2, 1, 1, 1));
}

#[test]
fn a_million_label_sets_stay_within_the_limits() {
    let store = store(64 << 20, 20_000);
    let mut appender = store.appender(NOW);
    for id in 0..1_000_000 {
        let id = id.to_string();
        let _ = appender.append(&[("__name__", "flood"), ("id", &id)], sample(NOW, 1.0));
    }
    drop(appender);
    let stats = store.stats();
    assert_eq!((stats.series, stats.over_limit), (20_000, 980_000));
    assert!(stats.bytes < 64 << 20, "{stats:?}");
    store.maintain(NOW + 3_600_001);
    let stats = store.stats();
    assert_eq!((stats.series, stats.samples, stats.expired, stats.bytes), (0, 0, 20_000, 0), "and all is given back");
    let mut appender = store.appender(NOW + 3_600_001);
    assert_eq!(appender.append(&[("__name__", "after")], sample(NOW + 3_600_001, 1.0)), Ok(()));
}

#[test]
fn the_oldest_go_first() {
    let store = store(400_000, 1000);
    let mut appender = store.appender(NOW);
    for at in 0..3000i64 {
        for name in ["a", "b"] {
            appender.append(&[("__name__", name)], sample(NOW - 3_000_000 + at * 1000, (at as f64).sin())).unwrap();
        }
        appender.append(&[("__name__", "c")], sample(NOW - 3_500_000 + at, (at as f64).sin())).unwrap();
    }
    drop(appender);
    let before = store.stats();
    let limits = Limits { max_bytes: usize::try_from(before.bytes).unwrap() / 2, ..store.limits() };
    let store = Store { limits, ..store };
    store.maintain(NOW);
    let after = store.stats();
    assert!(after.bytes <= before.bytes / 2, "{after:?}");
    assert_eq!(after.evicted + after.samples, before.samples);
    assert!(everything(&store, &[equal("__name__", "c")]).is_empty(), "all of c is older than what is kept");
    let kept = everything(&store, &[equal("__name__", "a")]);
    assert_eq!(kept[0].samples.last(), Some(&sample(NOW - 1000, 2999f64.sin())));
}

#[test]
fn exemplars_are_found_by_series_and_kept_once() {
    let store = store(1 << 30, 10);
    let series = [("__name__", "a_bucket"), ("le", "1")];
    let exemplar = |at| Exemplar { labels: Labels::new([("trace_id", "x")]), value: 0.5, at };
    let mut appender = store.appender(NOW);
    appender.append(&series, sample(NOW, 1.0)).unwrap();
    for at in [NOW, NOW, NOW + 1] {
        appender.exemplar(&series, exemplar(at));
    }
    appender.exemplar(&[("__name__", "unknown")], exemplar(NOW));
    drop(appender);
    let found = store.exemplars(&[equal("__name__", "a_bucket")], NOW, NOW + 5);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].exemplars, [exemplar(NOW), exemplar(NOW + 1)]);
    assert!(store.exemplars(&[equal("le", "2")], NOW, NOW + 5).is_empty());
}

/// Ten thousand series at ten seconds for six hours are to fit into 300 MB. What a series costs does not depend on how many
/// there are, so a hundred of the usual kinds stand for them.
#[test]
fn ten_thousand_series_of_six_hours_fit() {
    const SCRAPES: i64 = 6 * 360;
    let store = Store::new(Limits { retention: Duration::from_secs(7 * 3600), max_bytes: 1 << 30, max_series: 1000 });
    let mut appender = store.appender(NOW + SCRAPES * 10_000);
    for id in 0..100i64 {
        let name = id.to_string();
        let labels =
            [("__name__", "m"), ("id", &*name), ("instance", "127.0.0.1:8000"), ("job", "engine"), ("namespace", "n")];
        let mut count = 0;
        for scrape in 0..SCRAPES {
            let random = (scrape * 7919 + id * 104_729) % 997;
            count += random % (id % 10 + 1);
            let value = match id % 4 {
                // A counter, a bucket that rarely moves, a gauge of whole numbers, and a measured time.
                0 => count as f64,
                1 => (scrape / 30) as f64,
                2 => (random % 50) as f64,
                _ => random as f64 / 997.0,
            };
            let at = NOW + scrape * 10_000 + random % 4;
            appender.append(&labels, sample(at, value)).unwrap();
        }
    }
    drop(appender);
    let stats = store.stats();
    assert_eq!(stats.samples, 100 * u64::try_from(SCRAPES).unwrap());
    assert!(stats.bytes * 100 < 300_000_000, "{} MB", stats.bytes * 100 / 1_000_000);
}
