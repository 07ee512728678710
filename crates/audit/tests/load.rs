//! The load generator against a scripted server: what it sends, and that its stopwatch and its counts are right.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use audit::load::{Arrivals, Limit, Load, Target, write_spans};
use audit::workload::{Lengths, Prompts, Share, Workload};
use audit::{End, LoadReport, Record, Spans};
use support::{Received, Step, event, serve, stream, stream_end, stream_head, text_chunk, whole};

fn workload() -> Workload {
    Workload {
        seed: 3,
        model: "m".to_owned(),
        prompts: Prompts::Made(Lengths::Constant(4)),
        output: Lengths::Constant(8),
        chat: Share::NONE,
        stream: Share::ALL,
        usage: Share::NONE,
        cancel_before_first: Share::NONE,
        cancel_within: Duration::ZERO,
        cancel_mid_stream: Share::NONE,
        inject: Vec::new(),
    }
}

fn load(addr: SocketAddr, requests: u64) -> Load {
    Load {
        target: Target::at(&format!("http://{addr}")).expect("an address"),
        workload: workload(),
        arrivals: Arrivals::Closed { clients: 1, ramp: Duration::ZERO },
        limit: Limit { requests, time: Duration::from_secs(60) },
        timeout: Duration::from_secs(20),
        echo: None,
        quiet: true,
        nonce: 0xabc,
    }
}

async fn one(script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Record {
    let server = serve(script).await;
    let report = load(server.addr, 1).run().await.expect("a run");
    let [record] = report.records.try_into().expect("one record");
    record
}

const MS: u64 = 1_000_000;

#[tokio::test]
async fn the_stopwatch_starts_at_the_write_and_stops_at_the_token() {
    let record = one(|_| {
        vec![
            Step::Wait(Duration::from_millis(20)),
            stream_head(),
            // A role-only opening chunk is no token, however early it comes.
            event(r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#),
            Step::Wait(Duration::from_millis(30)),
            text_chunk("a"),
            Step::Wait(Duration::from_millis(10)),
            text_chunk("b"),
            Step::Wait(Duration::from_millis(40)),
            event("[DONE]"),
            stream_end(),
        ]
    })
    .await;
    assert_eq!(record.end, End::Completed);
    let (head, first, last) = (record.head_ns, record.first_ns, record.last_ns);
    let (head, first, last) = (head.expect("a head"), first.expect("a token"), last.expect("a token"));
    // Only lower bounds: a loaded machine may be late, never early.
    assert!(head >= 20 * MS, "{record:?}");
    assert!(first >= head + 30 * MS, "{record:?}");
    assert!(last >= first + 10 * MS, "{record:?}");
    assert!(record.end_ns >= last + 40 * MS, "{record:?}");
    assert_eq!(record.gaps_ns, [last - first]);
    assert_eq!((record.tokens, record.tokens_after_first), (2, 1));
}

#[tokio::test]
async fn an_event_cut_anywhere_is_one_event() {
    let chunk = "data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":null}]}\n\n";
    let record = one(move |_| {
        let mut steps = vec![stream_head()];
        for byte in chunk.chars() {
            steps.push(Step::Write(format!("1\r\n{byte}\r\n")));
        }
        steps.extend([event("[DONE]"), stream_end()]);
        steps
    })
    .await;
    assert_eq!((record.end, record.tokens), (End::Completed, 1));
}

#[tokio::test]
async fn usage_is_read_from_streams_and_whole_answers() {
    const USAGE: &str = r#""usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14}"#;
    let streamed = one(|_| {
        let last = format!("{{\"choices\":[],{USAGE}}}");
        vec![stream_head(), text_chunk("a"), event(&last), event("[DONE]"), stream_end()]
    });
    let record = streamed.await;
    assert_eq!((record.usage_tokens, record.prompt_tokens, record.tokens), (Some(9), Some(5), 1));

    let server = serve(|_| whole(200, &format!("{{\"choices\":[],{USAGE}}}"))).await;
    let mut load = load(server.addr, 1);
    load.workload.stream = Share::NONE;
    let report = load.run().await.expect("a run");
    let record = &report.records[0];
    assert_eq!((&record.end, record.usage_tokens), (&End::Completed, Some(9)));
    assert_eq!((record.first_ns, record.stream), (None, false));
}

