//! Copies of requests for another deployment.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use telemetry::exposition::Scrape;
use tempfile::NamedTempFile;

use super::support::{CHAT, Engine, Gateway, soon};

const PLAIN: &str = r#"{"model":"tiny", "messages":[]}"#;

fn file(settings: &Value) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), settings.to_string()).unwrap();
    file
}

async fn mirroring(engine: &Engine, file: &NamedTempFile) -> Gateway {
    let path = file.path().to_str().unwrap().to_owned();
    Gateway::with(|args| args.with("neutral-endpoints", engine.addr.to_string()).with("mirror-config", path)).await
}

fn target(mirror: &Engine) -> String {
    format!("http://{}", mirror.addr)
}

/// Sends a request that the engine serves.
async fn served(gateway: &Gateway, engine: &mut Engine, lines: &str) {
    let mut client = gateway.client().await;
    client.send("POST", &format!("{CHAT}?a=1"), lines, PLAIN).await;
    soon(engine.call()).await.answer(200, "{}").await;
    assert_eq!(soon(client.answer()).await.status(), 200);
}

async fn copies(gateway: &Gateway, outcome: &str, expected: f64) -> Scrape {
    soon(async {
        loop {
            let scrape = gateway.scrape().await;
            if scrape.value("mirror_requests_total", &[("outcome", outcome)]) == Some(expected) {
                return scrape;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_copy_is_the_clients_request_and_nothing_waits_for_it() {
    let (mut engine, mut mirror) = (Engine::start().await, Engine::start().await);
    let file = file(&json!({"Enable": true, "Target": target(&mirror), "Ratio": 100}));
    let gateway = mirroring(&engine, &file).await;
    served(&gateway, &mut engine, "authorization: Bearer mine\r\nx-request-id: r-1\r\nx-tenant: t\r\n").await;
    let copy = soon(mirror.call()).await;
    assert_eq!(copy.head.start, format!("POST {CHAT}?a=1 HTTP/1.1"));
    assert_eq!(copy.body, PLAIN, "byte for byte");
    for (name, value) in [("authorization", "Bearer mine"), ("x-request-id", "r-1"), ("x-tenant", "t")] {
        assert_eq!(copy.head.get(name), Some(value), "{name}");
    }
    // The client was answered while the copy was not.
    copy.answer(200, r#"{"dropped":true}"#).await;
    copies(&gateway, "answered", 1.0).await;
    let scrape = gateway.settled(1).await;
    assert_eq!(scrape.sum("request_total", &[]), Some(1.0), "a copy is no request");
}

#[tokio::test]
async fn what_becomes_of_copies_is_counted_and_the_client_sees_none_of_it() {
    let (mut engine, mut mirror) = (Engine::start().await, Engine::start().await);
    let settings = |target: &str, timeout: u64| json!({"Enable": true, "Target": target, "Ratio": 100, "Timeout": timeout, "Authorization": "Bearer theirs"});
    let refused = file(&settings(&target(&mirror), 0));
    let gateway = mirroring(&engine, &refused).await;
    served(&gateway, &mut engine, "authorization: Bearer mine\r\n").await;
    let copy = soon(mirror.call()).await;
    assert_eq!(copy.head.get("authorization"), Some("Bearer theirs"));
    copy.answer(500, "{}").await;
    copies(&gateway, "refused", 1.0).await;

    let slow = file(&settings(&target(&mirror), 50));
    let gateway = mirroring(&engine, &slow).await;
    served(&gateway, &mut engine, "").await;
    copies(&gateway, "timed_out", 1.0).await;

    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failed = file(&settings(&format!("http://{gone}"), 0));
    let gateway = mirroring(&engine, &failed).await;
    served(&gateway, &mut engine, "").await;
    copies(&gateway, "failed", 1.0).await;
}

#[tokio::test]
async fn copies_beyond_the_pool_are_dropped() {
    let (mut engine, mirror) = (Engine::start().await, Engine::start().await);
    let file = file(&json!({"Enable": true, "Target": target(&mirror), "Ratio": 100}));
    let gateway = mirroring(&engine, &file).await;
    for _ in 0..257 {
        served(&gateway, &mut engine, "").await;
    }
    copies(&gateway, "dropped", 1.0).await;
    // The rest wait for their answers; a shutdown does not wait for them.
    assert!(soon(gateway.running.shutdown()).await.complete);
}

#[tokio::test]
async fn nothing_is_copied_that_the_file_does_not_want() {
    for settings in [json!({}), json!({"Enable": false, "Ratio": 100}), json!({"Enable": true, "Ratio": 0})] {
        let (mut engine, mirror) = (Engine::start().await, Engine::start().await);
        let mut settings = settings;
        settings["Target"] = target(&mirror).into();
        let gateway = mirroring(&engine, &file(&settings)).await;
        served(&gateway, &mut engine, "").await;
        assert!(mirror.is_idle());
        assert_eq!(gateway.scrape().await.sum("mirror_requests_total", &[]), Some(0.0), "{settings}");
    }
}

#[tokio::test]
async fn the_file_is_followed_and_what_cannot_be_used_changes_nothing() {
    let (mut engine, mut one, mut two) = (Engine::start().await, Engine::start().await, Engine::start().await);
    let file = file(&json!({"Enable": true, "Target": target(&one), "Ratio": 100}));
    let gateway = mirroring(&engine, &file).await;
    fs::write(file.path(), "{ half a file").unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    served(&gateway, &mut engine, "").await;
    soon(one.call()).await.answer(200, "{}").await;

    fs::write(file.path(), json!({"Enable": true, "Target": target(&two), "Ratio": 100}).to_string()).unwrap();
    let to_two = async {
        loop {
            served(&gateway, &mut engine, "").await;
            tokio::select! {
                call = two.call() => return call,
                call = one.call() => call.answer(200, "{}").await,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    soon(to_two).await.answer(200, "{}").await;
}

#[tokio::test]
async fn a_file_that_is_wrong_at_the_start_is_a_fault() {
    let broken = file(&json!({"Enable": true}));
    for path in [broken.path().to_str().unwrap(), "/nonexistent/mirror.json"] {
        let args = gateway::Args::default().with("neutral-endpoints", "a:1").with("host", "127.0.0.1");
        let faults = args.with("mirror-config", path).validate().unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].to_string().starts_with("--mirror-config: "), "{faults:?}");
    }
}
