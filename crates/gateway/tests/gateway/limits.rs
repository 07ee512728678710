//! What models and keys may use: what clients are told of it, and that nothing of it is lost.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{
    Answer, CHAT, Call, Client, Engine, Gateway, LAST, STREAM, USAGE, count, first_token, key_line, soon, token,
};

const PLAIN: &str = r#"{"model":"tiny"}"#;
const COMPLETIONS: &str = "/v1/completions";
/// A prompt of four tokens, which the client cut itself.
const FOUR: &str = r#"{"model":"tiny","prompt":[1,2,3,4]}"#;

/// What OpenAI calls the limits of requests and of tokens.
const REQUESTS: [&str; 3] =
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
const TOKENS: [&str; 3] = ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];

/// A gateway with limits, for the keys `sesame` of ann's and `open` of bob's.
struct World {
    engine: Engine,
    gateway: Gateway,
    dir: TempDir,
}

impl World {
    async fn start(limits: &str) -> Self {
        Self::with(limits, &[]).await
    }

    async fn with(limits: &str, more: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("keys"), key_line("ann", "sesame") + &key_line("bob", "open")).unwrap();
        std::fs::write(path("limits"), limits).unwrap();
        let engine = Engine::start().await;
        let gateway = Gateway::with(|args| {
            let args = args.with("neutral-endpoints", engine.addr.to_string()).with("limits-config", path("limits"));
            let args = args.with("api-keys-file", path("keys"));
            more.iter().fold(args, |args, (name, value)| args.with(name, *value))
        })
        .await;
        Self { engine, gateway, dir }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("limits")
    }

    async fn ask(&self, key: &str, path: &str, body: &str) -> Client {
        let mut client = self.gateway.client().await;
        client.send("POST", path, &format!("authorization: Bearer {key}\r\n"), body).await;
        client
    }

    /// A request of ann's that has come as far as the engine.
    async fn begun(&mut self, path: &str, body: &str) -> (Client, Call) {
        let client = self.ask("sesame", path, body).await;
        (client, soon(self.engine.call()).await)
    }

    /// The answer to a request that the engine answers so.
    async fn served(&mut self, key: &str, path: &str, body: &str, said: &str) -> Answer {
        let mut client = self.ask(key, path, body).await;
        soon(self.engine.call()).await.answer(200, said).await;
        client.answer().await
    }

    /// The answer to a request that never reaches the engine.
    async fn refused(&self, key: &str, path: &str, body: &str) -> Answer {
        let answer = soon(self.ask(key, path, body).await.answer()).await;
        assert!(self.engine.is_idle());
        answer
    }

    /// What `/config` says of the limits.
    async fn config(&self) -> Value {
        let mut client = self.gateway.client().await;
        client.send("GET", "/config", "authorization: Bearer sesame\r\n", "").await;
        client.answer().await.json()["limits"].clone()
    }

    /// Waits until `/config` shows this.
    async fn shows(&self, at: &str, value: Value) {
        soon(async { while self.config().await.pointer(at) != Some(&value) {} }).await;
    }
}

/// Checks an answer that a limit refused.
fn is_limited(answer: &Answer, whose: &str, what: &str) {
    assert_eq!(answer.status(), 429, "{answer:?}");
    let message = answer.error();
    assert!(message.contains(whose) && message.contains(what), "{message}");
    let json = answer.json();
    assert_eq!(
        (&json["error"]["code"], &json["error"]["type"]),
        (&json!("rate_limit_exceeded"), &json!("rate_limit_error"))
    );
    assert_eq!(answer.head.get("x-candor-error"), Some("queue"));
    assert!(answer.head.get("x-request-id").is_some() && answer.head.get("server-timing").is_some());
}

fn told<'a>(answer: &'a Answer, names: [&str; 3]) -> [Option<&'a str>; 3] {
    names.map(|name| answer.head.get(name))
}

