//! A run is made up, reported truthfully, and then falsified in one place at a time: each lie must be found out.

use std::path::Path;

use telemetry::exposition;

use super::{Bounds, Evidence, Faults};
use crate::echo::Noise;
use crate::record::{End, LoadReport, Record};
use crate::scrape::{Delta, Scrape};
use crate::spans::Spans;
use crate::verdict::{Holds, Verdict};

const MS: u64 = 1_000_000;

fn record(index: u64) -> Record {
    let first = 65 * MS + index * 10_000;
    Record {
        index,
        request_id: format!("audit-{index}"),
        trace_id: format!("{:032x}", index + 1),
        span_id: format!("{:016x}", index + 1),
        start_ns: index * MS,
        path: "/v1/completions".to_owned(),
        stream: true,
        leaving: false,
        late_ns: 0,
        status: Some(200),
        code: None,
        head_ns: Some(50 * MS),
        first_ns: Some(first),
        last_ns: Some(first + 30 * MS),
        end_ns: first + 31 * MS,
        gaps_ns: vec![10 * MS, 20 * MS],
        tokens: 3,
        tokens_after_first: 2,
        usage_tokens: Some(3),
        prompt_tokens: Some(7),
        end: End::Completed,
    }
}

/// A run of a hundred streams, and what a truthful Candor reports of it: everything 0.1 ms below the stopwatch.
struct Run {
    load: LoadReport,
    /// What the spans say of each request's TTFT and total, ms.
    reported: Vec<(f64, f64)>,
    prefill_ms: f64,
    metrics: String,
    coordinated: bool,
}

impl Run {
    fn truthful() -> Self {
        let records: Vec<Record> = (0..100).map(record).collect();
        let ms = |ns: u64| ns as f64 / 1e6 - 0.1;
        let reported = records.iter().map(|r| (ms(r.first_ns.unwrap_or(0)), ms(r.end_ns))).collect();
        let (first, end): (u64, u64) =
            records.iter().fold((0, 0), |sums, r| (sums.0 + r.first_ns.unwrap_or(0), sums.1 + r.end_ns));
        let (first, end) = (first as f64 / 1e6 - 10.0, end as f64 / 1e9 - 0.01);
        let metrics = format!(
            "request_total{{status_code=\"200\"}} 100\n\
             request_outcome_total{{outcome=\"completed\"}} 100\npd_proxy_requests_total{{outcome=\"completed\"}} 100\n\
             request_ttft_milliseconds_sum {first}\nrequest_ttft_milliseconds_count 100\n\
             pd_proxy_true_ttft_milliseconds_sum {first}\npd_proxy_true_ttft_milliseconds_count 100\n\
             request_e2e_latency_seconds_sum {end}\nrequest_e2e_latency_seconds_count 100\n\
             request_itl_milliseconds_sum 3000\nrequest_itl_milliseconds_count 200\n"
        );
        Self {
            load: LoadReport {
                began_unix_ns: 0,
                elapsed_ns: 1000 * MS,
                records,
                noise: Some(Noise {
                    samples: 10,
                    p50_ns: 50_000,
                    p99_ns: 400_000,
                    two_p50_ns: 100_000,
                    two_p99_ns: 800_000,
                }),
            },
            reported,
            prefill_ms: 50.0,
            metrics,
            coordinated: true,
        }
    }

    /// The same in front of neutral engines, where nobody coordinates.
    fn uncoordinated() -> Self {
        let run = Self::truthful();
        let of_gateway = |line: &&str| !line.starts_with("pd_proxy");
        let metrics = run.metrics.lines().filter(of_gateway).map(|line| format!("{line}\n")).collect();
        Self { metrics, coordinated: false, ..run }
    }

