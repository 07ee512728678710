//! What the observatory computes of a demo's spans, held to the same spans read from the files that its components wrote.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

mod load;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use audit::Endpoint;
use audit::load::Target;
use audit::workload::Workload;
use fleet::{Connector, Fleet, GroupConfig, Latency, Observed};
use proxy::{Body, Client, ClientConfig};
use serde_json::Value;

const LATENCY: Latency = Latency {
    gateway: Duration::from_millis(1),
    prefill: Duration::from_millis(10),
    prefill_per_token: Duration::ZERO,
    decode_step: Duration::from_millis(3),
    kv_transfer: Duration::from_millis(2),
    output: Duration::ZERO,
};

const SECOND: u64 = 1_000_000_000;
const STEP: u64 = 5;
const DECODE: &str = "{resource.service.name=\"llm-d-pd-proxy\" && name=\"llm_d.pd_proxy.decode\"}";

fn workload() -> Workload {
    let fault = "0.1:x-candor-fault:status=503".parse().expect("an injection");
    Workload { inject: vec![fault], ..load::mixed(11) }
}

/// A span as its file has it.
#[derive(Debug)]
struct Written {
    service: String,
    name: String,
    start: u64,
    failed: bool,
    attributes: BTreeMap<String, Value>,
}

impl Written {
    fn is_decode(&self) -> bool {
        self.service == "llm-d-pd-proxy" && self.name == "llm_d.pd_proxy.decode"
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.attributes.get(name)?.get("doubleValue")?.as_f64()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.get("stringValue")?.as_str()
    }
}

fn attributes(of: &Value) -> BTreeMap<String, Value> {
    let listed = of["attributes"].as_array().map(Vec::as_slice).unwrap_or_default();
    listed.iter().map(|one| (one["key"].as_str().unwrap_or_default().to_owned(), one["value"].clone())).collect()
}

/// The lines of all files, and the spans in them.
fn written(directory: &Path) -> (Vec<String>, Vec<Written>) {
    let (mut lines, mut spans) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            lines.extend(std::fs::read_to_string(path).expect("a file").lines().map(str::to_owned));
        }
    }
    let list = |of: &Value, name: &str| of[name].as_array().cloned().unwrap_or_default();
    for line in &lines {
        let export: Value = serde_json::from_str(line).expect("JSON");
        for group in list(&export, "resourceSpans") {
            let service =
                attributes(&group["resource"])["service.name"]["stringValue"].as_str().expect("a name").to_owned();
            for span in list(&group, "scopeSpans").iter().flat_map(|scoped| list(scoped, "spans")) {
                let start = &span["startTimeUnixNano"];
                let start = start.as_u64().or_else(|| start.as_str()?.parse().ok()).expect("a time");
                spans.push(Written {
                    service: service.clone(),
                    name: span["name"].as_str().expect("a name").to_owned(),
                    start,
                    failed: span["status"]["code"].as_u64() == Some(2),
                    attributes: attributes(&span),
                });
            }
        }
    }
    (lines, spans)
}

/// Two protocols under some load, some of which fails or leaves; their spans, and an observatory that got them.
async fn run(directory: &Path) -> (Fleet, Observed, Vec<Written>) {
    let group = |connector| GroupConfig { prefill: 1, decode: 1, ..GroupConfig::two_and_two(connector, LATENCY) };
    let fleet = Fleet::start(&[group(Connector::Nixlv2), group(Connector::Sglang)], directory).await.expect("a fleet");
    let flags = ["--listen=127.0.0.1:0", "--otlp-grpc-listen=127.0.0.1:0", "--otlp-http-listen=127.0.0.1:0"];
    let observed = fleet.observe(&flags.map(str::to_owned)).await.expect("an observatory");
    for (number, group) in fleet.groups().iter().enumerate() {
        let load = load::closed(group.gateway(), workload(), 4, 40 + 10 * number as u64);
        load.run().await.expect("a run");
    }
    // By now they are in the files.
    fleet.spans().await.expect("spans");
    let (lines, spans) = written(directory);
    let (client, target) = (Client::new(ClientConfig::default()), proxy::Target::from_addr(observed.addr()));
    for line in lines {
        let request = http::Request::post("/v1/traces").header("content-type", "application/json");
        let answer = client.send(&target, request.body(Body::from(line)).expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), http::StatusCode::OK);
    }
    (fleet, observed, spans)
}

async fn ask(observed: &Observed, path: &str, query: &str, more: &str) -> Value {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("{path}?q={encoded}&{more}");
    let answer = Endpoint { target: Target::of(observed.addr()), path }.text().await.expect("an answer");
    serde_json::from_str(&answer).expect("JSON")
}

/// Values by label and by sample, in Unix seconds; what is left out is 0, as Tempo has it.
type Table = BTreeMap<String, BTreeMap<u64, f64>>;

