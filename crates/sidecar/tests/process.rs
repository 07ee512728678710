//! The process: readiness and drain, ranks, TLS, an inference pool, and counts that agree with the client's.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use http::Request;
use proxy::client::TlsPolicy;
use proxy::{Body, Target};
use serde_json::json;
use support::{COMPLETIONS, Engine, World, get, post, prefilled};

const STREAM: &str = r#"{"prompt":"p","stream":true}"#;

#[tokio::test]
async fn it_is_ready_when_the_decoder_is_and_not_while_it_drains() {
    let mut world = World::start("nixlv2", &[]).await;
    for (answer, ready) in [(200, 200), (503, 503)] {
        let sent = world.sending(get("/ready"));
        let call = world.decode.next().await;
        assert_eq!(call.path, "/health");
        call.json_answer(answer, "{}").await;
        assert_eq!(sent.await.unwrap().status, ready);
    }
    let sent = world.sending(post(COMPLETIONS, STREAM));
    let mut call = world.decode.next().await;
    call.begin_stream().await;
    call.token("a").await;
    let mut reply = sent.await.unwrap();
    reply.until("a").await;
    let metrics = world.sidecar.metrics_addr.unwrap();
    let (client, addr) = (world.client.clone(), world.sidecar.addr);
    let shutdown = support::spawn(world.sidecar.shutdown());
    while support::send(&client, metrics, get("/ready")).await.status != 503 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "no longer accepting");
    call.token("b").await;
    reply.until("b").await;
    call.finish_stream().await;
    assert!(reply.rest().await.ends_with("[DONE]\n\n"), "a stream in progress is finished");
    assert!(shutdown.await.unwrap().complete);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_cut_and_said_to_be() {
    let mut world = World::start("nixlv2", &["--drain-timeout=100ms"]).await;
    let sent = world.sending(post(COMPLETIONS, STREAM));
    let mut call = world.decode.next().await;
    call.begin_stream().await;
    let _reply = sent.await.unwrap();
    let report = world.sidecar.shutdown().await;
    assert!(!report.complete && report.cut > 0, "{report:?}");
    call.closed().await;
}

#[tokio::test]
async fn each_rank_has_a_listener_and_can_be_addressed_by_header() {
    let (telemetry, _) = support::telemetry();
    // Two engines on neighbouring ports.
    let (mut first, mut second) = loop {
        let first = Engine::start().await;
        if let Some(second) = Engine::start_at(first.addr.port() + 1).await {
            break (first, second);
        }
    };
    let sidecar = support::start("nixlv2", first.addr.port(), &["--data-parallel-size=2"], &telemetry).await;
    let client = support::client();
    assert_eq!(sidecar.rank_addrs.len(), 2);
    for (rank, engine) in [&mut first, &mut second].into_iter().enumerate() {
        let (client, addr) = (client.clone(), sidecar.rank_addrs[rank]);
        let sent = support::spawn(async move { support::send(&client, addr, post(COMPLETIONS, "{}")).await });
        engine.next().await.json_answer(200, "{}").await;
        assert_eq!(sent.await.unwrap().status, 200);
    }
    let by_header = |value: String| {
        let (client, addr) = (client.clone(), sidecar.addr);
        let mut request = post(COMPLETIONS, "{}");
        request.headers_mut().insert("x-data-parallel-host-port", value.parse().unwrap());
        support::spawn(async move { support::send(&client, addr, request).await })
    };
    let sent = by_header(sidecar.rank_addrs[1].to_string());
    let call = second.next().await;
    assert!(call.header("x-data-parallel-host-port").is_empty());
    call.json_answer(200, "{}").await;
    assert_eq!(sent.await.unwrap().status, 200);
    for unknown in ["127.0.0.1:1".to_owned(), "rank".to_owned()] {
        assert_eq!(by_header(unknown).await.unwrap().status, 400);
    }
}