    fn spans(&self) -> Spans {
        let mut lines = String::new();
        for (record, (ttft, total)) in self.load.records.iter().zip(&self.reported) {
            let kv = ttft - 2.0 - 50.0 - 10.0;
            let numbers = |pairs: &[(&str, f64)]| {
                let pairs =
                    pairs.iter().map(|(key, value)| serde_json::json!({"key": key, "value": {"doubleValue": value}}));
                pairs.collect::<Vec<_>>()
            };
            let span = |name: &str, attributes: Vec<serde_json::Value>| serde_json::json!({"traceId": record.trace_id, "spanId": "01", "name": name, "attributes": attributes});
            let decode = numbers(&[
                ("llm_d.pd_proxy.true_ttft_ms", *ttft),
                ("llm_d.pd_proxy.total_duration_ms", *total),
                ("llm_d.pd_proxy.gateway_ms", 1.5),
                ("llm_d.pd_proxy.coordinator_preprocess_ms", 0.5),
                ("llm_d.pd_proxy.prefill_duration_ms", self.prefill_ms),
                ("llm_d.pd_proxy.kv_transfer_overhead_ms", kv),
                ("llm_d.pd_proxy.time_to_decode_start_ms", ttft - 10.0),
                ("llm_d.pd_proxy.first_decode_step_ms", 10.0),
            ]);
            let gateway = numbers(&[
                ("candor.gateway.ttft_ms", *ttft),
                ("candor.gateway.e2e_ms", *total),
                ("candor.gateway.ttft.dispatch_ms", 2.0),
                ("candor.gateway.ttft.upstream_ms", ttft - 2.0),
            ]);
            let mut spans = vec![
                span("gateway.request", gateway),
                span("llm_d.pd_proxy.request", Vec::new()),
                span("llm_d.pd_proxy.decode", decode),
                span("llm_request", numbers(&[("gen_ai.latency.time_to_first_token", 0.0125)])),
            ];
            spans.retain(|span| self.coordinated || !span.to_string().contains("pd_proxy"));
            let resource =
                serde_json::json!({"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]});
            let line = serde_json::json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]});
            lines.push_str(&format!("{line}\n"));
        }
        let mut spans = Spans::default();
        spans.parse(lines.as_bytes(), Path::new("made up")).expect("spans");
        spans
    }

    fn delta(&self) -> Delta {
        let mut after = Scrape::default();
        after.add(exposition::parse(&self.metrics).expect("metrics"));
        after.since(&Scrape::default())
    }

    fn verdict_with(&self, faults: Faults) -> Verdict {
        let (spans, delta) = (self.spans(), self.delta());
        let evidence = Evidence {
            title: "run".to_owned(),
            load: &self.load,
            spans: Some(&spans),
            metrics: Some(&delta),
            faults,
            coordinated: self.coordinated,
            bounds: Bounds::default(),
        };
        evidence.verdict()
    }

    fn reasons(&self) -> Vec<String> {
        self.verdict_with(Faults::None).reasons()
    }
}

fn only(reasons: &[String], beginning: &str) {
    assert!(!reasons.is_empty(), "nothing was found");
    for reason in reasons {
        assert!(reason.starts_with(beginning), "{reason:?} does not begin with {beginning:?}");
    }
}

#[test]
fn the_truth_holds() {
    let verdict = Run::truthful().verdict_with(Faults::None);
    assert_eq!(verdict.reasons(), Vec::<String>::new());
    let (refusals, others) = verdict.latencies.split_last().expect("checks");
    assert!(others.iter().all(|check| check.compared == 100 && check.holds == Holds::Yes));
    assert!(matches!(refusals.holds, Holds::Unchecked(_)), "nothing was refused");
    assert!(verdict.sums.iter().all(|check| check.compared == 100));
    assert!((verdict.latencies[0].difference_ms.p50 - 0.1).abs() < 1e-6);
    // Noise is added to the bounds.
    // Two round trips to the coordinator, one to the gateway.
    assert!((verdict.latencies[0].bound_p50_ms - 0.3).abs() < 1e-9);
    assert!((verdict.latencies[1].bound_p50_ms - 0.25).abs() < 1e-9);
    assert!((verdict.latencies[0].bound_p99_ms - 1.8).abs() < 1e-9);
    let [engine] = verdict.engines.as_slice() else { panic!("one engine") };
    assert!((engine.own_ttft_ms.p50 - 12.5).abs() < 1e-9);
}