#[tokio::test]
async fn every_way_to_fail_is_told_apart() {
    let refused = one(|_| whole(503, "{}")).await;
    assert_eq!((refused.end, refused.status), (End::Refused, Some(503)));

    let error = r#"{"error":{"message":"decoder died","code":502}}"#;
    let broken = one(move |_| vec![stream_head(), text_chunk("a"), event(error), event("[DONE]"), stream_end()]).await;
    assert!(matches!(&broken.end, End::Broken { why } if why.contains("decoder died")), "{broken:?}");

    let silent = one(|_| vec![stream_head(), text_chunk("a"), stream_end()]).await;
    assert!(matches!(&silent.end, End::Broken { why } if why.contains("[DONE]")), "{silent:?}");

    let cut = one(|_| vec![stream_head(), text_chunk("a"), Step::Close]).await;
    assert!(matches!(cut.end, End::Broken { .. }), "{cut:?}");
    assert_eq!(cut.status, Some(200));

    let closed = one(|_| vec![Step::Close]).await;
    assert!(matches!(closed.end, End::Unanswered { .. }), "{closed:?}");
}

#[tokio::test]
async fn nobody_listening_is_reported_not_fatal() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    drop(listener);
    let report = load(addr, 3).run().await.expect("a run");
    assert_eq!(report.records.len(), 3);
    assert!(report.records.iter().all(|r| matches!(r.end, End::Unanswered { .. })));
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let server = serve(|_| vec![stream_head(), text_chunk("a"), Step::Wait(Duration::from_secs(60))]).await;
    let mut load = load(server.addr, 1);
    load.timeout = Duration::from_millis(150);
    let report = load.run().await.expect("a run");
    assert!(matches!(report.records[0].end, End::Broken { .. }), "{report:?}");
}