#[tokio::test]
async fn the_default_is_tls_with_a_certificate_of_its_own() {
    let mut world = World::start("nixlv2", &["--secure-serving"]).await;
    let target = Target::from_addr(world.sidecar.addr).with_tls(TlsPolicy::SkipVerify);
    let client = world.client.clone();
    let sent = support::spawn(async move { client.send(&target, post(COMPLETIONS, "{}")).await.unwrap().status() });
    world.decode.next().await.json_answer(200, "{}").await;
    assert_eq!(sent.await.unwrap(), 200);
    let plain = world.client.send(&Target::from_addr(world.sidecar.addr), get("/health")).await;
    assert!(plain.is_err(), "nothing in the clear");
}

#[tokio::test]
async fn prefill_engines_are_reached_over_tls_when_told_to() {
    // Another sidecar stands in for a prefill engine with TLS.
    let mut world = World::start("nixlv2", &["--enable-tls=prefiller", "--tls-insecure-skip-verify=prefiller"]).await;
    let front = support::start("nixlv2", world.prefill.addr.port(), &["--secure-serving"], &world.telemetry).await;
    let mut request = post(COMPLETIONS, "{}");
    request.headers_mut().insert("x-prefiller-host-port", front.addr.to_string().parse().unwrap());
    let sent = world.sending(request);
    world.prefill.next().await.json_answer(200, &prefilled()).await;
    world.decode.next().await.json_answer(200, "{}").await;
    assert_eq!(sent.await.unwrap().status, 200);

    let verifying = World::start("nixlv2", &["--enable-tls=prefiller"]).await;
    let mut request = post(COMPLETIONS, "{}");
    request.headers_mut().insert("x-prefiller-host-port", front.addr.to_string().parse().unwrap());
    assert_eq!(verifying.send(request).await.status, 502, "an unknown certificate is not trusted");
}

