//! The serial protocol over real sockets: what each engine gets, what the client gets.

mod support;

use serde_json::{Value, json};
use support::{COMPLETIONS, PARAMS, World, post, prefilled, token_event};
use telemetry::span::{SpanRecord, Status};

fn named<'a>(spans: &'a [SpanRecord], name: &str) -> &'a SpanRecord {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"))
}

#[tokio::test]
async fn a_prefill_comes_first_and_its_params_reach_the_decoder_byte_for_byte() {
    let mut world = World::start("nixlv2", &[]).await;
    let client = r#"{"model":"m","prompt":"p", "stream":true,"max_tokens":1e2,"seed":12345678901234567890}"#;
    let mut request = world.disaggregated(client);
    request.headers_mut().insert("authorization", "Bearer k".parse().unwrap());
    request.headers_mut().insert("x-candor-elapsed-us", "2000".parse().unwrap());
    let sent = world.sending(request);

    let prefill = world.prefill.next().await;
    assert_eq!((prefill.method.as_str(), prefill.path.as_str()), ("POST", COMPLETIONS));
    let body = prefill.json();
    assert_eq!(body["kv_transfer_params"]["do_remote_decode"], json!(true));
    assert_eq!((&body["stream"], &body["max_tokens"]), (&json!(false), &json!(1)));
    assert_eq!(prefill.header("authorization"), ["Bearer k"]);
    assert!(prefill.header("x-prefiller-host-port").is_empty(), "routing headers stay here");
    assert!(prefill.header("x-candor-elapsed-us").is_empty());
    let id = prefill.header("x-request-id")[0].to_owned();
    let trace = prefill.header("traceparent")[0].to_owned();
    prefill.json_answer(200, &prefilled()).await;

    let mut decode = world.decode.next().await;
    let expected = format!(
        r#"{{"model":"m","prompt":"p", "stream":true,"max_tokens":1e2,"seed":12345678901234567890,"kv_transfer_params":{PARAMS}}}"#
    );
    assert_eq!(decode.text(), expected);
    assert_eq!(decode.header("x-request-id"), [id.as_str()]);
    let decode_trace = decode.header("traceparent")[0].to_owned();
    assert_eq!(trace[..35], decode_trace[..35], "one trace");
    assert_ne!(trace, decode_trace, "each leg its own span");

    decode.begin_stream().await;
    decode.token("a").await;
    let mut reply = sent.await.unwrap();
    assert_eq!(reply.header("x-request-id"), id);
    assert!(reply.header("server-timing").contains("prefill;dur="), "{}", reply.header("server-timing"));
    assert_eq!(reply.until("a").await, token_event("a"));
    decode.token("b").await;
    assert_eq!(reply.until("b").await, token_event("b"), "relayed as it comes");
    decode.finish_stream().await;
    assert!(reply.rest().await.ends_with("data: [DONE]\n\n"));
    assert_eq!(world.outcome().await, ("completed".into(), "none".into()));
}

#[tokio::test]
async fn the_spans_of_the_legs_are_siblings_and_carry_the_numbers() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut request = world.disaggregated(r#"{"model":"m","prompt":"p","stream":true}"#);
    request.headers_mut().insert("x-candor-elapsed-us", "2000".parse().unwrap());
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let sent = world.sending(request);
    world.prefill.next().await.json_answer(200, &prefilled()).await;
    let mut decode = world.decode.next().await;
    decode.begin_stream().await;
    decode.token("a").await;
    let mut reply = sent.await.unwrap();
    reply.until("a").await;
    decode.token("b").await;
    decode.finish_stream().await;
    reply.rest().await;
    let trailers = reply.trailers.expect("trailers");
    assert!(trailers["server-timing"].to_str().unwrap().contains("true_ttft;dur="), "{trailers:?}");

    let spans = world.spans().await;
    let request = named(&spans, "llm_d.pd_proxy.request");
    let (prefill, decode) = (named(&spans, "llm_d.pd_proxy.prefill"), named(&spans, "llm_d.pd_proxy.decode"));
    assert_eq!(prefill.parent, Some(request.context.span_id));
    assert_eq!(decode.parent, Some(request.context.span_id));
    assert!(spans.iter().all(|span| span.status == Status::Unset));
    let number = |key: &str| match decode.get(key) {
        Some(telemetry::span::Value::Double(value)) => *value,
        other => panic!("{key}: {other:?}"),
    };
    let parts = ["llm_d.pd_proxy.time_to_decode_start_ms", "llm_d.pd_proxy.first_decode_step_ms"];
    let sum: f64 = parts.iter().map(|key| number(key)).sum();
    assert!((sum - number("llm_d.pd_proxy.true_ttft_ms")).abs() < 1e-6);
    assert!(number("llm_d.pd_proxy.true_ttft_ms") > 2.0, "the gateway's two milliseconds are in it");
    for key in ["gen_ai.request.model", "llm_d.pd_proxy.connector", "llm_d.pd_proxy.disaggregation_enabled"] {
        assert!(decode.get(key).is_some() && request.get(key).is_some(), "{key}");
    }
}

