//! Samples of every kind of trouble: resets, gaps, series that come and go, late scrapes, numbers that are none.

use std::fmt::Write as _;

/// The first time of any sample: a fixed one, in Unix milliseconds.
pub(super) const START: i64 = 1_700_000_040_000;
/// The last time of any sample: an hour and a half later.
pub(super) const END: i64 = START + 5_400_000;
/// The distance of two scrapes.
const STEP: i64 = 15_000;

/// A series and its samples.
pub(super) struct Series {
    /// Labels in order of their names.
    pub(super) labels: Vec<(String, String)>,
    /// Unix milliseconds and values.
    pub(super) samples: Vec<(i64, f64)>,
}

impl Series {
    /// A series of the values that `value` gives for the number of a scrape; none where it gives none.
    pub(super) fn new(name: &str, labels: &[(&str, &str)], value: impl Fn(i64) -> Option<f64>) -> Self {
        let mut labels: Vec<(String, String)> =
            labels.iter().chain([&("__name__", name)]).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        labels.sort();
        // Scrapes of real targets are a few milliseconds late, each its own.
        let late = labels.iter().map(|(_, value)| value.len() as i64 * 37).sum::<i64>();
        let jitter = |scrape: i64| (scrape * 7919 + late) % 23;
        let at = |scrape: i64| START + scrape * STEP + jitter(scrape);
        let scrapes = 0..(END - START) / STEP;
        Self { samples: scrapes.filter_map(|scrape| Some((at(scrape), value(scrape)?))).collect(), labels }
    }
}

/// A number that looks random and is the same in every run.
fn noise(seed: i64, scrape: i64) -> f64 {
    let mixed = (seed.wrapping_mul(0x9e37_79b9) ^ scrape.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0xc2b2_ae35);
    (mixed.rem_euclid(10_007)) as f64 / 10_007.0
}

/// A counter that grows by up to `most` a scrape, and starts anew at the scrapes of `resets`.
fn counter(seed: i64, most: f64, resets: &[i64]) -> impl Fn(i64) -> Option<f64> {
    move |scrape| {
        let since = resets.iter().copied().filter(|reset| *reset <= scrape).max().unwrap_or(0);
        Some((since..=scrape).map(|scrape| (noise(seed, scrape) * most).floor()).sum())
    }
}

/// The series that the expressions are about.
pub(super) fn various() -> Vec<Series> {
    let mut series = Vec::new();
    counters(&mut series);
    gauges(&mut series);
    histograms(&mut series);
    series
}

fn counters(series: &mut Vec<Series>) {
    let mut seed = 0;
    for job in ["api", "web"] {
        for instance in ["h0:80", "h1:80", "h2:80"] {
            for code in ["200", "404", "500"] {
                seed += 1;
                let resets = [40 * (seed % 4) + 60, 200 + seed];
                let count = counter(seed, 40.0 / seed as f64 + 2.0, &resets);
                let labels = [("job", job), ("instance", instance), ("code", code)];
                let gone = seed == 5;
                let late = seed == 6;
                let value = move |scrape| {
                    let there = (!gone || scrape < 150) && (!late || scrape >= 90);
                    // One target does not answer for seven minutes, another misses every ninth scrape.
                    let missed = seed == 7 && (100..130).contains(&scrape) || seed == 8 && scrape % 9 == 0;
                    if there && !missed { count(scrape) } else { None }
                };
                series.push(Series::new("requests_total", &labels, value));
            }
        }
    }
    series.push(Series::new("constant_total", &[("job", "api")], |_| Some(42.0)));
    series.push(Series::new("rare_total", &[("job", "api")], |scrape| (scrape % 16 == 3).then_some(scrape as f64)));
    series.push(Series::new("once_total", &[("job", "api")], |scrape| (scrape == 170).then_some(9.0)));
}

