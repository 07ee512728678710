//! Requests that leave the cluster: by rule, and because the cluster or an endpoint could not serve them.

use std::time::Duration;

use proxy::tls::ServerTls;
use proxy::{Drain, Listener, ListenerConfig};
use serde_json::{Value, json};

use super::support::{Answer, CHAT, Call, Engine, Gateway, LAST, STREAM, USAGE, count, nobody, soon, token};

const PLAIN: &str = r#"{"model":"tiny"}"#;

/// A gateway before `local` that splits by prefix.
async fn routed(local: impl ToString, routes: Value) -> Gateway {
    with_queue(local, routes, &[]).await
}

/// The same with settings of the retry queue, of which only what is given differs from the defaults.
async fn with_queue(local: impl ToString, routes: Value, settings: &[(&str, &str)]) -> Gateway {
    Gateway::with(|args| {
        let args = args.with("neutral-endpoints", local.to_string()).with("route-policy", "prefix");
        let args = args.with("route-config", routes.to_string());
        settings.iter().fold(args, |args, (name, value)| args.with(name, *value))
    })
    .await
}

fn url(engine: &Engine) -> String {
    format!("http://{}", engine.addr)
}

fn fallback(engine: &Engine) -> Value {
    json!({"base_url": url(engine), "fallback": true})
}

fn everything_local() -> Value {
    json!({"base_url": "local", "prefix": "*"})
}

async fn post(gateway: &Gateway, body: &str) -> super::support::Client {
    let mut client = gateway.client().await;
    client.post(CHAT, body).await;
    client
}

