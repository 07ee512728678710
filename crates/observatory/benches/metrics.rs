//! Ingest and queries over 10,000 series at ten seconds: an hour of them for the queries, six for the memory.

#![expect(clippy::unwrap_used, reason = "a bench that meets what it does not expect has failed")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use observatory::metrics::store::{Limits, Sample, Store};
use observatory::promql::{self, Grid, Query};

const NOW: i64 = 1_700_000_000_000;
const STEP: i64 = 10_000;
const SERIES: i64 = 10_000;

fn store() -> Store {
    Store::new(Limits { retention: Duration::from_secs(8 * 3600), max_bytes: 1 << 30, max_series: 20_000 })
}

/// A scrape of all series: 500 histograms of eighteen buckets, and 1,000 gauges.
fn scrape(store: &Store, number: i64) {
    let at = NOW + number * STEP;
    let mut appender = store.appender(at);
    for id in 0..SERIES {
        let (instance, bucket) = ((id / 18).to_string(), (id % 18).to_string());
        let random = (number * 7919 + id * 104_729) % 997;
        let sample = Sample { at: at + random % 4, value: (number * (id % 18) + random / 500) as f64 };
        let appended = if id < 9000 {
            let labels = [("__name__", "h_bucket"), ("instance", &*instance), ("job", "engine"), ("le", &*bucket)];
            appender.append(&labels, sample)
        } else {
            let id = id.to_string();
            appender.append(&[("__name__", "g"), ("instance", &*id), ("job", "engine")], sample)
        };
        appended.unwrap();
    }
}

fn benches(criterion: &mut Criterion) {
    let filled = store();
    (0..360).for_each(|number| scrape(&filled, number));
    let grid = Grid::new(NOW, NOW + 3_600_000, 30_000);
    let mut group = criterion.benchmark_group("query over an hour");
    group.sample_size(10);
    for expr in [
        "g",
        "sum(g)",
        "g{instance=\"9500\"}",
        "sum(rate(h_bucket{instance=~\"1..\"}[1m]))",
        "histogram_quantile(0.99, sum by (le) (rate(h_bucket{instance=~\"[1-9].?\"}[1m])))",
        "sum(rate(h_bucket[1m]))",
    ] {
        let query = Query::parse(expr).unwrap();
        group.bench_function(expr, |bencher| {
            bencher.iter(|| black_box(query.range(&filled, grid, promql::Limits::default()).unwrap()));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("ingest");
    group.sample_size(10).throughput(Throughput::Elements(SERIES.unsigned_abs()));
    let (growing, mut number) = (store(), 0);
    group.bench_function("a scrape of 10,000 series", |bencher| {
        bencher.iter(|| {
            scrape(&growing, number);
            number += 1;
        });
    });
    group.finish();
}

criterion_group!(metrics, benches);
criterion_main!(metrics);
