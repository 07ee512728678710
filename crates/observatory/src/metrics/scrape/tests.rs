use std::sync::Arc;
use std::time::Duration;

use promql_parser::label::{MatchOp, Matcher};

use super::page::Pages;
use super::*;
use crate::metrics::store::{Limits, Selected, Store, is_stale};

const NOW: i64 = 1_700_000_000_000;

fn pages() -> (Pages, Arc<Store>) {
    let limits = Limits { retention: Duration::from_secs(3600), max_bytes: 1 << 30, max_series: 1000 };
    let store = Arc::new(Store::new(limits));
    let target = "http://h:1/metrics;job=j;zone=z".parse().unwrap();
    (Pages::new(target, Arc::clone(&store)), store)
}

fn take(pages: &mut Pages, text: &str, at: i64) -> Option<String> {
    pages.take(Ok(text.to_owned()), at, Duration::from_millis(5))
}

fn select(store: &Store, name: &str) -> Vec<Selected> {
    let matcher = Matcher::new(MatchOp::Equal, "__name__", name);
    store.select(&[matcher], i64::MIN, i64::MAX, usize::MAX).unwrap()
}

fn values(store: &Store, name: &str) -> Vec<String> {
    let samples = select(store, name).into_iter().flat_map(|series| series.samples);
    samples.map(|sample| if is_stale(sample.value) { "stale".to_owned() } else { sample.value.to_string() }).collect()
}

#[test]
fn a_target_is_a_url_with_labels() {
    let target: ScrapeTarget = "http://h:1;job=j;infer_type=prefill".parse().unwrap();
    assert_eq!(target.url(), "http://h:1/metrics");
    assert_eq!(target.labels().to_string(), r#"{infer_type="prefill", instance="h:1", job="j"}"#);
    let target: ScrapeTarget = "https://h/x?y=1;instance=i".parse().unwrap();
    assert_eq!((target.url(), target.labels().get("instance")), ("https://h/x?y=1", "i"));
    for wrong in ["h:1", "ftp://h", "http://h;job", "http://h;1a=b", "", "/metrics"] {
        assert!(wrong.parse::<ScrapeTarget>().is_err(), "{wrong}");
    }
}

#[test]
fn the_targets_labels_win() {
    let (mut pages, store) = pages();
    take(&mut pages, "a{job=\"x\",other=\"y\",empty=\"\"} 1\n", NOW);
    let labels = select(&store, "a")[0].labels.to_string();
    assert_eq!(labels, r#"{__name__="a", exported_job="x", instance="h:1", job="j", other="y", zone="z"}"#);
}

#[test]
fn what_is_gone_is_marked_once() {
    let (mut pages, store) = pages();
    assert_eq!(take(&mut pages, "a 1\nb 1\n", NOW), None);
    assert_eq!(take(&mut pages, "a 2\n", NOW + 10_000), None);
    assert_eq!(take(&mut pages, "a 3\n", NOW + 20_000), None);
    assert_eq!(values(&store, "b"), ["1", "stale"]);
    assert!(take(&mut pages, "<html>", NOW + 30_000).is_some(), "garbage");
    assert!(pages.take(Err("no answer".to_owned()), NOW + 40_000, Duration::from_secs(10)).is_some());
    assert_eq!(values(&store, "a"), ["1", "2", "3", "stale"]);
    assert_eq!(values(&store, "up"), ["1", "1", "1", "0", "0"]);
    assert_eq!(values(&store, "scrape_samples_scraped"), ["2", "1", "1", "0", "0"]);
    assert_eq!(values(&store, "scrape_series_added"), ["2", "0", "0", "0", "0"]);
    pages.end(NOW + 50_000);
    assert_eq!(values(&store, "up").last().map(String::as_str), Some("stale"));
}

#[test]
fn an_end_within_the_last_pages_millisecond_still_ends_it() {
    for end in [NOW, NOW - 1_000, NOW + 1] {
        let (mut pages, store) = pages();
        assert_eq!(take(&mut pages, "a 1\n", NOW), None);
        pages.end(end);
        assert_eq!(values(&store, "a"), ["1", "stale"], "ended at {}", end - NOW);
        assert_eq!(values(&store, "up"), ["1", "stale"], "ended at {}", end - NOW);
    }
}

#[test]
fn times_of_their_own_are_kept() {
    let (mut pages, store) = pages();
    take(&mut pages, &format!("a 1 {}\n", NOW - 5), NOW);
    take(&mut pages, &format!("b_total 1 {}.250\n# EOF\n", NOW / 1000 - 1), NOW + 10_000);
    assert_eq!(select(&store, "a")[0].samples[0].at, NOW - 5);
    assert_eq!(select(&store, "b_total")[0].samples[0].at, NOW - 750);
    assert_eq!(values(&store, "a"), ["1"], "not marked: its times tell");
}

#[test]
fn metadata_and_exemplars_are_kept() {
    let (mut pages, store) = pages();
    let text = "# TYPE a histogram\n# HELP a What it is.\n# UNIT a seconds\n\
                a_bucket{le=\"1.0\"} 1 # {trace_id=\"00000000000000000000000000000001\"} 0.5 1699999999.5\n# EOF\n";
    take(&mut pages, text, NOW);
    let metadata = &store.metadata()["a"];
    assert_eq!((&*metadata.kind, &*metadata.help, &*metadata.unit), ("histogram", "What it is.", "seconds"));
    let bucket = Matcher::new(MatchOp::Equal, "__name__", "a_bucket");
    let exemplars = store.exemplars(&[bucket], i64::MIN, i64::MAX);
    assert_eq!(exemplars[0].exemplars[0].at, 1_699_999_999_500);
}