#[tokio::test]
async fn a_served_request_is_told_what_is_left_and_one_too_many_when_to_come_back() {
    let mut world = World::start("models: {tiny: {requests-per-minute: 1, tokens-per-minute: 1000}}").await;
    let answer = world.served("sesame", COMPLETIONS, FOUR, "{}").await;
    assert_eq!(answer.status(), 200);
    let [limit, remaining, reset] = told(&answer, REQUESTS);
    assert_eq!((limit, remaining), (Some("1"), Some("0")));
    assert!(reset.unwrap().ends_with('s'), "{reset:?}");
    let [limit, remaining, _] = told(&answer, TOKENS);
    assert_eq!(limit, Some("1000"));
    assert!((996..=1000).contains(&remaining.unwrap().parse::<u64>().unwrap()), "{remaining:?}");

    let answer = world.refused("open", COMPLETIONS, FOUR).await;
    is_limited(&answer, "the model `tiny`", "on requests per minute: limit 1, used 1, requested 1; try again in ");
    assert_eq!(told(&answer, REQUESTS)[..2], [Some("1"), Some("0")]);
    assert!(told(&answer, TOKENS).iter().all(Option::is_some));
    let wait: u64 = answer.head.get("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");

    let scrape = world.gateway.settled(2).await;
    assert_eq!((count(&scrape, "tiny", 200), count(&scrape, "tiny", 429)), (1, 1));
    let rejected = |reason| scrape.value("gateway_rejected_total", &[("model", "tiny"), ("reason", reason)]);
    assert_eq!((rejected("model_requests"), rejected("key_requests")), (Some(1.0), Some(0.0)));
    assert_eq!(scrape.sum("request_outcome_total", &[("outcome", "failed"), ("stage", "queue")]), Some(1.0));
    let spans = world.gateway.spans().await;
    let refused: Vec<_> = spans.iter().filter(|span| span.get("candor.gateway.rejected").is_some()).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (refused[0].name, refused[0].get("candor.gateway.rejected")),
        ("gateway.request", Some(&"model_requests".into()))
    );
    assert_eq!(refused[0].get("candor.gateway.caller"), Some(&"bob".into()));
}

#[tokio::test]
async fn every_key_has_an_account_of_its_own() {
    let limits = "keys: {ann: {concurrency: 1}, '*': {requests-per-minute: 1}}";
    let mut world = World::start(limits).await;
    let (mut client, call) = world.begun(CHAT, PLAIN).await;
    let answer = world.refused("sesame", CHAT, PLAIN).await;
    is_limited(&answer, "the key `ann`", "on requests in flight: limit 1, used 1, requested 1; try again in 1s");
    assert_eq!((answer.head.get("retry-after"), told(&answer, REQUESTS)), (Some("1"), [None; 3]));
    assert_eq!(world.served("open", CHAT, PLAIN, "{}").await.status(), 200);
    is_limited(&world.refused("open", CHAT, PLAIN).await, "the key `bob`", "on requests per minute");
    call.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
    assert_eq!(world.served("sesame", CHAT, PLAIN, "{}").await.status(), 200, "ann's place is free again");
    let scrape = world.gateway.settled(5).await;
    let rejected = |reason| scrape.sum("gateway_rejected_total", &[("reason", reason)]);
    assert_eq!((rejected("key_concurrency"), rejected("key_requests")), (Some(1.0), Some(1.0)));
}

