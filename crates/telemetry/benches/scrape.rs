//! A scrape of 5,000 series must answer in under 5 ms, and must not slow requests down.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use telemetry::catalogue;
use telemetry::metrics::{Format, Registry};

/// Latency histograms of as many connectors as make 5,000 lines, and counters.
fn registry() -> Registry {
    let registry = Registry::new();
    let find = |name| catalogue::find(name).unwrap_or_else(|| unreachable!("{name} is in the catalogue"));
    let histograms = registry.histogram::<1>(find("pd_proxy_true_ttft_milliseconds"));
    let counters = registry.counter::<2>(find("request_total"));
    for at in 0..190_u64 {
        let histogram = histograms.with([&at.to_string()]);
        (0..50).for_each(|value| histogram.observe(value * 12_345_678));
    }
    for at in 0..1000_u64 {
        counters.with(["model", &at.to_string()]).add(at);
    }
    registry
}

fn scrape(c: &mut Criterion) {
    let registry = registry();
    for format in [Format::Text, Format::OpenMetrics] {
        c.bench_function(&format!("scrape 5000 series, {format:?}"), |b| b.iter(|| black_box(registry.encode(format))));
    }
    let histogram = registry
        .histogram::<1>(catalogue::find("request_ttft_milliseconds").unwrap_or_else(|| unreachable!()))
        .with(["m"]);
    c.bench_function("observe", |b| b.iter(|| histogram.observe(black_box(65_000_000))));
}

criterion_group!(benches, scrape);
criterion_main!(benches);
