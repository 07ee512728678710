//! What real Tempo answered to 70 requests on the same spans, and what we answer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use telemetry::clock::Moment;

use super::*;
use crate::otlp;
use crate::traces::Limits;

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let packed = std::fs::read(&path).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn sample_store() -> SpanStore {
    let store = SpanStore::new(Limits::default());
    let body = serde_json::from_slice(&fixture("tempo/spans.otlp.json.gz")).unwrap();
    let request = otlp::json::traces(&body).unwrap();
    let accepted = store.insert(&request.resource_spans, Moment::from_nanos(1));
    assert_eq!((accepted.spans, accepted.rejected, accepted.truncated), (1778, 0, 0));
    store
}

#[derive(Deserialize)]
struct Exchange {
    path: String,
    params: BTreeMap<String, Value>,
    status: u16,
    body: Value,
}

impl Exchange {
    fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.params {
            query.append_pair(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str());
        }
        query.finish()
    }

    fn is_quantile(&self) -> bool {
        self.params.get("q").and_then(Value::as_str).is_some_and(|query| query.contains("quantile_over_time"))
    }
}

#[test]
fn every_answer_is_what_tempo_answered() {
    let store = sample_store();
    let exchanges: Vec<Exchange> = serde_json::from_slice(&fixture("tempo/answers.json.gz")).unwrap();
    assert_eq!(exchanges.len(), 70);
    let mut faults = Vec::new();
    for (number, exchange) in exchanges.iter().enumerate() {
        let reply = answer(&store, &exchange.path, &exchange.query(), "application/json");
        if let Err(fault) = same(exchange, &reply) {
            faults.push(format!("{number}: {} {:?}: {fault}", exchange.path, exchange.params.get("q")));
        }
    }
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), faults.join("\n"));
}

/// Compares what is significant.
fn same(exchange: &Exchange, reply: &Reply) -> Result<(), String> {
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    if reply.status.as_u16() != exchange.status {
        return Err(format!("status {} instead of {}: {body}", reply.status, exchange.status));
    }
    if let Value::String(text) = &exchange.body {
        return equal("text", &body, text);
    }
    let ours: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
    let theirs = &exchange.body;
    match exchange.path.as_str() {
        "/api/search" => equal("traces", &by_id(&ours), &by_id(theirs)),
        "/api/metrics/query" | "/api/metrics/query_range" => same_series(&ours, theirs, exchange.is_quantile()),
        _ => equal("body", &unordered(&ours), &unordered(theirs)),
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, theirs: &T) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{what}:\n  ours   {ours:?}\n  theirs {theirs:?}")) }
}

/// Traces by identity, with lists of attributes and spans in one order.
fn by_id(body: &Value) -> BTreeMap<String, Value> {
    let traces = body["traces"].as_array().unwrap();
    let found: BTreeMap<String, Value> =
        traces.iter().map(|trace| (trace["traceID"].as_str().unwrap().to_owned(), unordered(trace))).collect();
    assert_eq!(found.len(), traces.len(), "no trace twice");
    found
}

/// The value without `metrics`, and with every list sorted.
fn unordered(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(unordered).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != "metrics");
            Value::Object(members.map(|(name, value)| (name.clone(), unordered(value))).collect())
        }
        Value::Number(number) => Value::from(number.as_f64()),
        other => other.clone(),
    }
}

fn same_series(ours: &Value, theirs: &Value, estimated: bool) -> Result<(), String> {
    let (ours, theirs) = (by_labels(ours), by_labels(theirs));
    equal("series", &ours.keys().collect::<BTreeSet<_>>(), &theirs.keys().collect())?;
    for (labels, series) in &theirs {
        let (ours, theirs) = (samples(&ours[labels]), samples(series));
        equal("times", &ours.keys().collect::<Vec<_>>(), &theirs.keys().collect())?;
        for (time, theirs) in theirs {
            let ours = ours[&time];
            // Tempo tells a quantile from the power of two below it to the next; the true one cannot be further away.
            let near = if estimated {
                (ours == 0.0) == (theirs == 0.0) && ours <= theirs * 2.0 && theirs <= ours * 2.0
            } else {
                (ours - theirs).abs() <= 1e-6 * theirs.abs().max(1.0)
            };
            if !near {
                return Err(format!("{labels} at {time}: {ours} instead of {theirs}"));
            }
        }
    }
    Ok(())
}

fn by_labels(body: &Value) -> BTreeMap<String, Value> {
    let series = body["series"].as_array().unwrap();
    series.iter().map(|series| (series["labels"].to_string(), series.clone())).collect()
}

/// Samples by time; the one of an instant query has none.
fn samples(series: &Value) -> BTreeMap<String, f64> {
    let value = |sample: &Value| sample["value"].as_f64().unwrap_or(0.0);
    match series["samples"].as_array() {
        Some(samples) => {
            samples.iter().map(|sample| (sample["timestampMs"].as_str().unwrap().to_owned(), value(sample))).collect()
        }
        None => BTreeMap::from([(String::new(), value(series))]),
    }
}
