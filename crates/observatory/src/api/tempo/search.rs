//! `/api/search`.

use serde_json::{Value, json};

use super::json::{Object, labels};
use super::params::Params;
use super::reply::{Fault, Reply};
use crate::traceql::search::{Bounds, Found, FoundSet, FoundSpan, FoundTrace, search};
use crate::traceql::{Query, parse};
use crate::traces::SpanStore;

/// What Tempo limits a search to where nothing is said.
const TRACES: usize = 20;
const SPANS: usize = 3;

pub(super) fn answer(store: &SpanStore, params: &Params) -> Result<Reply, Fault> {
    let query = query(params)?;
    let (start, end) = params.span_of_time()?;
    let bounds = Bounds {
        start,
        end,
        traces: params.count("limit", TRACES)?,
        spans: params.count("spss", SPANS)?,
        shortest: params.duration("minDuration")?.unwrap_or(0),
        longest: params.duration("maxDuration")?.unwrap_or(u64::MAX),
    };
    let found = search(&store.read(), &query, &bounds);
    Ok(Reply::json(&shape(&found)))
}

fn query(params: &Params) -> Result<Query, Fault> {
    let text = match (params.get("q"), params.get("tags")) {
        (Some(query), _) => query.to_owned(),
        (None, Some(tags)) => of_tags(tags)?,
        (None, None) => "{}".to_owned(),
    };
    let query = parse(&text).map_err(|error| Fault::new(format!("invalid TraceQL query: {error}")))?;
    if query.is_metrics() {
        return Err(Fault::new("invalid TraceQL query: a metrics query: ask /api/metrics/query_range"));
    }
    Ok(query)
}

/// The older way to search: `key=value` pairs, of which the value is part of the attribute's, in whatever case.
fn of_tags(tags: &str) -> Result<String, Fault> {
    let mut conditions = Vec::new();
    let mut rest = tags.trim_start();
    while !rest.is_empty() {
        let wrong = || Fault::new(format!("invalid tags: {tags:?} is not a list of key=value pairs"));
        let (key, after) = rest.split_once('=').ok_or_else(wrong)?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(wrong)?,
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        let pattern = format!("(?i).*{}.*", regex::escape(value)).replace('`', ".");
        let field = if matches!(key, "name" | "statusMessage") { key.to_owned() } else { format!(".{key}") };
        let is_number = value.parse::<f64>().is_ok() || matches!(value, "true" | "false");
        let exact = if is_number { format!(" || {field} = {value}") } else { String::new() };
        conditions.push(format!("({field} =~ `{pattern}`{exact})"));
        rest = after.trim_start();
    }
    Ok(format!("{{{}}}", conditions.join(" && ")))
}

fn shape(found: &Found) -> Value {
    let traces: Vec<Value> = found.traces.iter().map(trace).collect();
    let metrics = json!({"inspectedTraces": found.inspected, "completedJobs": 1, "totalJobs": 1});
    json!({"traces": traces, "metrics": metrics})
}

fn trace(trace: &FoundTrace) -> Value {
    let sets: Vec<Value> = trace.sets.iter().map(set).collect();
    let services = trace.services.iter().map(|(service, (spans, errors))| {
        (service.clone(), Object::default().put("spanCount", *spans).put_some("errorCount", *errors).into_value())
    });
    Object::default()
        .put("traceID", trace.id.to_string())
        .put("rootServiceName", trace.root_service.clone())
        .put("rootTraceName", trace.root_name.clone())
        .put("startTimeUnixNano", trace.start.to_string())
        .put_some("durationMs", trace.duration / 1_000_000)
        .put("spanSet", sets.first().cloned().unwrap_or_default())
        .put("spanSets", sets)
        .put("serviceStats", Value::Object(services.collect()))
        .into_value()
}

fn set(set: &FoundSet) -> Value {
    let spans: Vec<Value> = set.spans.iter().map(span).collect();
    Object::default()
        .put("spans", spans)
        .put("matched", set.matched)
        .put_some("attributes", labels(&set.attrs))
        .into_value()
}

fn span(span: &FoundSpan) -> Value {
    Object::default()
        .put("spanID", span.id.to_string())
        .put_some("name", span.name.clone().unwrap_or_default())
        .put("startTimeUnixNano", span.start.to_string())
        .put("durationNanos", span.duration.to_string())
        .put_some("attributes", labels(&span.attrs))
        .into_value()
}