#[test]
fn without_a_coordinator_the_gateway_alone_is_held_to_the_stopwatch() {
    let mut run = Run::uncoordinated();
    let verdict = run.verdict_with(Faults::None);
    assert_eq!(verdict.reasons(), Vec::<String>::new());
    let names: Vec<&str> = verdict.latencies.iter().map(|check| check.name).collect();
    assert_eq!(names, ["TTFT (gateway)", "total (gateway)", "total of refusals (gateway)"]);
    assert!(verdict.latencies[..2].iter().all(|check| check.compared == 100 && check.holds == Holds::Yes));
    run.reported.iter_mut().for_each(|(ttft, _)| *ttft -= 0.3);
    only(&run.reasons(), "TTFT (gateway): the median");
}

#[test]
fn a_shifted_median_is_found_and_its_worst_requests_named() {
    let mut run = Run::truthful();
    for (ttft, _) in &mut run.reported {
        *ttft -= 0.3;
    }
    run.reported[42].0 -= 5.0;
    let verdict = run.verdict_with(Faults::None);
    assert!(!verdict.holds());
    let check = &verdict.latencies[0];
    assert!(matches!(&check.holds, Holds::No(why) if why.contains("median")), "{:?}", check.holds);
    assert_eq!(check.offenders[0].request_id, "audit-42");
    assert_eq!(check.offenders.len(), 5);
}

#[test]
fn a_bad_tail_is_found() {
    let mut run = Run::truthful();
    for (ttft, _) in run.reported.iter_mut().take(3) {
        *ttft -= 3.0;
    }
    let reasons = run.reasons();
    assert!(reasons.iter().any(|r| r.starts_with("true TTFT (coordinator): the p99")), "{reasons:?}");
}

#[test]
fn one_request_that_does_not_add_up_is_found() {
    let mut run = Run::truthful();
    run.prefill_ms = 50.001;
    only(&run.reasons(), "true TTFT = gateway + preprocess");
}

#[test]
fn a_count_that_is_one_off_is_found() {
    for (truth, lie, what) in [
        ("status_code=\"200\"} 100", "status_code=\"200\"} 101", "request_total{200}"),
        (
            "pd_proxy_requests_total{outcome=\"completed\"} 100",
            "pd_proxy_requests_total{outcome=\"completed\"} 99",
            "pd_proxy_requests_total{completed}",
        ),
        ("request_itl_milliseconds_count 200", "request_itl_milliseconds_count 201", "request_itl_milliseconds count"),
        ("request_itl_milliseconds_sum 3000", "request_itl_milliseconds_sum 3300", "request_itl_milliseconds sum"),
    ] {
        let mut run = Run::truthful();
        run.metrics = run.metrics.replace(truth, lie);
        only(&run.reasons(), what);
    }
}

#[test]
fn a_status_that_only_the_gateway_knows_is_found() {
    let mut run = Run::truthful();
    run.metrics.push_str("request_total{status_code=\"502\"} 1\n");
    only(&run.reasons(), "request_total{502}");
}

#[test]
fn a_request_without_its_spans_is_found() {
    let mut run = Run::truthful();
    run.load.records[3].trace_id = format!("{:032x}", 0xffff);
    // The spans are made up from the records, so it is the record of another request that loses them.
    let spans = run.spans();
    run.load.records[3].trace_id = format!("{:032x}", 0xeeee);
    let delta = run.delta();
    let evidence = Evidence {
        title: "run".to_owned(),
        load: &run.load,
        spans: Some(&spans),
        metrics: Some(&delta),
        faults: Faults::None,
        coordinated: true,
        bounds: Bounds::default(),
    };
    let reasons = evidence.verdict().reasons();
    assert!(reasons.iter().any(|r| r.contains("not reported for 1 of 100")), "{reasons:?}");
    assert!(reasons.iter().any(|r| r.starts_with("gateway spans of answered requests")), "{reasons:?}");
}