#[tokio::test]
async fn tokens_are_charged_as_the_engine_counts_them_whether_streamed_or_whole() {
    let usage = r#""usage":{"prompt_tokens":4,"completion_tokens":5000,"total_tokens":5004}"#;
    for streamed in [false, true] {
        let mut world = World::start("models: {tiny: {tokens-per-minute: 10}}").await;
        if streamed {
            let (mut client, mut call) =
                world.begun(COMPLETIONS, r#"{"model":"tiny","stream":true,"prompt":[1,2,3,4]}"#).await;
            call.open().await;
            call.event(r#"{"choices":[{"index":0,"text":"a","finish_reason":"stop"}]}"#).await;
            call.event(&format!(r#"{{"choices":[],{usage}}}"#)).await;
            call.event("[DONE]").await;
            call.end().await;
            let answer = client.answer().await;
            assert_eq!(answer.head.get("x-ratelimit-limit-tokens"), Some("10"));
        } else {
            world.served("sesame", COMPLETIONS, FOUR, &format!("{{{usage}}}")).await;
        }
        let answer = world.refused("open", COMPLETIONS, FOUR).await;
        is_limited(&answer, "the model `tiny`", "on tokens per minute: limit 10, used 5");
        assert_eq!(told(&answer, TOKENS)[..2], [Some("10"), Some("0")]);
        assert!(answer.head.get("retry-after").unwrap().parse::<u64>().unwrap() > 60 * 60, "{answer:?}");
        let scrape = world.gateway.settled(2).await;
        assert_eq!(scrape.sum("gateway_rejected_total", &[("reason", "model_tokens")]), Some(1.0));
    }
}

#[tokio::test]
async fn a_prompt_that_can_never_fit_is_not_to_be_tried_again() {
    let world = World::start("keys: {ann: {tokens-per-minute: 3}}").await;
    let answer = world.refused("sesame", COMPLETIONS, FOUR).await;
    is_limited(&answer, "the key `ann`", "limit 3, used 0, requested 4; it will never fit");
    assert_eq!((answer.head.get("retry-after"), answer.head.get("x-should-retry")), (None, Some("false")));
}

#[tokio::test]
async fn however_a_request_ends_its_place_and_what_it_did_not_use_are_given_back() {
    let mut world =
        World::with("models: {tiny: {concurrency: 1, tokens-per-minute: 100000}}", &[("retry-max-count", "0")]).await;
    // The client leaves before there is an answer, and within it.
    for opened in [false, true] {
        let (mut client, mut call) = world.begun(CHAT, STREAM).await;
        is_limited(&world.refused("open", CHAT, PLAIN).await, "the model `tiny`", "requests in flight");
        if opened {
            first_token(&mut client, &mut call).await;
        }
        drop(client);
        soon(call.closed()).await;
        world.shows("/models/tiny/in-flight", json!(0)).await;
    }
    // The engine fails, refuses, breaks off within its answer.
    for status in [500, 400] {
        let (mut client, call) = world.begun(COMPLETIONS, FOUR).await;
        call.answer(status, "{}").await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.head.get("x-ratelimit-limit-tokens")), (status, Some("100000")));
        world.shows("/models/tiny/in-flight", json!(0)).await;
    }
    let (mut client, mut call) = world.begun(CHAT, STREAM).await;
    call.open().await;
    call.event(&token("a")).await;
    call.reset();
    assert!(client.answer().await.text().contains("error"));
    world.shows("/models/tiny/in-flight", json!(0)).await;
    // One and one token passed; nothing of the prompts that nobody served is left.
    assert!(world.config().await["models"]["tiny"]["tokens-used"].as_u64().unwrap() <= 2);
}

#[tokio::test]
async fn who_leaves_the_queue_or_finds_it_full_has_used_nothing_but_a_request() {
    let limits = "models: {tiny: {concurrency: 9, requests-per-minute: 100000, tokens-per-minute: 50}}";
    let jam = [("wait-queue-threads", "1"), ("max-queue-size", "1"), ("inject-routing-delay", "10m")];
    let world = World::with(limits, &jam).await;
    let placed = world.ask("sesame", COMPLETIONS, FOUR).await;
    world.shows("/models/tiny/in-flight", json!(1)).await;
    let waits = world.ask("sesame", COMPLETIONS, FOUR).await;
    world.shows("/models/tiny/in-flight", json!(2)).await;
    let full = world.refused("sesame", COMPLETIONS, r#"{"model":"tiny","prompt":[1,2,3,4,5,6,7,8,9,10]}"#).await;
    assert_eq!((full.status(), full.json()["error"]["code"].clone()), (429, json!("queue_full")));
    drop(waits);
    world.shows("/models/tiny/in-flight", json!(1)).await;
    drop(placed);
    world.shows("/models/tiny/in-flight", json!(0)).await;
    assert!(world.config().await["models"]["tiny"]["tokens-used"].as_u64().unwrap() <= 4, "of the one that was placed");
}

#[tokio::test]
async fn the_file_is_followed_with_what_is_in_flight_and_a_wrong_one_changes_nothing() {
    let mut world = World::start("keys: {ann: {concurrency: 2}}").await;
    let (mut first, call) = world.begun(CHAT, PLAIN).await;
    assert_eq!(
        world.config().await,
        json!({"models": {}, "keys": {"ann": {
            "limit": {"concurrency": 2}, "in-flight": 1, "requests-used": null, "tokens-used": null,
        }}})
    );
    for wrong in ["keys: {ann: {concurrency: 0}}", "", "keys: {ann"] {
        std::fs::write(world.file(), wrong).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
        assert_eq!(world.config().await["keys"]["ann"]["limit"], json!({"concurrency": 2}));
    }
    std::fs::write(world.file(), "keys: {ann: {concurrency: 1}}").unwrap();
    world.shows("/keys/ann/limit/concurrency", json!(1)).await;
    is_limited(&world.refused("sesame", CHAT, PLAIN).await, "the key `ann`", "limit 1, used 1");
    call.answer(200, "{}").await;
    assert_eq!(first.answer().await.status(), 200);
    assert_eq!(world.served("sesame", CHAT, PLAIN, "{}").await.status(), 200);
}

#[tokio::test]
async fn whoever_has_read_the_last_event_may_come_again_at_once() {
    let mut world = World::start("keys: {ann: {concurrency: 1, tokens-per-minute: 1000}}").await;
    let (mut client, mut call) = world.begun(CHAT, STREAM).await;
    call.open().await;
    for data in [LAST, USAGE, "[DONE]"] {
        call.event(data).await;
    }
    client.head().await;
    while !client.data().await.unwrap().contains("[DONE]") {}
    // The engine has not ended its stream yet.
    assert_eq!(world.served("sesame", CHAT, PLAIN, "{}").await.status(), 200);
    call.end().await;
    assert_eq!(client.data().await, None);
    let used = world.config().await["keys"]["ann"]["tokens-used"].as_u64().unwrap();
    assert!((1..=8).contains(&used), "5 and 3, and what has run out since: {used}");
}

#[tokio::test]
async fn what_leaves_the_cluster_is_on_the_same_accounts() {
    let mut outside = Engine::start().await;
    let routes = json!([{"base_url": format!("http://{}", outside.addr), "prefix": "*"}]).to_string();
    let split = [("route-policy", "prefix"), ("route-config", routes.as_str())];
    let world = World::with("keys: {ann: {concurrency: 1, tokens-per-minute: 10}}", &split).await;
    let mut client = world.ask("sesame", COMPLETIONS, FOUR).await;
    let call = soon(outside.call()).await;
    is_limited(&world.refused("sesame", COMPLETIONS, FOUR).await, "the key `ann`", "requests in flight");
    call.answer(200, r#"{"usage":{"prompt_tokens":4,"completion_tokens":5000,"total_tokens":5004}}"#).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.head.get("x-ratelimit-limit-tokens")), (200, Some("10")));
    is_limited(&world.refused("sesame", COMPLETIONS, FOUR).await, "the key `ann`", "limit 10, used 5");
}

#[tokio::test]
async fn without_limits_nothing_is_said_of_them() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, PLAIN).await;
    engine.call().await.answer(200, "{}").await;
    let answer = client.answer().await;
    assert_eq!((told(&answer, REQUESTS), told(&answer, TOKENS)), ([None; 3], [None; 3]));
    assert_eq!(gateway.get("/config").await.json().get("limits"), None);
}

#[test]
fn a_file_that_makes_no_sense_at_the_start_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("limits");
    for (text, fault) in [
        ("models: {a: {concurrency: none}}", "models.a: "),
        ("keys: {ann: {concurrency: 1}}", "it limits keys, but without --api-keys-file requests have none"),
    ] {
        std::fs::write(&path, text).unwrap();
        let args = gateway::Args::default().with("host", "127.0.0.1").with("neutral-endpoints", "127.0.0.1:1");
        let faults = args.with("limits-config", path.to_str().unwrap()).validate().unwrap_err();
        let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].starts_with("--limits-config: ") && said[0].contains(fault), "{said:?}");
    }
}