#[tokio::test]
async fn connections_are_kept_alive_and_identifiers_are_unique() {
    let mut server = serve(|_| stream(2, Duration::ZERO)).await;
    let report = load(server.addr, 5).run().await.expect("a run");
    assert_eq!(server.accepted.load(Ordering::Relaxed), 1);
    for record in &report.records {
        let received = server.received.recv().await.expect("a request");
        assert_eq!(received.path, "/v1/completions");
        assert_eq!(received.header("x-request-id"), Some(record.request_id.as_str()));
        let traceparent = received.header("traceparent").expect("a traceparent");
        assert_eq!(traceparent.split('-').nth(1), Some(record.trace_id.as_str()));
        assert!(traceparent.starts_with("00-") && traceparent.ends_with("-01"), "{traceparent}");
        assert_eq!(received.body["model"], "m");
        assert_eq!(received.body["max_tokens"], 8);
        assert_eq!(received.body["stream"], true);
    }
    let ids: std::collections::BTreeSet<&str> = report.records.iter().map(|r| r.trace_id.as_str()).collect();
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_replaced() {
    let server = serve(|_| {
        let mut steps = stream(1, Duration::ZERO);
        steps.push(Step::Close);
        steps
    })
    .await;
    let mut load = load(server.addr, 4);
    // One at a time and with time to notice: requests arrive 50 ms apart on average.
    load.arrivals = Arrivals::Open { rate: 20.0 };
    let report = load.run().await.expect("a run");
    assert!(report.records.iter().all(|r| r.end == End::Completed), "{report:?}");
    assert_eq!(server.accepted.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn clients_leave_when_the_plan_says_so() {
    let server = serve(|_| stream(8, Duration::from_millis(20))).await;
    let mut load = load(server.addr, 6);
    load.workload.cancel_mid_stream = Share::ALL;
    let report = load.run().await.expect("a run");
    for record in &report.records {
        assert_eq!((&record.end, record.status), (&End::Cancelled, Some(200)), "{record:?}");
        assert!((1..=5).contains(&record.tokens), "{record:?}");
        assert!(!record.failed());
    }

    let server = serve(|_| vec![Step::Wait(Duration::from_secs(60))]).await;
    let mut load = self::load(server.addr, 6);
    load.workload.cancel_before_first = Share::ALL;
    load.workload.cancel_within = Duration::from_millis(10);
    let LoadReport { records, .. } = load.run().await.expect("a run");
    assert!(records.iter().all(|r| r.end == End::Cancelled && r.status.is_none()), "{records:?}");
}

#[tokio::test]
async fn the_clients_spans_are_the_roots_that_its_requests_named() {
    let server = serve(|_| stream(2, Duration::from_millis(5))).await;
    let report = load(server.addr, 3).run().await.expect("a run");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("client.jsonl");
    write_spans(&report, "m", &file).await.expect("written");
    let spans = Spans::read(&[&file]).expect("OTLP/JSON lines");
    assert_eq!(spans.count(), 3);
    for record in &report.records {
        let [span] = spans.of_trace(&record.trace_id) else { panic!("not one span: {record:?}") };
        assert_eq!((&*span.service, span.name.as_str()), ("candor-load", "client.request"));
        assert_eq!((span.span_id.as_str(), span.parent_span_id.as_str()), (record.span_id.as_str(), ""));
        let ttft = record.first_ns.expect("a first token") as f64 / 1e6;
        assert_eq!(span.number("candor.client.ttft_ms"), Some(ttft));
        assert_eq!(span.text("candor.client.outcome"), Some("completed"));
    }
    let starts: Vec<u64> = report.records.iter().map(|record| record.start_ns).collect();
    assert!(starts.is_sorted() && starts[2] > starts[0], "one after the other: {starts:?}");
}

#[tokio::test]
async fn an_open_loop_starts_requests_whatever_becomes_of_them() {
    let server = serve(|_| stream(1, Duration::from_millis(300))).await;
    let mut load = load(server.addr, 20);
    load.arrivals = Arrivals::Open { rate: 200.0 };
    let report = load.run().await.expect("a run");
    assert_eq!(report.records.len(), 20);
    // One after the other they would take 6 s.
    assert!(report.elapsed_ns < 4000 * MS, "{} ms", report.elapsed_ns / MS);
}

#[tokio::test]
async fn a_closed_loop_has_as_many_under_way_as_it_has_clients() {
    let server = serve(|_| stream(1, Duration::from_millis(20))).await;
    let mut load = load(server.addr, 12);
    load.arrivals = Arrivals::Closed { clients: 3, ramp: Duration::ZERO };
    let report = load.run().await.expect("a run");
    assert_eq!(report.records.len(), 12);
    assert_eq!(server.accepted.load(Ordering::Relaxed), 3);
    assert!(report.records.iter().all(|r| r.late_ns == 0));
}

#[tokio::test]
async fn the_echo_probe_measures_beside_the_load() {
    let echo = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = echo.local_addr().expect("an address");
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(audit::echo::serve(echo));
    let server = serve(|_| stream(4, Duration::from_millis(20))).await;
    let mut load = load(server.addr, 2);
    load.echo = Some(addr);
    let noise = load.run().await.expect("a run").noise.expect("a measurement");
    assert!(noise.samples >= 2 && noise.p50_ns > 0 && noise.p50_ns <= noise.p99_ns, "{noise:?}");
}

#[tokio::test]
async fn an_echo_probe_without_a_listener_is_an_error() {
    let server = serve(|_| stream(1, Duration::ZERO)).await;
    let mut load = load(server.addr, 1);
    load.echo = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
    let said = load.run().await.expect_err("nobody echoes").to_string();
    assert!(said.contains("no echo listener"), "{said}");
}