fn gauges(series: &mut Vec<Series>) {
    for (seed, (room, floor)) in (20..).zip([("kitchen", "0"), ("hall", "0"), ("bath", "1"), ("attic", "2")]) {
        let value = move |scrape: i64| {
            let wave = (scrape as f64 / (7.0 + seed as f64)).sin() * 10.0 + noise(seed, scrape) - 2.0;
            Some(match scrape {
                70..75 if seed == 21 => f64::NAN,
                120 if seed == 22 => f64::INFINITY,
                121 if seed == 22 => f64::NEG_INFINITY,
                _ => wave,
            })
        };
        series.push(Series::new("temperature", &[("room", room), ("floor", floor)], value));
        let target = 15.0 + (seed - 20) as f64;
        series.push(Series::new("target_temperature", &[("room", room)], move |scrape| {
            (scrape % 2 == 0).then_some(target)
        }));
        series.push(Series::new(
            "room_info",
            &[("room", room), ("paint", if seed < 22 { "white" } else { "blue" })],
            |_| Some(1.0),
        ));
    }
    for (seed, instance) in (30..).zip(["h0:80", "h1:80", "h2:80"]) {
        let bytes = move |scrape| Some((noise(seed, scrape) * 1e9).floor() + 3e9);
        series.push(Series::new("memory_bytes", &[("instance", instance), ("job", "api")], bytes));
        let up = move |scrape| Some(if seed == 31 && (50..60).contains(&scrape) { 0.0 } else { 1.0 });
        series.push(Series::new("up", &[("instance", instance), ("job", "api")], up));
        let start = 1_709_164_800.0 + (seed - 30) as f64 * 9_000_000.0;
        series.push(Series::new("start_time_seconds", &[("instance", instance), ("job", "api")], move |_| Some(start)));
    }
    series.push(Series::new("zero", &[], |_| Some(0.0)));
    series.push(Series::new("tiny", &[("k", "v")], |scrape| Some(1e-9 * scrape as f64)));
    series.push(Series::new("steps", &[("k", "v")], |scrape| Some((scrape / 20 % 4) as f64)));
}

fn histograms(series: &mut Vec<Series>) {
    let bounds = ["0.005", "0.01", "0.1", "0.5", "1", "2.5", "10", "+Inf"];
    for (seed, (job, instance)) in (50..).zip([("api", "h0:80"), ("api", "h1:80"), ("web", "h2:80")]) {
        for (at, bound) in (1..).zip(bounds) {
            let parts: Vec<_> = (0..at).map(|part| counter(seed * 10 + part, 6.0, &[180])).collect();
            let value = move |scrape| parts.iter().map(|part| part(scrape)).sum();
            series.push(Series::new(
                "latency_seconds_bucket",
                &[("job", job), ("instance", instance), ("le", bound)],
                value,
            ));
        }
        let sum = counter(seed * 10 + 9, 60.0, &[180]);
        series.push(Series::new("latency_seconds_sum", &[("job", job), ("instance", instance)], sum));
        let parts: Vec<_> = (0..8).map(|part| counter(seed * 10 + part, 6.0, &[180])).collect();
        let count = move |scrape| parts.iter().map(|part| part(scrape)).sum();
        series.push(Series::new("latency_seconds_count", &[("job", job), ("instance", instance)], count));
    }
    // Buckets that do not agree, one bound in two spellings, one that is none, and a histogram without its last bucket.
    for (bound, value) in [("1", 5.0), ("2", 4.0), ("4", 9.0), ("4.0", 1.0), ("x", 3.0), ("+Inf", 12.0)] {
        series.push(Series::new("crooked_bucket", &[("le", bound)], move |_| Some(value)));
    }
    for (bound, value) in [("-2", 3.0), ("-1", 5.0), ("+Inf", 9.0)] {
        series.push(Series::new("negative_bucket", &[("le", bound)], move |_| Some(value)));
    }
    for (bound, value) in [("1", 3.0), ("2", 5.0)] {
        series.push(Series::new("open_bucket", &[("le", bound)], move |_| Some(value)));
    }
}

/// The text that `promtool` reads.
pub(super) fn openmetrics(series: &[Series]) -> String {
    let mut text = String::new();
    for Series { labels, samples } in series {
        let name = labels.iter().find(|(name, _)| name == "__name__").map_or("", |(_, value)| value);
        let rest = labels.iter().filter(|(name, _)| name != "__name__");
        let rest: Vec<String> = rest.map(|(name, value)| format!("{name}={value:?}")).collect();
        for (at, value) in samples {
            let value = match *value {
                f64::INFINITY => "+Inf".to_owned(),
                f64::NEG_INFINITY => "-Inf".to_owned(),
                value => value.to_string(),
            };
            writeln!(text, "{name}{{{}}} {value} {}.{:03}", rest.join(","), at / 1000, at % 1000).unwrap();
        }
    }
    text.push_str("# EOF\n");
    text
}
