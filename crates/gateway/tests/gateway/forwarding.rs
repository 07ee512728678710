//! Heads: which fields reach the engine, and which come back.

use crate::support::{Engine, Gateway};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"tiny"}"#;

#[tokio::test]
async fn a_clients_own_fields_reach_the_engine_and_routing_fields_do_not() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    let lines = "authorization: Bearer x\r\nx-custom: 1\r\nbaggage: a=b\r\nuser-agent: me\r\n\
        connection: keep-alive, x-hop\r\nx-hop: 1\r\nte: trailers\r\nkeep-alive: 5\r\nupgrade: h2c\r\n\
        accept-encoding: gzip\r\nx-prefiller-host-port: evil:1\r\nx-candor-elapsed-us: 9\r\nx-encoder-hosts-ports: evil:1\r\n";
    client.send("POST", &format!("{CHAT}?api-version=1"), lines, BODY).await;
    let call = engine.call().await;
    assert_eq!(call.head.start, format!("POST {CHAT}?api-version=1 HTTP/1.1"));
    for (name, value) in [
        ("authorization", Some("Bearer x")),
        ("x-custom", Some("1")),
        ("baggage", Some("a=b")),
        ("user-agent", Some("me")),
        ("x-hop", None),
        ("keep-alive", None),
        ("upgrade", None),
        ("accept-encoding", None),
        ("x-prefiller-host-port", None),
        ("x-encoder-hosts-ports", None),
        ("te", Some("trailers")),
        ("host", Some(engine.addr.to_string().as_str())),
    ] {
        assert_eq!(call.head.get(name), value, "{name}");
    }
    assert_ne!(call.head.get("x-candor-elapsed-us"), Some("9"));
    call.answer(200, "{}").await;
    client.answer().await;
}

#[tokio::test]
async fn the_request_id_is_the_clients_on_the_way_there_and_back() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.send("POST", CHAT, "x-request-id: mine-1\r\n", BODY).await;
    let call = engine.call().await;
    assert_eq!(call.head.get("x-request-id"), Some("mine-1"));
    call.answer(200, "{}").await;
    assert_eq!(client.answer().await.head.get("x-request-id"), Some("mine-1"));
}

#[tokio::test]
async fn a_request_without_a_usable_id_gets_one() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    for lines in ["", "x-request-id: a\r\nx-request-id: b\r\n"] {
        client.send("POST", CHAT, lines, BODY).await;
        let call = engine.call().await;
        let id = call.head.get("x-request-id").unwrap().to_owned();
        assert_eq!(id.len(), 36);
        call.answer(200, "{}").await;
        assert_eq!(client.answer().await.head.get("x-request-id"), Some(id.as_str()));
    }
}

#[tokio::test]
async fn a_trace_continues_under_the_gateways_own_span() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let lines = format!("traceparent: 00-{trace}-b7ad6b7169203331-01\r\ntracestate: a=b\r\n");
    client.send("POST", CHAT, &lines, BODY).await;
    let call = engine.call().await;
    let parent = call.head.get("traceparent").unwrap();
    assert!(parent.starts_with(&format!("00-{trace}-")) && !parent.contains("b7ad6b7169203331"), "{parent}");
    assert_eq!(call.head.get("tracestate"), Some("a=b"));
    call.answer(200, "{}").await;
    client.answer().await;
}

#[tokio::test]
async fn a_request_without_a_trace_begins_one() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, BODY).await;
    let call = engine.call().await;
    assert_eq!(call.head.get("traceparent").map(str::len), Some(55));
    call.answer(200, "{}").await;
    client.answer().await;
}

#[tokio::test]
async fn prefill_and_decode_instances_are_taken_in_turn() {
    let (mut first, mut second) = (Engine::start().await, Engine::start().await);
    let gateway = Gateway::with(|args| {
        args.with("prefill-endpoints", "10.0.0.1:8000,10.0.0.2:8000")
            .with("decode-endpoints", format!("{},{}", first.addr, second.addr))
    })
    .await;
    let mut client = gateway.client().await;
    let mut prefills = Vec::new();
    for turn in 0..4 {
        client.post(CHAT, BODY).await;
        let engine = if turn % 2 == 0 { &mut first } else { &mut second };
        let call = engine.call().await;
        prefills.push(call.head.get("x-prefiller-host-port").unwrap().to_owned());
        let elapsed: u64 = call.head.get("x-candor-elapsed-us").unwrap().parse().unwrap();
        assert!(elapsed < 60_000_000);
        call.answer(200, "{}").await;
        client.answer().await;
    }
    let want = ["10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.2:8000", "10.0.0.1:8000"];
    assert_eq!(prefills, want);
}

#[tokio::test]
async fn a_neutral_engine_is_told_of_no_prefill_instance() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, BODY).await;
    let call = engine.call().await;
    assert_eq!(call.head.get("x-prefiller-host-port"), None);
    call.answer(200, "{}").await;
    client.answer().await;
}

#[tokio::test]
async fn an_engines_own_fields_come_back_and_those_of_its_connection_do_not() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, BODY).await;
    let mut call = engine.call().await;
    call.raw(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-engine: 7\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
         connection: close, x-hop\r\nx-hop: 1\r\nx-request-id: other\r\nserver-timing: total;dur=5\r\ncontent-length: 2\r\n\r\n{}",
    )
    .await;
    let answer = client.answer().await;
    assert_eq!(answer.head.get("x-engine"), Some("7"));
    assert_eq!(answer.head.get("x-hop"), None);
    assert_eq!(answer.head.get("connection"), None);
    assert_eq!(answer.head.get("content-length"), Some("2"));
    assert_eq!(answer.head.get("x-request-id").map(str::len), Some(36));
    let cookies: Vec<_> = answer.head.fields.iter().filter(|(name, _)| name == "set-cookie").collect();
    assert_eq!(cookies.len(), 2);
    // The connection to the engine closed; the client's goes on.
    call.close();
    client.send("GET", "/healthz", "", "").await;
    assert_eq!(client.answer().await.status(), 200);
}
