//! Queries: evaluated off the threads that serve, as many at once as there are permits.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;
use telemetry::clock;

use super::answer::{Answer, ApiError};
use super::params::{Params, parse_duration};
use crate::metrics::Labels;
use crate::promql::{self, Column, Grid, Instant, Query, QueryError, is_present, number};
use crate::state::State;
use crate::time::unix_millis;

/// Steps of a range query at most, as in Prometheus.
const MAX_STEPS: usize = 11_000;

type Result<T> = std::result::Result<T, ApiError>;

/// `/query`.
pub(super) async fn instant(state: &Arc<State>, params: &Params) -> Result<Answer> {
    let at = params.time("time")?.unwrap_or_else(unix_millis);
    let query = query(params)?;
    let result = evaluate(state, params, move |state, limits| query.instant(&state.metrics, at, limits)).await?;
    Ok(Answer::written(write_instant(at, &result)))
}

/// `/query_range`.
pub(super) async fn range(state: &Arc<State>, params: &Params) -> Result<Answer> {
    let needed = |name: &'static str| {
        let missing = || ApiError::parameter(name, "cannot parse \"\" to a valid timestamp");
        params.time(name)?.ok_or_else(missing)
    };
    let (start, end) = (needed("start")?, needed("end")?);
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step = params.duration("step")?;
    let step = step.ok_or_else(|| ApiError::parameter("step", "cannot parse \"\" to a valid duration"))?;
    if step <= 0 {
        return Err(ApiError::parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    let grid = Grid::new(start, end, step);
    if grid.count > MAX_STEPS + 1 {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let query = query(params)?;
    let columns = evaluate(state, params, move |state, limits| query.range(&state.metrics, grid, limits)).await?;
    Ok(Answer::written(write_range(grid, &columns)))
}

/// `/format_query`.
pub(super) fn format(params: &Params) -> Result<Answer> {
    Ok(Answer::of(json!(query(params)?.pretty())))
}

/// `/query_exemplars`: of every series that the expression reads.
pub(super) fn exemplars(state: &State, params: &Params) -> Result<Answer> {
    let (start, end) = params.range()?;
    let mut found: Vec<_> = Vec::new();
    for matchers in query(params)?.selectors().map_err(ApiError::from)? {
        for series in state.metrics.exemplars(&matchers, start, end) {
            if !found.contains(&series) {
                found.push(series);
            }
        }
    }
    let exemplar = |exemplar: &crate::metrics::store::Exemplar| {
        json!({
            "labels": exemplar.labels,
            "value": number::json(exemplar.value),
            "timestamp": exemplar.at as f64 / 1000.0,
        })
    };
    let series = found.iter().map(|series| {
        let exemplars: Vec<_> = series.exemplars.iter().map(exemplar).collect();
        json!({"seriesLabels": series.labels, "exemplars": exemplars})
    });
    Ok(Answer::of(series.collect()))
}

fn query(params: &Params) -> Result<Query> {
    Query::parse(params.text("query").unwrap_or_default()).map_err(ApiError::from)
}

/// Evaluates on a thread of its own, for as long as the caller, or the flag, allows.
async fn evaluate<T: Send + 'static>(
    state: &Arc<State>,
    params: &Params,
    evaluate: impl FnOnce(&State, promql::Limits) -> std::result::Result<T, QueryError> + Send + 'static,
) -> Result<T> {
    let mut limits = state.query_limits;
    if let Some(timeout) = params.text("timeout") {
        let millis = parse_duration(timeout)
            .and_then(|millis| u64::try_from(millis).ok())
            .ok_or_else(|| ApiError::parameter("timeout", format!("cannot parse {timeout:?} to a valid duration")))?;
        limits.timeout = limits.timeout.min(std::time::Duration::from_millis(millis));
    }
    let began = clock::now();
    let permit = tokio::time::timeout(limits.timeout, Arc::clone(&state.queries).acquire_owned()).await;
    let permit = permit.map_err(|_| ApiError::from(QueryError::TimedOut))?;
    let telemetry = state.telemetry.clone();
    let state = Arc::clone(state);
    let result = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        evaluate(&state, limits)
    });
    let result = result.await;
    telemetry.queried(began, clock::now());
    match result {
        Ok(result) => result.map_err(ApiError::from),
        Err(error) => {
            tracing::error!(%error, "a query ended before it had a result");
            Err(ApiError::internal())
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Parse(_) => Self::parameter("query", error),
            QueryError::Unsupported(_) => Self::bad_data(error.to_string()),
            QueryError::Execution(_) | QueryError::TooManySamples => Self::execution(error.to_string()),
            QueryError::TimedOut => Self::timeout(error.to_string()),
        }
    }
}

fn write_instant(at: i64, result: &Instant) -> String {
    let mut out = String::new();
    match result {
        Instant::Scalar(value) => {
            out.push_str("{\"resultType\":\"scalar\",\"result\":");
            point(&mut out, at, *value);
        }
        Instant::Text(text) => {
            out.push_str("{\"resultType\":\"string\",\"result\":[");
            time(&mut out, at);
            out.push(',');
            out.push_str(&json!(text).to_string());
            out.push(']');
        }
        Instant::Vector(vector) => {
            out.push_str("{\"resultType\":\"vector\",\"result\":[");
            for (index, (labels, value)) in vector.iter().enumerate() {
                metric(&mut out, index, labels, "value");
                point(&mut out, at, *value);
                out.push('}');
            }
            out.push(']');
        }
        Instant::Matrix(matrix) => {
            out.push_str("{\"resultType\":\"matrix\",\"result\":[");
            for (index, (labels, samples)) in matrix.iter().enumerate() {
                metric(&mut out, index, labels, "values");
                points(&mut out, samples.iter().map(|sample| (sample.at, sample.value)));
                out.push('}');
            }
            out.push(']');
        }
    }
    out.push('}');
    out
}

fn write_range(grid: Grid, columns: &[Column]) -> String {
    let mut out = String::from("{\"resultType\":\"matrix\",\"result\":[");
    for (index, column) in columns.iter().enumerate() {
        metric(&mut out, index, &column.labels, "values");
        let present = grid.times().zip(column.values.iter().copied());
        points(&mut out, present.filter(|(_, value)| is_present(*value)));
        out.push('}');
    }
    out.push_str("]}");
    out
}

/// Begins an object with its series; the value under `key` and the end are to follow.
fn metric(out: &mut String, index: usize, labels: &Labels, key: &str) {
    let comma = if index == 0 { "" } else { "," };
    let _ = write!(out, "{comma}{{\"metric\":{},\"{key}\":", json!(labels));
}

fn points(out: &mut String, points: impl Iterator<Item = (i64, f64)>) {
    out.push('[');
    for (index, (at, value)) in points.enumerate() {
        if index > 0 {
            out.push(',');
        }
        point(out, at, value);
    }
    out.push(']');
}

fn point(out: &mut String, at: i64, value: f64) {
    out.push('[');
    time(out, at);
    let _ = write!(out, ",\"{}\"]", number::json(value));
}

/// Milliseconds as seconds, exactly.
fn time(out: &mut String, at: i64) {
    let sign = if at < 0 { "-" } else { "" };
    let (seconds, millis) = (at.unsigned_abs() / 1000, at.unsigned_abs() % 1000);
    let _ = match millis {
        0 => write!(out, "{sign}{seconds}"),
        _ => write!(out, "{sign}{seconds}.{millis:03}"),
    };
}