#[test]
fn a_failed_request_breaks_a_run_without_injected_faults_only() {
    let mut run = Run::truthful();
    run.load.records[0].end = End::Refused;
    run.load.records[0].status = Some(503);
    let reasons = run.reasons();
    assert!(reasons.iter().any(|r| r.starts_with("failed requests: 1 failed") && r.contains("503")), "{reasons:?}");
    let with_faults = run.verdict_with(Faults::Expected).reasons();
    assert!(!with_faults.iter().any(|r| r.starts_with("failed requests")), "{with_faults:?}");
}

#[test]
fn a_client_that_left_is_counted_as_499_and_loosens_histograms_only() {
    let mut run = Run::truthful();
    run.load.records[0].end = End::Cancelled;
    run.metrics = run.metrics.replace(
        "request_total{status_code=\"200\"} 100",
        "request_total{status_code=\"200\"} 99\nrequest_total{status_code=\"499\"} 1",
    );
    for name in ["request_outcome_total", "pd_proxy_requests_total"] {
        let (truth, all) =
            (format!("{name}{{outcome=\"completed\"}} 99\n"), format!("{name}{{outcome=\"completed\"}} 100\n"));
        let cancelled = format!("{truth}{name}{{outcome=\"cancelled\"}} 1\n");
        run.metrics = run.metrics.replace(&all, &cancelled);
    }
    let verdict = run.verdict_with(Faults::None);
    assert_eq!(verdict.reasons(), Vec::<String>::new());
    let counts = verdict.numbers.iter().filter(|n| n.name.ends_with(" count"));
    assert!(counts.clone().all(|n| matches!(n.holds, Holds::Unchecked(_))));
    assert_eq!(counts.count(), 4);
}

/// A run whose first request was not answered by an engine; `spans` says what its trace holds instead.
fn first_is(change: impl FnOnce(&mut Record), spans: &[serde_json::Value], metrics: &[(&str, &str)]) -> Vec<String> {
    let mut run = Run::truthful();
    let own = run.load.records[0].trace_id.clone();
    run.load.records[0].trace_id = format!("{:032x}", 0xffff);
    let mut read = run.spans();
    run.load.records[0].trace_id = own;
    change(&mut run.load.records[0]);
    run.metrics = run.metrics.replace("} 100\n", "} 99\n");
    for (series, value) in metrics {
        run.metrics.push_str(&format!("{series} {value}\n"));
    }
    let line = serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string();
    read.parse(line.as_bytes(), Path::new("made up")).expect("spans");
    let delta = run.delta();
    let evidence = Evidence {
        title: "run".to_owned(),
        load: &run.load,
        spans: Some(&read),
        metrics: Some(&delta),
        faults: Faults::Expected,
        coordinated: true,
        bounds: Bounds::default(),
    };
    evidence
        .verdict()
        .numbers
        .iter()
        .filter(|n| matches!(n.holds, Holds::No(_)) && !n.name.contains("milliseconds") && !n.name.contains("seconds"))
        .map(|n| n.name.clone())
        .collect()
}

fn ended(name: &str, prefix: &str, outcome: &str, stage: &str, took_ns: u64) -> serde_json::Value {
    let text =
        |key: &str, value: &str| serde_json::json!({"key": format!("{prefix}.{key}"), "value": {"stringValue": value}});
    let status = serde_json::json!({"key": "http.response.status_code", "value": {"intValue": "503"}});
    serde_json::json!({
        "traceId": record(0).trace_id, "spanId": "02", "name": name, "startTimeUnixNano": "0",
        "endTimeUnixNano": took_ns.to_string(), "attributes": [text("outcome", outcome), text("stage", stage), status],
    })
}

fn gateway(outcome: &str, stage: &str, took_ns: u64) -> serde_json::Value {
    ended("gateway.request", "candor.gateway", outcome, stage, took_ns)
}

