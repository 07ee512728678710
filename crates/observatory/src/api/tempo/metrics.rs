//! `/api/metrics/query_range` and `/api/metrics/query`.

use serde_json::{Value, json};
use telemetry::clock;

use super::json::{Object, double, labels};
use super::params::Params;
use super::reply::{Fault, Reply};
use crate::traceql::metrics::{Answer, Exemplar, MAX_SAMPLES, Series, Window, run};
use crate::traceql::{Query, parse};
use crate::traces::SpanStore;

/// Exemplars of an answer where nothing is said, and most of them.
const EXEMPLARS: usize = 100;

pub(super) fn range(store: &SpanStore, params: &Params) -> Result<Reply, Fault> {
    let (start, end) = params.recent(clock::now().unix_nanos())?;
    let query = parse(text(params)).map_err(|error| Fault::new(error.to_string()))?;
    let step = params.duration("step")?.filter(|step| *step > 0).unwrap_or_else(|| default_step(end - start));
    let window = Window::range(start, end, step).ok_or_else(|| {
        Fault::new(format!("the range holds more than {MAX_SAMPLES} steps: take a longer step or a shorter range"))
    })?;
    let exemplars = params.count_or_none("exemplars", EXEMPLARS)?.min(EXEMPLARS);
    let answer = answer(store, &query, &window, exemplars)?;
    Ok(shape(&answer, |series| ranged(series, &window)))
}

pub(super) fn instant(store: &SpanStore, params: &Params) -> Result<Reply, Fault> {
    let (start, end) = params.recent(clock::now().unix_nanos())?;
    let query = parse(text(params)).map_err(|error| Fault::new(format!("compiling query: {error}")))?;
    let answer = answer(store, &query, &Window::instant(start, end), 0)?;
    Ok(shape(&answer, at_once))
}

fn text(params: &Params) -> &str {
    params.get("q").or_else(|| params.get("query")).unwrap_or_default()
}

fn answer(store: &SpanStore, query: &Query, window: &Window, exemplars: usize) -> Result<Answer, Fault> {
    run(&store.read(), query, window, exemplars).ok_or_else(|| Fault::new("not a metrics query"))
}

/// About 240 samples, at a step that is easy to read.
fn default_step(range: u64) -> u64 {
    const STEPS_MS: &[u64] = &[3_600_000, 300_000, 60_000, 15_000, 5_000, 1_000, 50];
    let wanted = range / 240 / 1_000_000;
    let least = if range < 60_000_000_000 { 50 } else { 1_000 };
    let unit = STEPS_MS.iter().copied().find(|unit| wanted > *unit && *unit >= least).unwrap_or(least);
    (wanted / unit * unit).max(least) * 1_000_000
}

fn shape(answer: &Answer, series: impl Fn(&Series) -> Value) -> Reply {
    let series: Vec<Value> = answer.series.iter().map(series).collect();
    let metrics = json!({"inspectedSpans": answer.inspected.to_string(), "completedJobs": 1, "totalJobs": 1});
    let body = Object::default()
        .put("series", series)
        .put("metrics", metrics)
        .put_some("message", answer.message.clone().unwrap_or_default());
    Reply::json(&body.into_value())
}

fn ranged(series: &Series, window: &Window) -> Value {
    let sampled = series.values.iter().enumerate().filter_map(|(at, value)| {
        let sample = Object::default().put("timestampMs", window.millis(at).to_string());
        Some(sample.put_some("value", double((*value)?)).into_value())
    });
    Object::default()
        .put("labels", labels(&series.labels))
        .put("samples", sampled.collect::<Vec<_>>())
        .put_some("exemplars", series.exemplars.iter().map(exemplar).collect::<Vec<_>>())
        .into_value()
}

fn at_once(series: &Series) -> Value {
    let value = series.values.first().copied().flatten().unwrap_or(0.0);
    Object::default().put("labels", labels(&series.labels)).put_some("value", double(value)).into_value()
}

fn exemplar(exemplar: &Exemplar) -> Value {
    Object::default()
        .put("labels", labels(&exemplar.labels))
        .put_some("value", double(exemplar.value.unwrap_or(0.0)))
        .put("timestampMs", exemplar.millis.to_string())
        .into_value()
}
