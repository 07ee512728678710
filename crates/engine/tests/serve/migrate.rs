//! Requests that go to another engine in mid-stream, as their clients see it.

use crate::support::{Engine, events, read};
use cluster::records::llumlet::{MigrateRequest, MigrateResponse, MigrationValue, method};
use http::{Method, StatusCode};
use prost::Message;
use proxy::body::next_frame;
use proxy::client::UpstreamBody;
use proxy::{Client, ClientConfig, Target, grpc};
use serde_json::{Value, json};
use std::net::SocketAddr;

const TOKENS: usize = 300;

fn body() -> Value {
    let prompt: Vec<u32> = (0..100).collect();
    json!({"model": "tiny", "prompt": prompt, "max_tokens": TOKENS, "ignore_eos": true, "stream": true})
}

/// What an engine that nobody disturbs says.
async fn undisturbed() -> Vec<String> {
    let engine = Engine::start("").await;
    let told = texts(&engine.stream("/v1/completions", &body()).await);
    engine.stop().await;
    told
}

fn texts(events: &[Value]) -> Vec<String> {
    events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).map(str::to_owned).collect()
}

/// A stream that has begun.
struct Stream {
    body: UpstreamBody,
    read: String,
}

impl Stream {
    async fn of(engine: &Engine) -> Self {
        let answer = engine.send(Method::POST, "/v1/completions", &[], body().to_string()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let mut stream = Self { body: answer.into_body(), read: String::new() };
        stream.reads(5).await;
        stream
    }

    /// Reads on until so many events have come.
    async fn reads(&mut self, events: usize) {
        while self.read.matches("\n\n").count() < events {
            let data = next_frame(&mut self.body).await.unwrap().unwrap().into_data().unwrap();
            self.read.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// Reads to the end: each token's text.
    async fn rest(self) -> Vec<String> {
        texts(&events(&format!("{}{}", self.read, read(self.body).await.unwrap())))
    }
}

/// Asks `from` to hand everything over to whoever listens at `to`.
async fn migrate(from: &Engine, to: SocketAddr) -> MigrateResponse {
    let request = MigrateRequest {
        src_engine_id: "a".to_owned(),
        dst_engine_id: "b".to_owned(),
        dst_engine_ip: to.ip().to_string(),
        dst_engine_port: i32::from(to.port()),
        migration_type: "NUM_REQ".to_owned(),
        migration_req_policy: "LCR".to_owned(),
        migration_value: Some(MigrationValue::NumReqs(-1)),
        trigger_policy: "neutral_failover".to_owned(),
    };
    let client = Client::new(ClientConfig::default());
    let target = Target::from_addr(from.addr());
    let answer = grpc::call(&client, &target, method::MIGRATE, &request.encode_to_vec(), 1 << 16).await.unwrap();
    MigrateResponse::decode(answer).unwrap()
}

#[tokio::test]
async fn a_stream_goes_on_over_another_engine_without_a_lost_or_doubled_token() {
    let (a, b) = (Engine::start("").await, Engine::start("").await);
    let mut stream = Stream::of(&a).await;
    let moved = migrate(&a, b.addr()).await;
    assert!(moved.success, "{}", moved.message);
    assert_eq!(moved.message, "1 requests handed over");
    assert_eq!(a.used_blocks().await, 0, "the KV is there now");
    let state = b.state().await;
    assert_eq!((&state["running"], &state["totals"]["external_hits"]), (&json!(1), &json!(100)), "{state}");
    assert_eq!(b.metric("vllm:nixl_xfer_time_seconds_count").await, 1.0);
    stream.reads(TOKENS / 2).await;
    // And back.
    assert!(migrate(&b, a.addr()).await.success);
    assert_eq!(stream.rest().await, undisturbed().await);
    let generated = a.metric("vllm:generation_tokens_total").await + b.metric("vllm:generation_tokens_total").await;
    assert_eq!(generated, TOKENS as f64, "each is generated once");
    assert_eq!(a.scrape().await.sum("vllm:request_success_total", &[]), Some(1.0));
    assert_eq!(b.scrape().await.sum("vllm:request_success_total", &[]), Some(0.0), "the request has one account");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn where_nobody_takes_it_a_request_stays() {
    let (a, other, closed) = (Engine::start("").await, Engine::start("--model other").await, Engine::start("").await);
    closed.post("/admin/cordon?ms=60000", &json!(null)).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stream = Stream::of(&a).await;
    for (to, why) in [(nobody, "refused"), (other.addr(), "does not serve"), (closed.addr(), "takes no requests now")] {
        let answer = migrate(&a, to).await;
        assert!(!answer.success);
        assert!(answer.message.starts_with("0 of 1 requests") && answer.message.contains(why), "{}", answer.message);
    }
    assert_eq!(stream.rest().await, undisturbed().await);
    for engine in [a, other, closed] {
        engine.stop().await;
    }
}

#[tokio::test]
async fn an_engine_that_dies_with_a_request_costs_its_client_no_token() {
    let (a, b) = (Engine::start("").await, Engine::start("").await);
    let mut stream = Stream::of(&a).await;
    assert!(migrate(&a, b.addr()).await.success);
    stream.reads(20).await;
    b.running.shutdown().await;
    assert_eq!(stream.rest().await, undisturbed().await);
    a.stop().await;
}

#[tokio::test]
async fn a_destination_that_takes_a_request_and_does_nothing_is_left_again() {
    let a = Engine::start("--room-timeout 200ms").await;
    // Its one step lasts for ever, so that what is taken in never runs.
    let b = Engine::start("--prefill-base 1h --max-num-seqs 1").await;
    let _busy = b.send(Method::POST, "/v1/completions", &[], body().to_string()).await.unwrap();
    b.waits_for("a step", |state| state["running"] == 1).await;
    let stream = Stream::of(&a).await;
    let answer = migrate(&a, b.addr()).await;
    assert!(answer.message.contains("generates nothing"), "{}", answer.message);
    assert_eq!(stream.rest().await, undisturbed().await);
    b.waits_for("nothing taken in", |state| state["waiting"] == 0 && state["fetching"] == 0).await;
    a.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_felt_by_the_engine_that_computes_for_it() {
    let (a, b) = (Engine::start("").await, Engine::start("").await);
    let stream = Stream::of(&a).await;
    assert!(migrate(&a, b.addr()).await.success);
    drop(stream);
    b.comes_to_rest().await;
    assert!(b.metric("vllm:generation_tokens_total").await < TOKENS as f64);
    a.stop().await;
    b.stop().await;
}
