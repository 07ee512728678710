//! Samples as OTLP has them: 10,000 series of the metrics that the dashboards ask about, of as many engines as it takes.

use std::collections::{BTreeMap, BTreeSet};

use super::panels::Asked;
use crate::protobuf::Record;

/// Bounds of every histogram: with the last bucket, sum and count that makes nineteen series.
const BOUNDS: [f64; 16] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5];
const SERIES_OF_HISTOGRAM: usize = BOUNDS.len() + 3;
/// Milliseconds between two scrapes.
pub(super) const INTERVAL: u64 = 10_000;
/// OTLP's number for what is counted since the start.
const CUMULATIVE: u64 = 2;

/// A number or a histogram of one engine.
#[derive(Clone, Debug)]
struct Family {
    name: String,
    histogram: bool,
    counter: bool,
    /// Attributes of its points, encoded.
    attributes: Vec<Record>,
    seed: u64,
}

/// What one engine exposes.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    resource: Record,
    families: Vec<Family>,
}

/// Engines with `series` series in all.
pub(super) fn fleet(asked: &Asked, series: usize) -> Vec<Engine> {
    let families = families(asked);
    let (mut engines, mut left) = (Vec::new(), series);
    while left > 0 {
        let number = engines.len();
        let mut own = Vec::new();
        for (place, family) in families.iter().enumerate() {
            let size = if family.histogram { SERIES_OF_HISTOGRAM } else { 1 };
            if size <= left {
                left -= size;
                own.push(Family { seed: (number * families.len() + place) as u64, ..family.clone() });
            }
        }
        if own.is_empty() {
            break;
        }
        let resource = Record::default()
            .message(1, &attribute("service.name", "engine"))
            .message(1, &attribute("service.instance.id", &format!("10.0.0.{number}:8000")));
        engines.push(Engine { resource, families: own });
    }
    engines
}

/// One engine's families: one for each combination of the label values that are asked for.
fn families(asked: &Asked) -> Vec<Family> {
    let names: BTreeSet<&str> = asked.keys().map(|name| base(name, asked)).collect();
    let mut families = Vec::new();
    for name in names {
        let parts = asked.iter().filter(|(metric, _)| base(metric, asked) == name);
        let histogram = parts.clone().any(|(metric, _)| metric != name);
        let mut sets: Vec<Vec<Record>> = vec![Vec::new()];
        let mut labels = BTreeMap::<&str, BTreeSet<&str>>::new();
        for (label, values) in parts.flat_map(|(_, labels)| labels) {
            labels.entry(label).or_default().extend(values.iter().map(String::as_str));
        }
        for (label, values) in labels.into_iter().filter(|(label, _)| *label != "le") {
            let values: Vec<&str> =
                if values.is_empty() { usual(label).to_vec() } else { values.into_iter().collect() };
            let with = |set: Vec<Record>| {
                values.iter().map(|value| [set.as_slice(), &[attribute(label, value)]].concat()).collect::<Vec<_>>()
            };
            sets = sets.into_iter().flat_map(with).collect();
        }
        families.extend(sets.into_iter().map(|attributes| Family {
            name: name.to_owned(),
            histogram,
            counter: name.ends_with("_total"),
            attributes,
            seed: 0,
        }));
    }
    families
}

/// The family of a metric: a histogram's parts are asked for by their own names.
fn base<'a>(metric: &'a str, asked: &Asked) -> &'a str {
    let stem = ["_bucket", "_sum", "_count"].iter().find_map(|part| metric.strip_suffix(part));
    let is_part = |stem: &str| ["_bucket", "_sum"].iter().any(|part| asked.contains_key(&format!("{stem}{part}")));
    stem.filter(|stem| is_part(stem)).unwrap_or(metric)
}

/// Values of a label of which none is asked for.
fn usual(label: &str) -> &'static [&'static str] {
    match label {
        "namespace" => &["default"],
        "model" | "model_name" => &["qwen3-32b"],
        "infer_type" => &["prefill", "decode"],
        "connector" => &["nixlv2"],
        _ => &["any"],
    }
}