/// The answer to a metrics query over the time of all spans.
async fn table(observed: &Observed, spans: &[Written], query: &str) -> Table {
    let (start, end) = range(spans);
    let answer =
        ask(observed, "/api/metrics/query_range", query, &format!("start={start}&end={end}&step={STEP}s")).await;
    let series = answer["series"].as_array().expect("series").iter().map(|series| {
        let label = series["labels"][0]["value"]["stringValue"].as_str().expect("a label").to_owned();
        let sample = |sample: &Value| {
            let millis: u64 = sample["timestampMs"].as_str()?.parse().ok()?;
            Some((millis / 1000, sample["value"].as_f64().unwrap_or(0.0)))
        };
        (label, series["samples"].as_array().expect("samples").iter().filter_map(sample).collect())
    });
    series.collect()
}

/// The steps around all spans, in Unix seconds.
fn range(spans: &[Written]) -> (u64, u64) {
    let starts = || spans.iter().map(|span| span.start / SECOND);
    let down = |second: u64| second / STEP * STEP;
    (down(starts().min().expect("a span")), down(starts().max().expect("a span")) + STEP)
}

/// The same by hand: the spans of each label and step, a step being named by its end, and what `of` makes of them.
fn by_hand<'s>(
    spans: impl Iterator<Item = &'s Written>,
    label: impl Fn(&Written) -> String,
    of: impl Fn(&[&Written]) -> f64,
) -> Table {
    let mut cells: BTreeMap<String, BTreeMap<u64, Vec<&Written>>> = BTreeMap::new();
    for span in spans {
        let sample = span.start.div_ceil(STEP * SECOND) * STEP;
        cells.entry(label(span)).or_default().entry(sample).or_default().push(span);
    }
    let values = |cells: BTreeMap<u64, Vec<&Written>>| cells.into_iter().map(|(at, spans)| (at, of(&spans))).collect();
    cells.into_iter().map(|(label, cells)| (label, values(cells))).collect()
}

/// Two tables are the same where each has what the other has, or nothing but 0 there.
fn same(what: &str, theirs: &Table, ours: &Table) {
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>(), "{what}");
    for (label, values) in theirs {
        let at = |table: &Table, time: &u64| table[label].get(time).copied().unwrap_or(0.0);
        for time in values.keys().chain(ours[label].keys()) {
            let (a, b) = (at(theirs, time), at(ours, time));
            assert!((a - b).abs() <= 1e-9 * a.abs().max(b.abs()), "{what} of {label} at {time}: {a} is not {b}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_rates_and_averages_are_those_of_the_spans() {
    let directory = tempfile::tempdir().expect("a directory");
    let (fleet, observed, spans) = run(directory.path()).await;
    let decodes = || spans.iter().filter(|span| span.is_decode());
    assert!(decodes().count() > 60, "{} spans of decode", decodes().count());
    let connector = |span: &Written| span.text("llm_d.pd_proxy.connector").unwrap_or("nil").to_owned();
    let by = "by (span.llm_d.pd_proxy.connector)";

    let all = table(&observed, &spans, "{} | count_over_time() by (resource.service.name)").await;
    same("count", &all, &by_hand(spans.iter(), |span| span.service.clone(), |spans| spans.len() as f64));
    let counted = table(&observed, &spans, &format!("{DECODE} | count_over_time() {by}")).await;
    same("count", &counted, &by_hand(decodes(), connector, |spans| spans.len() as f64));
    assert_eq!(counted.len(), 2, "a series for each protocol");
    let rates = table(&observed, &spans, &format!("{DECODE} | rate() {by}")).await;
    same("rate", &rates, &by_hand(decodes(), connector, |spans| spans.len() as f64 / STEP as f64));

    for attribute in ["true_ttft_ms", "total_duration_ms", "prefill_duration_ms", "kv_transfer_overhead_ms"] {
        let name = format!("llm_d.pd_proxy.{attribute}");
        let measured = || decodes().filter(|span| span.number(&name).is_some());
        assert!(measured().count() > 40, "{name}: {}", measured().count());
        let values = |spans: &[&Written]| spans.iter().filter_map(|span| span.number(&name)).collect::<Vec<_>>();
        let average = |spans: &[&Written]| values(spans).iter().sum::<f64>() / spans.len() as f64;
        let greatest = |spans: &[&Written]| values(spans).into_iter().fold(f64::MIN, f64::max);
        let query = |function: &str| format!("{DECODE} | {function}_over_time(span.{name}) {by}");
        same(&name, &table(&observed, &spans, &query("avg")).await, &by_hand(measured(), connector, average));
        same(&name, &table(&observed, &spans, &query("max")).await, &by_hand(measured(), connector, greatest));
    }

    let failed = spans.iter().filter(|span| span.failed).count();
    let found = ask(&observed, "/api/search", "{status=error}", "limit=1000&spss=1000").await;
    let matched = found["traces"].as_array().expect("traces").iter().map(|trace| trace["spanSet"]["matched"].as_u64());
    assert!(failed > 0, "some of the load is made to fail");
    assert_eq!(matched.map(|matched| matched.unwrap_or(0)).sum::<u64>(), failed as u64);
    fleet.forget(observed).await.expect("a clean end");
    fleet.shutdown().await.expect("a clean end");
}
