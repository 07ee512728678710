use proptest::prelude::*;

use super::{Exemplar, Format, MAX_LABEL_SETS, Registry, negotiate};
use crate::catalogue::{gateway, process, sidecar};
use crate::clock::Moment;
use crate::exposition::{self, Scrape, parse};
use crate::trace::TraceId;

fn scrape(registry: &Registry, format: Format) -> Scrape {
    let body = registry.encode(format);
    parse(std::str::from_utf8(&body).unwrap()).unwrap()
}

#[test]
fn a_histogram_is_consistent_and_cumulative() {
    let registry = Registry::new();
    let histogram = registry.histogram(&gateway::PREPROCESS_MILLISECONDS).with(["m"]);
    for nanos in [100_000, 100_001, 7_500_000_000] {
        histogram.observe(nanos);
    }
    let got = scrape(&registry, Format::Text).histogram("request_preprocess_duration_milliseconds", &[]).unwrap();
    assert_eq!((got.count, got.sum), (3.0, 7_500.200_001));
    assert_eq!(got.buckets[0], (0.1, 1.0), "a bound belongs to its bucket");
    assert_eq!(got.buckets[1], (0.2, 2.0));
    assert_eq!(got.buckets.last(), Some(&(f64::INFINITY, 3.0)));
}

#[test]
fn label_sets_beyond_a_thousand_fold_and_are_counted() {
    let registry = Registry::new();
    let family = registry.counter::<2>(&gateway::REQUEST_TOTAL);
    for status in 0..MAX_LABEL_SETS + 5 {
        family.with(["m", &status.to_string()]).inc();
    }
    let scrape = scrape(&registry, Format::Text);
    let folded = [("model", "_overflow"), ("status_code", "_overflow")];
    assert_eq!(scrape.value("request_total", &folded), Some(5.0));
    assert_eq!(scrape.value("telemetry_overflow_total", &[("metric", "request_total")]), Some(5.0));
    assert_eq!(scrape.sum("request_total", &[]), Some(1005.0));
}

#[test]
fn a_removed_series_is_gone() {
    let registry = Registry::new();
    let family = registry.counter::<2>(&gateway::REQUEST_TOTAL);
    family.with(["a,b\"", "200"]).inc();
    family.with(["c", "200"]).inc();
    assert_eq!(family.remove_where("model", "a,b\""), 1);
    assert!(family.remove(["c", "200"]));
    assert_eq!(scrape(&registry, Format::Text).sum("request_total", &[]), None);
}

#[test]
fn what_is_read_is_current_and_may_be_absent() {
    let registry = Registry::new();
    registry.read(&gateway::CURRENT, [], || Some(7.0));
    registry.read(&gateway::PENDING, [], || None);
    let scrape = scrape(&registry, Format::Text);
    assert_eq!(scrape.value("gateway_current_requests", &[]), Some(7.0));
    assert_eq!(scrape.value("gateway_pending_requests", &[]), None);
}

#[test]
fn open_metrics_has_exemplars_units_and_an_end() {
    let registry = Registry::new();
    let trace_id = TraceId::from_bytes([7; 16]).unwrap();
    let exemplar = Exemplar { trace_id, at: Moment::from_nanos(1 << 50) };
    registry.histogram(&sidecar::TRUE_TTFT).with(["nixlv2"]).observe_with(65_000_000, Some(exemplar));
    registry.counter(&gateway::INPUT_TOKENS_TOTAL).with(["m"]).inc();
    registry.counter::<2>(&gateway::REQUEST_TOTAL).with(["m", "200"]).inc();
    let text = registry.encode(Format::OpenMetrics);
    let text = std::str::from_utf8(&text).unwrap();
    assert!(text.ends_with("# EOF\n"));
    assert!(text.contains("# TYPE request counter\n"));
    assert!(text.contains("# TYPE request_input_tokens counter\n"));
    assert!(text.contains("# UNIT pd_proxy_true_ttft_milliseconds milliseconds\n"));
    let scrape = parse(text).unwrap();
    let buckets = scrape.matching("pd_proxy_true_ttft_milliseconds_bucket", &[("le", "100.0")]);
    assert_eq!(
        buckets.map(|bucket| bucket.exemplar.as_ref().and_then(exposition::Exemplar::trace)).collect::<Vec<_>>(),
        [Some(trace_id)]
    );
    assert!(!String::from_utf8_lossy(&registry.encode(Format::Text)).contains(" # {"));
}

#[test]
fn a_counter_gives_up_its_type_rather_than_clash() {
    let registry = Registry::new();
    registry.counter(&gateway::INPUT_TOKENS_TOTAL).with(["m"]).inc();
    registry.histogram(&gateway::INPUT_TOKENS).with(["m"]).observe(3);
    let scrape = scrape(&registry, Format::OpenMetrics);
    assert_eq!(scrape.types["request_input_tokens"], "histogram");
    assert_eq!(scrape.types["request_input_tokens_total"], "unknown");
}

#[test]
fn the_scraper_gets_what_it_wants_most() {
    for (accept, format) in [
        (None, Format::Text),
        (Some("*/*"), Format::Text),
        (Some("application/openmetrics-text"), Format::OpenMetrics),
        (Some("application/openmetrics-text;version=2.0.0"), Format::Text),
        (Some("text/plain;q=0.9, application/openmetrics-text;q=0.2"), Format::Text),
        (Some("application/openmetrics-text;q=0"), Format::Text),
        (
            Some(
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily,application/openmetrics-text;\
                 version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            ),
            Format::OpenMetrics,
        ),
    ] {
        assert_eq!(negotiate(accept), format, "{accept:?}");
    }
}

#[test]
fn the_same_family_is_shared() {
    let registry = Registry::new();
    registry.counter::<1>(&process::SPANS_TOTAL).with(["exported"]).inc();
    registry.counter::<1>(&process::SPANS_TOTAL).with(["exported"]).inc();
    assert_eq!(scrape(&registry, Format::Text).value("telemetry_spans_total", &[]), Some(2.0));
}

proptest! {
    #[test]
    fn what_is_encoded_is_parsed_again(models in prop::collection::btree_map(".{0,12}", 0_u64..1 << 52, 1..20)) {
        let registry = Registry::new();
        let counters = registry.counter::<2>(&gateway::REQUEST_TOTAL);
        let histograms = registry.histogram::<1>(&gateway::TTFT_MILLISECONDS);
        for (model, value) in &models {
            counters.with([model, "200"]).add(*value);
            histograms.with([model]).observe(*value);
        }
        for format in [Format::Text, Format::OpenMetrics] {
            let scrape = scrape(&registry, format);
            for (model, value) in &models {
                let got = scrape.value("request_total", &[("model", model)]);
                prop_assert_eq!(got, Some(*value as f64));
                let histogram = scrape.histogram("request_ttft_milliseconds", &[("model", model)]).unwrap();
                prop_assert_eq!((histogram.count, histogram.sum), (1.0, *value as f64 / 1e6));
            }
        }
    }
}
