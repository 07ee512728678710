//! Bad input, forbidden targets, and everything that is not a generation request.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use http::Request;
use proxy::Body;
use serde_json::{Value, json};
use support::{COMPLETIONS, World, get, post, prefilled};

async fn refused(world: &World, request: Request<Body>) -> (u16, String) {
    let reply = world.send(request).await;
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("x-candor-error"), "receive");
    let status = reply.status.as_u16();
    (status, reply.json().await["error"]["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_a_400_that_says_where() {
    let mut world = World::start("nixlv2", &[]).await;
    let bad = [
        (r#"{"prompt":}"#, "byte 10"),
        (r#"["prompt"]"#, "byte 0"),
        ("", "byte 0"),
        (r#"{"model":7}"#, "`model`"),
        (r#"{"stream":"yes"}"#, "`stream`"),
        (r#"{"max_tokens":"many"}"#, "`max_tokens`"),
    ];
    for (body, place) in bad {
        for request in [post(COMPLETIONS, body), world.disaggregated(body)] {
            let (status, message) = refused(&world, request).await;
            assert!(status == 400 && message.contains(place), "{body}: {message}");
        }
    }
    world.decode.expect_none().await;
    let sent = world.sending(post(COMPLETIONS, r#"{"prompt":"p"}"#));
    world.decode.next().await.json_answer(200, "{}").await;
    assert_eq!(sent.await.unwrap().status, 200, "the next one is served");
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413_on_every_path() {
    let world = World::start("nixlv2", &["--max-body-bytes=1000"]).await;
    let large = format!(r#"{{"prompt":"{}"}}"#, "p".repeat(2000));
    for path in [COMPLETIONS, "/v1/embeddings", "/generate"] {
        let reply = world.send(post(path, &large)).await;
        assert_eq!(reply.status, 413, "{path}");
    }
}

#[tokio::test]
async fn headers_that_name_no_host_are_a_400() {
    let world = World::start("nixlv2", &[]).await;
    for bad in ["prefill", "10.0.0.1:0", "a:1/x", "user@10.0.0.1:80"] {
        let mut request = post(COMPLETIONS, r#"{"prompt":"p"}"#);
        request.headers_mut().insert("x-prefiller-host-port", bad.parse().unwrap());
        let (status, message) = refused(&world, request).await;
        assert!(status == 400 && message.contains("x-prefiller-host-port"), "{message}");
    }
}

#[tokio::test]
async fn targets_off_the_list_are_refused_counted_and_on_the_span() {
    let mut world = World::start("nixlv2", &[]).await;
    let refusals = [
        ("8.8.8.8:80", "not_allowed"),
        ("169.254.169.254:80", "link_local"),
        ("[fe80::1]:80", "link_local"),
        ("[::ffff:169.254.169.254]:80", "link_local"),
        // Names by which resolvers know the same address.
        ("2852039166:80", "link_local"),
        ("0xa9fea9fe:80", "link_local"),
    ];
    for (ended, (target, reason)) in refusals.into_iter().enumerate() {
        let mut request = post(COMPLETIONS, r#"{"prompt":"p"}"#);
        request.headers_mut().insert("x-prefiller-host-port", target.parse().unwrap());
        let before = world.scrape().await.value("pd_proxy_denied_total", &[("reason", reason)]).unwrap();
        let (status, _) = refused(&world, request).await;
        assert_eq!(status, 403, "{target}");
        let scrape = world.ended(ended + 1).await;
        let count = scrape.value("pd_proxy_denied_total", &[("reason", reason)]);
        assert_eq!(count, Some(before + 1.0), "{target}");
        let spans = world.spans().await;
        assert!(spans.iter().any(|span| span.get("llm_d.pd_proxy.denied_target").is_some()), "{target}: {spans:?}");
    }
    world.decode.expect_none().await;
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut request = post(COMPLETIONS, r#"{"prompt":"p"}"#);
    let host = format!("localhost:{}", world.prefill.addr.port());
    request.headers_mut().insert("x-prefiller-host-port", host.parse().unwrap());
    let sent = world.sending(request);
    let prefill = world.prefill.next().await;
    assert_eq!(prefill.header("host"), [host.as_str()]);
    prefill.json_answer(200, &prefilled()).await;
    world.decode.next().await.json_answer(200, "{}").await;
    assert_eq!(sent.await.unwrap().status, 200);

    let strict = World::start("nixlv2", &["--prefill-allow=10.0.0.0/8"]).await;
    let mut request = post(COMPLETIONS, r#"{"prompt":"p"}"#);
    request.headers_mut().insert("x-prefiller-host-port", host.parse().unwrap());
    assert_eq!(refused(&strict, request).await.0, 403);
}

#[tokio::test]
async fn a_name_that_resolves_to_nothing_is_a_502() {
    let world = World::start("nixlv2", &[]).await;
    let mut request = post(COMPLETIONS, r#"{"prompt":"p"}"#);
    request.headers_mut().insert("x-prefiller-host-port", "no-such-host.invalid:80".parse().unwrap());
    let reply = world.send(request).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-candor-error")), (502, "prefill"));
}

#[tokio::test]
async fn everything_else_goes_to_the_decoder() {
    let mut world = World::start("nixlv2", &[]).await;
    let requests = [
        get("/v1/models?x=1"),
        get("/metrics"),
        post("/v1/embeddings", r#"{"input":"x"}"#),
        post("/score", r#"{"text_1":"x"}"#),
        get("/healthz"),
        get("/v1/completions"),
        Request::delete("/v1/files/7").body(Body::Empty).unwrap(),
    ];
    for request in requests {
        let (method, path) = (request.method().to_string(), request.uri().to_string());
        let sent = world.sending(request);
        let call = world.decode.next().await;
        assert_eq!((&call.method, &call.path), (&method, &path));
        assert_eq!(call.header("x-request-id").len(), 1);
        call.answer(201, "text/x-engine", "said").await;
        let reply = sent.await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (201, "text/x-engine"), "{path}");
        assert_eq!(reply.text().await, "said");
    }
}

#[tokio::test]
async fn nobody_names_hosts_past_us_by_another_path_or_encoding() {
    let mut world = World::start("nixlv2", &[]).await;
    let sent = world.sending(post("/generate", r#"{"text":"t","bootstrap_host":"evil","bootstrap\u005froom":1}"#));
    let call = world.decode.next().await;
    assert_eq!(call.text(), r#"{"text":"t"}"#);
    call.json_answer(200, "{}").await;
    assert_eq!(sent.await.unwrap().status, 200);

    let utf16: Vec<u8> = r#"{"bootstrap_host":"evil"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let request = Request::post("/generate").header("content-type", "application/json").body(Body::from(utf16));
    assert_eq!(refused(&world, request.unwrap()).await.0, 400);
    world.decode.expect_none().await;
}

#[tokio::test]
async fn uploads_stream_through_and_streams_stream_back() {
    let mut world = World::start("nixlv2", &[]).await;
    let request = Request::post("/v1/audio/transcriptions").header("content-type", "multipart/form-data; boundary=x");
    let sent = world.sending(request.body(Body::from("--x bootstrap_host kv_transfer_params --x--")).unwrap());
    let mut call = world.decode.next().await;
    assert_eq!(call.text(), "--x bootstrap_host kv_transfer_params --x--");
    call.begin_stream().await;
    call.chunk("data: 1\n\n").await;
    let mut reply = sent.await.unwrap();
    assert_eq!(reply.piece().await, "data: 1\n\n", "before there is more");
    call.chunk("data: 2\n\n").await;
    assert_eq!(reply.piece().await, "data: 2\n\n");
    drop(reply);
    call.closed().await;
}

#[tokio::test]
async fn a_trace_begins_here_or_goes_on() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut request = post(COMPLETIONS, r#"{"prompt":"p"}"#);
    let incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.headers_mut().insert("traceparent", incoming.parse().unwrap());
    request.headers_mut().insert("tracestate", "vendor=1".parse().unwrap());
    request.headers_mut().insert("baggage", "a=b".parse().unwrap());
    let sent = world.sending(request);
    let call = world.decode.next().await;
    let traceparent = call.header("traceparent");
    assert!(traceparent.len() == 1 && traceparent[0][..35] == incoming[..35] && traceparent[0] != incoming);
    assert_eq!((call.header("tracestate"), call.header("baggage")), (vec!["vendor=1"], vec!["a=b"]));
    call.json_answer(200, &json!({}).to_string()).await;
    sent.await.unwrap();
}

#[tokio::test]
async fn requests_in_flight_are_listed_from_their_arrival_to_their_end() {
    let mut world = World::start("nixlv2", &[]).await;
    let metrics = world.sidecar.metrics_addr.unwrap();
    let client = world.client.clone();
    let list = async || -> Value {
        let text = support::send(&client, metrics, get("/in-flight")).await.text().await;
        serde_json::from_str::<Value>(&text).unwrap()["requests"].take()
    };
    assert_eq!(list().await, json!([]));
    let mut request = post(COMPLETIONS, r#"{"prompt":"p","stream":true}"#);
    request.headers_mut().insert("x-request-id", "r1".parse().unwrap());
    let sent = world.sending(request);
    let mut call = world.decode.next().await;
    let listed = list().await;
    assert_eq!((&listed[0]["id"], &listed[0]["first_token"]), (&json!("r1"), &json!(false)), "{listed}");
    assert_eq!(listed[0]["streaming"], true);
    let (age, decode) = (listed[0]["age_seconds"].as_f64().unwrap(), listed[0]["decode_seconds"].as_f64().unwrap());
    assert!(age >= decode && decode > 0.0, "{listed}");
    call.begin_stream().await;
    call.token("a").await;
    let mut reply = sent.await.unwrap();
    reply.until("a").await;
    assert_eq!(list().await[0]["first_token"], true);
    drop(reply);
    world.ended(1).await;
    assert_eq!(list().await, json!([]));
}