#[tokio::test]
async fn the_cached_tokens_are_the_prefills_in_documents_and_in_streams() {
    let mut world = World::start("nixlv2", &[]).await;
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":402,"prompt_tokens_details":{"cached_tokens":401}}}"#;
    let sent = world.sending(world.disaggregated(r#"{"prompt":"p"}"#));
    world.prefill.next().await.json_answer(200, &prefilled()).await;
    world.decode.next().await.json_answer(200, usage).await;
    let reply = sent.await.unwrap().json().await;
    assert_eq!(reply["usage"]["prompt_tokens_details"]["cached_tokens"], json!(384));

    let sent = world.sending(world.disaggregated(r#"{"prompt":"p","stream":true}"#));
    world.prefill.next().await.json_answer(200, &prefilled()).await;
    let mut decode = world.decode.next().await;
    decode.begin_stream().await;
    decode.token("a").await;
    let event = format!("data: {usage}\n\n");
    for piece in [&event[..2], &event[2..40], &event[40..]] {
        decode.chunk(piece).await;
    }
    decode.finish_stream().await;
    let text = sent.await.unwrap().text().await;
    assert!(text.contains(r#""cached_tokens":384"#) && !text.contains("401"), "{text}");
    assert!(text.starts_with(&token_event("a")) && text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn a_request_without_prefill_hosts_goes_to_the_decoder_without_naming_hosts() {
    let mut world = World::start("nixlv2", &[]).await;
    for header in [None, Some(""), Some(" , ")] {
        let mut request = post(COMPLETIONS, r#"{"prompt":"p","kv_transfer_params":{"remote_host":"evil"},"n":1}"#);
        if let Some(header) = header {
            request.headers_mut().insert("x-prefiller-host-port", header.parse().unwrap());
        }
        let sent = world.sending(request);
        let call = world.decode.next().await;
        assert_eq!(call.text(), r#"{"prompt":"p","n":1}"#);
        call.json_answer(200, r#"{"choices":[]}"#).await;
        assert_eq!(sent.await.unwrap().text().await, r#"{"choices":[]}"#);
    }
    let scrape = world.ended(3).await;
    assert_eq!(
        scrape.value("pd_proxy_disaggregated_total", &[("decision", "decode_only"), ("connector", "nixlv2")]),
        Some(3.0)
    );
}

#[tokio::test]
async fn the_first_of_several_hosts_is_asked() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut request = world.disaggregated(r#"{"prompt":"p"}"#);
    let hosts = format!(" http://{} , 127.0.0.1:1", world.prefill.addr);
    request.headers_mut().insert("x-prefiller-host-port", hosts.parse().unwrap());
    let sent = world.sending(request);
    world.prefill.next().await.json_answer(200, &prefilled()).await;
    world.decode.next().await.json_answer(200, r#"{"choices":[]}"#).await;
    assert_eq!(sent.await.unwrap().status, 200);
}

#[tokio::test]
async fn every_generating_api_is_split_at_its_own_path() {
    let mut world = World::start("nixlv2", &[]).await;
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses", "/inference/v1/generate"] {
        let mut request = post(path, r#"{"model":"m"}"#);
        request.headers_mut().insert("x-prefiller-host-port", world.prefill.addr.to_string().parse().unwrap());
        let sent = world.sending(request);
        let prefill = world.prefill.next().await;
        assert_eq!(prefill.path, path);
        prefill.json_answer(200, &prefilled()).await;
        let decode = world.decode.next().await;
        assert_eq!(decode.path, path);
        let params: Value = serde_json::from_str(PARAMS).unwrap();
        assert_eq!(decode.json(), json!({"model": "m", "kv_transfer_params": params}));
        decode.json_answer(200, "{}").await;
        assert_eq!(sent.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_clients_request_id_is_one_value_everywhere() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut request = world.disaggregated(r#"{"prompt":"p"}"#);
    request.headers_mut().insert("x-request-id", "mine".parse().unwrap());
    let sent = world.sending(request);
    let prefill = world.prefill.next().await;
    assert_eq!(prefill.header("x-request-id"), ["mine"]);
    prefill.json_answer(200, &prefilled()).await;
    let decode = world.decode.next().await;
    assert_eq!(decode.header("x-request-id"), ["mine"]);
    decode.json_answer(200, "{}").await;
    let reply = sent.await.unwrap();
    assert_eq!(reply.headers.get_all("x-request-id").iter().collect::<Vec<_>>(), ["mine"]);
}

#[tokio::test]
async fn counts_in_every_chunk_are_asked_for_and_hidden_again() {
    let mut world = World::start("nixlv2", &["--exact-token-accounting"]).await;
    let sent = world.sending(post(COMPLETIONS, r#"{"prompt":"p","stream":true}"#));
    let mut call = world.decode.next().await;
    assert_eq!(call.json()["stream_options"], json!({"continuous_usage_stats": true, "include_usage": true}));
    call.begin_stream().await;
    call.chunk("data: {\"choices\":[{\"index\":0,\"text\":\"a\"}],\"usage\":{\"completion_tokens\":1}}\n\n").await;
    call.chunk("data: {\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\n").await;
    call.finish_stream().await;
    let text = sent.await.unwrap().text().await;
    assert!(!text.contains("usage") && text.contains("\"text\":\"a\""), "{text}");
}