/// Answers one round of the pod reader: the pool, then its pods.
async fn pods(api: &mut Engine, items: &serde_json::Value) {
    let call = api.next().await;
    assert_eq!(call.path, "/apis/inference.networking.k8s.io/v1/namespaces/ns/inferencepools/pool?resourceVersion=0");
    call.json_answer(200, r#"{"spec":{"selector":{"matchLabels":{"app":"llm","role":"p"}}}}"#).await;
    let call = api.next().await;
    assert_eq!(call.path, "/api/v1/namespaces/ns/pods?labelSelector=app%3Dllm%2Crole%3Dp&resourceVersion=0");
    call.json_answer(200, &json!({ "items": items }).to_string()).await;
}

#[tokio::test]
async fn the_pods_of_a_pool_are_allowed_for_as_long_as_they_exist() {
    let mut api = Engine::start().await;
    let url = format!("--kubernetes-api=http://{}", api.addr);
    let mut world = World::start("nixlv2", &["--inference-pool=ns/pool", &url]).await;
    assert_eq!(world.send(get("/ready")).await.status, 503, "not before the pods are known");
    assert_eq!(world.send(world.disaggregated("{}")).await.status, 403, "nor anything allowed");
    let pod = json!([{"metadata": {"name": "p-0"}, "status": {"phase": "Running", "podIP": "127.0.0.1"}}]);
    pods(&mut api, &pod).await;

    // The next round begins when the first has been taken in; it fails, and the pods stay.
    api.next().await.json_answer(500, "{}").await;
    let sent = world.sending(world.disaggregated("{}"));
    world.prefill.next().await.json_answer(200, &prefilled()).await;
    world.decode.next().await.json_answer(200, "{}").await;
    assert_eq!(sent.await.unwrap().status, 200);

    pods(&mut api, &json!([])).await;
    api.next().await.json_answer(500, "{}").await;
    assert_eq!(world.send(world.disaggregated("{}")).await.status, 403);
    let failures = world.scrape().await.value("pd_proxy_pool_refresh_failures_total", &[]);
    assert!(failures >= Some(1.0), "{failures:?}");
}

#[tokio::test]
async fn the_counts_are_the_clients() {
    let mut world = World::start("nixlv2", &[]).await;
    // Three that succeed.
    for _ in 0..3 {
        let sent = world.sending(world.disaggregated(r#"{"prompt":"p"}"#));
        world.prefill.next().await.json_answer(200, &prefilled()).await;
        world.decode.next().await.json_answer(200, "{}").await;
        assert_eq!(sent.await.unwrap().text().await, "{}");
    }
    // Two that are wrong, one that is forbidden.
    for _ in 0..2 {
        assert_eq!(world.send(post(COMPLETIONS, "{")).await.status, 400);
    }
    let mut forbidden = post(COMPLETIONS, "{}");
    forbidden.headers_mut().insert("x-prefiller-host-port", "8.8.8.8:1".parse().unwrap());
    assert_eq!(world.send(forbidden).await.status, 403);
    // One 5xx of each engine.
    let sent = world.sending(world.disaggregated("{}"));
    world.prefill.next().await.json_answer(500, "{}").await;
    assert_eq!(sent.await.unwrap().status, 500);
    let sent = world.sending(post(COMPLETIONS, "{}"));
    world.decode.next().await.json_answer(500, "{}").await;
    assert_eq!(sent.await.unwrap().status, 500);
    // Clients that leave: while the body is on its way, in the prefill, between the stages, mid-stream.
    leave_while_sending(&world).await;
    let sent = world.sending(world.disaggregated(STREAM));
    let mut prefill = world.prefill.next().await;
    sent.abort();
    prefill.closed().await;
    let (sent, mut decode) = world.decoding(STREAM).await;
    sent.abort();
    decode.closed().await;
    world.decode.next().await.json_answer(200, "{}").await;
    let sent = world.sending(post(COMPLETIONS, STREAM));
    let mut decode = world.decode.next().await;
    decode.begin_stream().await;
    decode.token("a").await;
    sent.await.unwrap().until("a").await;
    decode.closed().await;

    let scrape = world.ended(12).await;
    let count = |labels: &[(&str, &str)]| scrape.sum("pd_proxy_requests_total", labels).unwrap_or(0.0);
    assert_eq!(count(&[("outcome", "completed")]), 3.0);
    assert_eq!(count(&[("outcome", "failed")]), 5.0);
    assert_eq!(count(&[("outcome", "failed"), ("stage", "receive")]), 3.0);
    assert_eq!(count(&[("outcome", "failed"), ("stage", "prefill")]), 1.0);
    assert_eq!(count(&[("outcome", "failed"), ("stage", "decode")]), 1.0);
    assert_eq!(count(&[("outcome", "cancelled")]), 4.0);
    for stage in ["receive", "prefill", "decode", "relay"] {
        assert_eq!(count(&[("outcome", "cancelled"), ("stage", stage)]), 1.0, "{stage}");
    }
    assert_eq!(scrape.sum("pd_proxy_active_requests", &[]), Some(0.0));
    assert_eq!(scrape.histogram("pd_proxy_total_duration_milliseconds", &[]).unwrap().count, 3.0);
}

/// Sends half of a body, then leaves.
async fn leave_while_sending(world: &World) {
    use tokio::io::AsyncWriteExt as _;
    let mut stream = tokio::net::TcpStream::connect(world.sidecar.addr).await.unwrap();
    let head = format!("POST {COMPLETIONS} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    while world.scrape().await.sum("pd_proxy_active_requests", &[]) != Some(1.0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    while world.scrape().await.sum("pd_proxy_active_requests", &[]) != Some(0.0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_not_served_on_the_metrics_port_is_a_404() {
    let world = World::start("nixlv2", &[]).await;
    let addr = world.sidecar.metrics_addr.unwrap();
    let request = Request::get("/v1/models").body(Body::Empty).unwrap();
    assert_eq!(support::send(&world.client, addr, request).await.status, 404);
    let text = support::send(&world.client, addr, get("/metrics")).await;
    assert!(text.header("content-type").starts_with("text/plain"));
}