fn left(after_ns: u64) -> impl FnOnce(&mut Record) {
    move |record| {
        *record = Record {
            status: None,
            first_ns: None,
            last_ns: None,
            end_ns: after_ns,
            end: End::Cancelled,
            ..record.clone()
        };
    }
}

#[test]
fn what_the_gateway_turned_away_is_no_request_of_a_coordinator() {
    let full = |record: &mut Record| {
        *record = Record {
            status: Some(429),
            code: Some("queue_full".to_owned()),
            first_ns: None,
            last_ns: None,
            end: End::Refused,
            ..record.clone()
        };
    };
    let counted = [
        ("request_total{status_code=\"429\"}", "1"),
        ("request_outcome_total{outcome=\"failed\",stage=\"queue\"}", "1"),
        ("gateway_rejected_total{reason=\"queue_full\"}", "1"),
    ];
    let spans = [gateway("failed", "queue", 100)];
    assert_eq!(first_is(full, &spans, &counted), Vec::<String>::new());
    assert_eq!(
        first_is(full, &spans, &[counted[0], counted[1], (counted[2].0, "2")]),
        ["gateway_rejected_total{queue_full}"]
    );
    let sent_on = [spans[0].clone(), ended("llm_d.pd_proxy.request", "llm_d.pd_proxy", "failed", "prefill", 50)];
    let found = first_is(full, &sent_on, &counted);
    assert_eq!(found, ["coordinator spans of requests not sent on", "pd_proxy_requests_total{failed}"]);
}

#[test]
fn a_client_that_left_early_is_counted_by_those_who_had_its_request() {
    let counted = [
        ("request_total{status_code=\"499\"}", "1"),
        ("request_outcome_total{outcome=\"cancelled\",stage=\"dispatch\"}", "1"),
    ];
    let spans = [gateway("cancelled", "dispatch", 20 * MS)];
    assert_eq!(first_is(left(20 * MS), &spans, &counted), Vec::<String>::new(), "no sidecar had it");
    let had = [spans[0].clone(), ended("llm_d.pd_proxy.request", "llm_d.pd_proxy", "cancelled", "prefill", 15 * MS)];
    assert_eq!(
        first_is(left(20 * MS), &had, &counted),
        ["pd_proxy_requests_total{cancelled}"],
        "one had it, uncounted"
    );
}

#[test]
fn nobody_need_have_seen_a_request_that_was_left_at_once() {
    assert_eq!(first_is(left(MS), &[], &[]), Vec::<String>::new());
    let missed = first_is(left(20 * MS), &[], &[]);
    assert_eq!(missed, ["request_total{499}", "request_outcome_total{cancelled}"], "20 ms are time enough");
}

#[test]
fn an_answer_that_was_on_its_way_is_counted_as_what_it_was() {
    let counted = [
        ("request_total{status_code=\"503\"}", "1"),
        ("request_outcome_total{outcome=\"failed\",stage=\"queue\"}", "1"),
        ("gateway_rejected_total{reason=\"queue_timeout\"}", "1"),
    ];
    assert_eq!(first_is(left(60 * MS), &[gateway("failed", "queue", 60 * MS)], &counted), Vec::<String>::new());
    let late = first_is(left(60 * MS), &[gateway("failed", "queue", 90 * MS)], &counted);
    assert!(late.contains(&"request_total{499}".to_owned()), "the client had long left: {late:?}");
}

#[test]
fn no_request_at_all_is_no_success() {
    let mut run = Run::truthful();
    run.load.records.clear();
    only(&run.verdict_with(Faults::Expected).reasons()[..1], "failed requests: no request was made");
}

#[test]
fn the_report_says_what_broke_and_who() {
    let mut run = Run::truthful();
    run.reported[7].0 -= 50.0;
    run.reported[8].0 -= 50.0;
    let mut out = Vec::new();
    crate::report::write(&run.verdict_with(Faults::None), &mut out).expect("written");
    let text = String::from_utf8(out).expect("text");
    for part in
        ["audit is BROKEN", "audit-7", "p50 0.0500 ms, p99 0.400 ms", "what the client saw", "true TTFT (coordinator)"]
    {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}
