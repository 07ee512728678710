use super::*;
use crate::TelemetryConfig;
use crate::exposition::parse;

#[tokio::test]
async fn what_the_store_says_is_read_at_scrape_time() {
    let telemetry = Telemetry::new(TelemetryConfig::new("candor-observatory")).unwrap();
    let samples = Samples { series: 2, bytes: 300, stored: 5, over_limit: 7, evicted: 11, ..Samples::default() };
    let observatory = Observatory::new(&telemetry, move || samples);
    observatory.scraped(false);
    observatory.queried(Moment::from_nanos(0), Moment::from_nanos(2_000_000));
    let (_, page) = telemetry.metrics_response(None);
    let page = parse(std::str::from_utf8(&page).unwrap()).unwrap();
    for (name, labels, value) in [
        ("observatory_series", &[][..], 2.0),
        ("observatory_store_bytes", &[("store", "metrics")], 300.0),
        ("observatory_samples_total", &[("outcome", "stored")], 5.0),
        ("observatory_samples_total", &[("outcome", "over_limit")], 7.0),
        ("observatory_dropped_samples_total", &[("reason", "bytes")], 11.0),
        ("observatory_scrapes_total", &[("outcome", "failed")], 1.0),
        ("observatory_scrapes_total", &[("outcome", "succeeded")], 0.0),
        ("observatory_query_duration_seconds_sum", &[("language", "promql")], 0.002),
    ] {
        assert_eq!(page.value(name, labels), Some(value), "{name} {labels:?}");
    }
}
