//! Samples, scrapes and queries.

use std::sync::Arc;

use crate::Telemetry;
use crate::catalogue::samples as catalogue;
use crate::clock::Moment;
use crate::metrics::{Counter, Histogram};

/// What a store of samples says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// Series now.
    pub series: u64,
    /// Bytes now.
    pub bytes: u64,
    /// Samples stored so far.
    pub stored: u64,
    /// Samples refused so far: not later than the last one of their series.
    pub out_of_order: u64,
    /// Samples refused so far: older than the retention.
    pub too_old: u64,
    /// Samples refused so far: ahead of the clock.
    pub too_new: u64,
    /// Samples refused so far: of one series too many.
    pub over_limit: u64,
    /// Samples dropped so far because of their age.
    pub expired: u64,
    /// Samples dropped so far because of the memory.
    pub evicted: u64,
}

/// The recorder of an observatory.
#[derive(Clone, Debug)]
pub struct Observatory {
    scrapes: [Counter; 2],
    promql: Histogram,
}

impl Observatory {
    /// Registers everything; `samples` is read whenever somebody scrapes.
    pub fn new(telemetry: &Telemetry, samples: impl Fn() -> Samples + Send + Sync + 'static) -> Self {
        let registry = telemetry.registry();
        let samples = Arc::new(samples);
        let read = |metric, labels: &[&str], value: fn(Samples) -> u64| {
            let samples = Arc::clone(&samples);
            let reading = move || Some(value(samples()) as f64);
            match labels {
                [label] => registry.read(metric, [*label], reading),
                _ => registry.read(metric, [], reading),
            }
        };
        read(&catalogue::SERIES, &[], |samples| samples.series);
        read(&catalogue::STORE_BYTES, &["metrics"], |samples| samples.bytes);
        read(&catalogue::SAMPLES_TOTAL, &["stored"], |samples| samples.stored);
        read(&catalogue::SAMPLES_TOTAL, &["out_of_order"], |samples| samples.out_of_order);
        read(&catalogue::SAMPLES_TOTAL, &["too_old"], |samples| samples.too_old);
        read(&catalogue::SAMPLES_TOTAL, &["too_new"], |samples| samples.too_new);
        read(&catalogue::SAMPLES_TOTAL, &["over_limit"], |samples| samples.over_limit);
        read(&catalogue::DROPPED_TOTAL, &["retention"], |samples| samples.expired);
        read(&catalogue::DROPPED_TOTAL, &["bytes"], |samples| samples.evicted);
        let scrapes = registry.counter(&catalogue::SCRAPES_TOTAL);
        Self {
            scrapes: ["succeeded", "failed"].map(|outcome| scrapes.with([outcome])),
            promql: registry.histogram(&catalogue::QUERY_SECONDS).with(["promql"]),
        }
    }

    /// A scrape has ended.
    pub fn scraped(&self, succeeded: bool) {
        let [good, bad] = &self.scrapes;
        if succeeded { good.inc() } else { bad.inc() }
    }

    /// A PromQL query that came at `began` has its result, or none, at `now`.
    pub fn queried(&self, began: Moment, now: Moment) {
        self.promql.observe(now.nanos_since(began));
    }
}

#[cfg(test)]
mod tests;