/// Answers one call after the other with these statuses.
async fn answers(engine: &mut Engine, statuses: &[u16]) {
    for status in statuses {
        soon(engine.call()).await.answer(*status, &format!(r#"{{"from":{status}}}"#)).await;
    }
}

async fn stream(mut call: Call) {
    call.open().await;
    call.end_after(&[&token("a"), LAST, USAGE, "[DONE]"]).await;
}

/// Requests that ended with `status`, whatever model they are counted under: nobody tells the gateway of models that only
/// endpoints outside serve.
fn ended(scrape: &telemetry::exposition::Scrape, status: u16) -> f64 {
    scrape.sum("request_total", &[("status_code", &status.to_string())]).unwrap_or(0.0)
}

fn fallbacks(scrape: &telemetry::exposition::Scrape, status: &str) -> f64 {
    scrape.sum("request_fallback_total", &[("status_code", status)]).unwrap_or(0.0)
}

#[tokio::test]
async fn an_external_endpoint_gets_the_request_under_its_own_path_key_and_model() {
    let (mut local, mut outside) = (Engine::start().await, Engine::start().await);
    let routes = json!([
        everything_local(),
        {"base_url": format!("{}/api/v3/", url(&outside)), "prefix": "doubao-*", "api_key": "sk-9", "model": "db-pro"},
    ]);
    let gateway = routed(local.addr, routes).await;
    let mut client = gateway.client().await;
    let body = r#"{"model":"doubao-1", "messages":[],"kv_transfer_params":{"remote_host":"evil"}}"#;
    client
        .send("POST", CHAT, "authorization: Bearer mine\r\nx-request-id: r-1\r\nx-prefiller-host-port: a:1\r\n", body)
        .await;
    let call = soon(outside.call()).await;
    assert_eq!(call.head.start, "POST /api/v3/chat/completions HTTP/1.1");
    assert_eq!(call.head.get("authorization"), Some("Bearer sk-9"));
    assert_eq!(call.head.get("x-request-id"), Some("r-1"));
    assert!(call.head.get("traceparent").is_some() && call.head.get("x-prefiller-host-port").is_none());
    assert!(call.head.get("x-candor-elapsed-us").is_none(), "our own affair");
    assert_eq!(call.json(), json!({"model": "db-pro", "messages": []}));
    call.answer(200, r#"{"usage":{"prompt_tokens":5,"completion_tokens":3}}"#).await;
    assert_eq!(client.answer().await.status(), 200);

    client.post(CHAT, PLAIN).await;
    answers(&mut local, &[200]).await;
    assert_eq!(client.answer().await.status(), 200);
    let scrape = gateway.settled(2).await;
    assert_eq!((count(&scrape, "unknown", 200), count(&scrape, "tiny", 200)), (1, 1), "with their real status");
    assert_eq!(scrape.value("request_output_tokens_total", &[("model", "unknown")]), Some(3.0));
    assert!(outside.is_idle());
}

#[tokio::test]
async fn an_external_stream_is_relayed_and_measured_as_any_other() {
    let mut outside = Engine::start().await;
    let gateway = routed(nobody().await, json!([{"base_url": url(&outside), "prefix": "*"}])).await;
    let mut client = post(&gateway, STREAM).await;
    let call = soon(outside.call()).await;
    assert_eq!(call.json()["stream_options"]["include_usage"], true);
    stream(call).await;
    let answer = client.answer().await;
    assert!(answer.text().contains("\"a\"") && !answer.text().contains("usage"), "{answer:?}");
    let scrape = gateway.settled(1).await;
    assert_eq!(scrape.sum("request_ttft_milliseconds_count", &[]), Some(1.0));
    assert_eq!(scrape.sum("request_e2e_latency_seconds_count", &[]), Some(1.0));
    assert_eq!(scrape.sum("request_output_tokens_total", &[]), Some(3.0));
    let spans = gateway.spans().await;
    assert_eq!(spans[0].get("candor.gateway.decode_target"), Some(&url(&outside).into()));
}

#[tokio::test]
async fn an_external_stream_may_last_but_not_fall_silent() {
    let mut outside = Engine::start().await;
    let routes = json!([{"base_url": url(&outside), "prefix": "*"}]);
    let gateway = with_queue(nobody().await, routes, &[("stream-idle-timeout", "300ms")]).await;
    let mut client = post(&gateway, STREAM).await;
    let mut call = soon(outside.call()).await;
    call.open().await;
    // Longer altogether than the limit of a silence.
    for _ in 0..8 {
        call.event(&token("a")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = client.answer().await;
    assert_eq!(answer.text().matches("\"a\"").count(), 8);
    assert!(answer.text().contains("stream_silent"), "{answer:?}");
}

#[tokio::test]
async fn weights_split_the_traffic() {
    let (mut local, mut outside) = (Engine::start().await, Engine::start().await);
    let routes = json!([{"base_url": "local", "weight": 1}, {"base_url": url(&outside), "weight": 1}]);
    let gateway = Gateway::with(|args| {
        args.with("neutral-endpoints", local.addr.to_string())
            .with("route-policy", "weight")
            .with("route-config", routes.to_string())
    })
    .await;
    let mut client = gateway.client().await;
    let mut seen = [0, 0];
    for _ in 0..64 {
        client.post(CHAT, PLAIN).await;
        let (at, call) = tokio::select! {
            call = soon(local.call()) => (0, call),
            call = soon(outside.call()) => (1, call),
        };
        seen[at] += 1;
        call.answer(200, "{}").await;
        assert_eq!(client.answer().await.status(), 200);
    }
    // Each is missed by all 64 with a probability of 2^-64.
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

/// What becomes of a request whose first destination and two fallbacks answer so (`0`: do not listen).
struct Case {
    first: u16,
    /// Statuses of the fallbacks, as far as they are to be asked.
    then: &'static [u16],
    expected: u16,
}

#[tokio::test]
async fn fallbacks_are_tried_in_order_until_one_serves() {
    let cases = [
        // Nobody in the cluster, or an error of its own.
        Case { first: 0, then: &[200], expected: 200 },
        Case { first: 500, then: &[200], expected: 200 },
        Case { first: 503, then: &[500, 200], expected: 200 },
        Case { first: 503, then: &[429, 200], expected: 200 },
        Case { first: 503, then: &[408, 201], expected: 201 },
        // The last failure stands.
        Case { first: 500, then: &[502, 503], expected: 503 },
        Case { first: 500, then: &[503, 429], expected: 429 },
        // What the client did wrong is wrong everywhere.
        Case { first: 400, then: &[], expected: 400 },
        Case { first: 404, then: &[], expected: 404 },
        Case { first: 429, then: &[], expected: 429 },
        Case { first: 503, then: &[422], expected: 422 },
        Case { first: 503, then: &[401], expected: 401 },
    ];
    for Case { first, then, expected } in cases {
        let (mut local, mut one, mut two) = (Engine::start().await, Engine::start().await, Engine::start().await);
        let routes = json!([everything_local(), fallback(&one), fallback(&two)]);
        let place = if first == 0 { nobody().await.to_string() } else { local.addr.to_string() };
        let gateway = routed(place, routes).await;
        let mut client = post(&gateway, PLAIN).await;
        if first != 0 {
            answers(&mut local, &[first]).await;
        }
        answers(&mut one, &then[..then.len().min(1)]).await;
        answers(&mut two, then.get(1..).unwrap_or_default()).await;
        let answer = client.answer().await;
        let case = format!("{first} {then:?}");
        assert_eq!(answer.status(), expected, "{case}");
        let scrape = gateway.settled(1).await;
        assert_eq!(ended(&scrape, expected), 1.0, "{case}");
        assert_eq!(scrape.sum("request_fallback_total", &[]).unwrap_or(0.0), then.len() as f64, "{case}");
        let served = then.last().is_some_and(|status| !matches!(status, 408 | 429 | 500..));
        assert_eq!(fallbacks(&scrape, "success"), f64::from(u8::from(served)), "{case}");
        assert!(one.is_idle() && two.is_idle(), "{case}");
        let spans = gateway.spans().await;
        assert_eq!(spans[0].events.iter().filter(|event| event.name == "fallback").count(), then.len(), "{case}");
    }
}

#[tokio::test]
async fn a_fallback_that_is_not_there_is_a_network_error_and_the_next_one_serves() {
    let mut two = Engine::start().await;
    let routes = json!([
        everything_local(),
        {"base_url": format!("http://{}", nobody().await), "fallback": true},
        fallback(&two),
    ]);
    let gateway = routed(nobody().await, routes).await;
    let mut client = post(&gateway, STREAM).await;
    stream(soon(two.call()).await).await;
    assert_eq!(client.answer().await.status(), 200);
    let scrape = gateway.settled(1).await;
    assert_eq!((fallbacks(&scrape, "network_error"), fallbacks(&scrape, "success")), (1.0, 1.0));
}

#[tokio::test]
async fn retries_in_the_cluster_come_before_fallbacks() {
    let (mut local, mut outside) = (Engine::start().await, Engine::start().await);
    let routes = json!([everything_local(), fallback(&outside)]);
    let gateway = with_queue(local.addr, routes, &[("retry-max-count", "2")]).await;
    let mut client = post(&gateway, PLAIN).await;
    answers(&mut local, &[500, 502, 503]).await;
    answers(&mut outside, &[200]).await;
    assert_eq!(client.answer().await.status(), 200);
    let scrape = gateway.settled(1).await;
    assert_eq!(scrape.sum("request_retry_total", &[]), Some(2.0));
}

#[tokio::test]
async fn an_external_route_that_fails_is_not_its_own_fallback() {
    for status in [0, 429, 500] {
        let (mut first, mut other) = (Engine::start().await, Engine::start().await);
        let place = if status == 0 { format!("http://{}", nobody().await) } else { url(&first) };
        let routes = json!([{"base_url": place, "prefix": "*", "fallback": true}, fallback(&other)]);
        let gateway = routed(nobody().await, routes).await;
        let mut client = post(&gateway, PLAIN).await;
        if status != 0 {
            answers(&mut first, &[status]).await;
        }
        answers(&mut other, &[200]).await;
        assert_eq!(client.answer().await.status(), 200, "{status}");
        assert!(first.is_idle());
    }
}

#[tokio::test]
async fn a_model_without_a_route_is_not_found_unless_there_is_a_fallback() {
    let (local, mut outside) = (Engine::start().await, Engine::start().await);
    let only = json!([{"base_url": "local", "prefix": "tiny"}]);
    let gateway = routed(local.addr, only.clone()).await;
    let answer: Answer = post(&gateway, r#"{"model":"huge"}"#).await.answer().await;
    assert_eq!((answer.status(), answer.json()["error"]["code"].clone()), (404, json!("model_not_found")));
    assert_eq!(answer.head.get("x-candor-error"), Some("schedule"));
    let scrape = gateway.settled(1).await;
    assert_eq!(count(&scrape, "unknown", 404), 1);

    let routes = json!([only[0], fallback(&outside)]);
    let gateway = routed(local.addr, routes).await;
    let mut client = post(&gateway, r#"{"model":"huge"}"#).await;
    answers(&mut outside, &[200]).await;
    assert_eq!(client.answer().await.status(), 200);
    assert!(local.is_idle());
}

#[tokio::test]
async fn an_answer_that_has_begun_is_the_clients_whatever_becomes_of_it() {
    let (mut local, outside) = (Engine::start().await, Engine::start().await);
    let gateway = routed(local.addr, json!([everything_local(), fallback(&outside)])).await;
    let mut client = post(&gateway, STREAM).await;
    let mut call = soon(local.call()).await;
    call.open().await;
    call.event(&token("a")).await;
    call.reset();
    let answer = client.answer().await;
    assert!(answer.text().contains("\"a\"") && answer.text().contains("stream_lost"), "{answer:?}");
    let scrape = gateway.settled(1).await;
    assert_eq!(scrape.sum("request_fallback_total", &[]).unwrap_or(0.0), 0.0);
    assert!(outside.is_idle());
}

#[tokio::test]
async fn https_is_spoken_to_endpoints_that_say_so_and_their_certificate_counts() {
    // Its certificate is signed by nobody that the gateway trusts.
    let (tls, _) = ServerTls::self_signed(&["localhost"]).unwrap();
    let config = ListenerConfig { tls: Some(tls), ..ListenerConfig::default() };
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let routes = json!([{"base_url": format!("https://localhost:{}", listener.local_addr().port()), "prefix": "*"}]);
    let drain = Drain::new();
    let service = |_| async { http::Response::new(proxy::Body::from("reached")) };
    drain.spawn(listener.serve(service, drain.clone()));
    let gateway = routed(nobody().await, routes).await;
    let answer = post(&gateway, PLAIN).await.answer().await;
    assert_eq!((answer.status(), answer.json()["error"]["code"].clone()), (503, json!("tls")));
    drain.finish(Duration::ZERO).await;
}

const QUICK: [(&str, &str); 3] = [
    ("fallback-retry-queue-enabled", "true"),
    ("fallback-retry-init-delay-ms", "20"),
    ("fallback-retry-max-delay-ms", "50"),
];

#[tokio::test]
async fn a_fallbacks_429_waits_and_is_tried_there_again() {
    for (statuses, expected) in
        [(&[429, 200][..], 200), (&[429, 429, 429, 200], 200), (&[429; 4], 503), (&[429, 500], 200)]
    {
        let (mut one, mut two) = (Engine::start().await, Engine::start().await);
        let gateway =
            with_queue(nobody().await, json!([everything_local(), fallback(&one), fallback(&two)]), &QUICK).await;
        let mut client = post(&gateway, PLAIN).await;
        answers(&mut one, statuses).await;
        // When waiting did not help, the next one is tried.
        let helped = statuses.last() == Some(&200);
        if !helped {
            answers(&mut two, &[expected]).await;
        }
        assert_eq!(client.answer().await.status(), expected, "{statuses:?}");
        let scrape = gateway.settled(1).await;
        let waited_out = scrape.sum("request_fallback_retry_success_total", &[]);
        assert_eq!(waited_out, Some(f64::from(u8::from(helped))), "{statuses:?}");
        assert_eq!(fallbacks(&scrape, "429"), 1.0, "{statuses:?}");
        assert!(one.is_idle() && two.is_idle(), "{statuses:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_is_not_asked_for_any_more() {
    let mut outside = Engine::start().await;
    let settings = [QUICK[0], ("fallback-retry-init-delay-ms", "200"), ("fallback-retry-max-delay-ms", "200")];
    let gateway = with_queue(nobody().await, json!([everything_local(), fallback(&outside)]), &settings).await;
    let client = post(&gateway, PLAIN).await;
    answers(&mut outside, &[429]).await;
    drop(client);
    let scrape = gateway.settled(1).await;
    assert_eq!(ended(&scrape, 499), 1.0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(outside.is_idle());
}