fn attribute(key: &str, value: &str) -> Record {
    Record::default().text(1, key).message(2, &Record::default().text(1, value))
}

impl Engine {
    /// The points of scrapes `from..to` as an export; the first scrape was at `start`, Unix milliseconds.
    pub(super) fn export(&self, start: u64, from: u64, to: u64) -> Vec<u8> {
        let mut scope = Record::default();
        for family in &self.families {
            scope = scope.message(2, &family.metric(start, from, to));
        }
        Record::default().message(1, &Record::default().message(1, &self.resource).message(2, &scope)).0
    }
}

impl Family {
    fn metric(&self, start: u64, from: u64, to: u64) -> Record {
        let points = (from..to).map(|scrape| {
            // Scrapes of real targets are some milliseconds late.
            let late = (scrape * 7919 + self.seed) % 4;
            (scrape, (start + scrape * INTERVAL + late) * 1_000_000)
        });
        let mut data = Record::default();
        for (scrape, at) in points {
            let point = if self.histogram { self.distribution(scrape) } else { self.number(scrape) };
            data = data.message(1, &point.fixed(3, at));
        }
        let metric = Record::default().text(1, &self.name);
        match (self.histogram, self.counter) {
            (true, _) => metric.message(9, &data.int(2, CUMULATIVE)),
            (false, true) => metric.message(7, &data.int(2, CUMULATIVE).int(3, 1)),
            (false, false) => metric.message(5, &data),
        }
    }

    fn number(&self, scrape: u64) -> Record {
        let noise = self.noise(scrape);
        let value = match (self.counter, self.seed % 2) {
            (true, _) => (scrape * (self.seed % 40 + 1) + noise % 7) as f64,
            // Whole numbers, and measured ones.
            (false, 0) => (noise % 64) as f64,
            (false, _) => (noise % 99_991) as f64 / 997.0,
        };
        self.point(7).double(4, value)
    }

    /// A histogram whose buckets grow at different rates, some hardly at all.
    fn distribution(&self, scrape: u64) -> Record {
        let counts: Vec<u64> = (0..=BOUNDS.len() as u64)
            .map(|bucket| scrape * (self.seed % 5 + 1) / (1 + bucket.abs_diff(self.seed % 16).pow(2)))
            .collect();
        let count = counts.iter().sum();
        let sum = (count * 37) as f64 + self.noise(scrape) as f64 % 37.0 / 41.0;
        self.point(9)
            .fixed(4, count)
            .double(5, sum)
            .packed(6, counts.into_iter())
            .packed(7, BOUNDS.iter().map(|bound| bound.to_bits()))
    }

    /// A point with its attributes, in the field that its kind has for them.
    fn point(&self, field: u64) -> Record {
        self.attributes.iter().fold(Record::default(), |point, attribute| point.message(field, attribute))
    }

    fn noise(&self, scrape: u64) -> u64 {
        (scrape ^ self.seed << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
    }
}

#[cfg(test)]
mod tests {
    use super::super::panels::asked;
    use super::*;

    #[test]
    fn a_fleet_has_the_series_that_are_asked_about_and_as_many_as_are_wanted() {
        let mut about = Asked::new();
        asked("rate(h_bucket{infer_type=\"decode\"}[1m]) + g{infer_type=~\".*\"} + c_count{} + c_total{}", &mut about);
        let fleet = fleet(&about, 100);
        let names = |engine: &Engine| engine.families.iter().map(|family| family.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            names(&fleet[0]),
            ["c_count", "c_total", "g", "g", "h"],
            "no part of a histogram without buckets or sum"
        );
        let series = |engine: &Engine| engine.families.iter().map(|f| if f.histogram { 19 } else { 1 }).sum::<usize>();
        assert_eq!(fleet.iter().map(series).sum::<usize>(), 100);
    }
}
