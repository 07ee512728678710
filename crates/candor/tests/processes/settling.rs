//! A request leaves the account of what is in flight when its instance's status lists it, under whatever name the engine has
//! given it. Nothing is settled by its age here: that would take ten minutes.

use std::net::SocketAddr;

use http::{Request, StatusCode};
use proxy::client::UpstreamBody;
use proxy::{Body, Client, ClientConfig, Target};
use testkit::Redis;

use crate::support::{Candor, eventually};

/// A first token comes at once; the second one never.
const ENGINE: [&str; 3] = ["--model=m", "--prefill-base=1ms", "--decode-step=1h"];

const PATIENT: [&str; 2] = ["--cms-pull-metadata-interval-ms=50", "--request-local-account-staleness-seconds=600"];

/// A gateway before `front`, and the scheduler that it asks.
async fn placed_by_a_scheduler(cms: &str, front: SocketAddr) -> (Candor, Candor) {
    let scheduler = Candor::start("scheduler", &[&[cms], &PATIENT[..]].concat()).await;
    let (known, asked) = (format!("--neutral-endpoints={front}"), format!("--scheduler-endpoints={}", scheduler.addr));
    let gateway = Candor::start("gateway", &[&known, &asked]).await;
    eventually("the instance is known", || async { scheduler.sum("instance_schedulable").await == 1.0 }).await;
    (scheduler, gateway)
}

/// Sends a request whose answer is left open.
async fn open(gateway: SocketAddr, path: &str, body: &str) -> UpstreamBody {
    let request = Request::post(path).header("content-type", "application/json").body(Body::from(body.to_owned()));
    let client = Client::new(ClientConfig::default());
    let response = client.send(&Target::from_addr(gateway), request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    response.into_body()
}

/// Waits until so many requests have been placed and all of them are in the instance's status.
async fn settles(scheduler: &Candor, placed: f64, running: f64) {
    assert_eq!(scheduler.sum("scheduler_instance_dispatch_total").await, placed);
    eventually("nothing is in flight any more", || async {
        let scrape = scheduler.scrape().await.unwrap();
        let of = |name: &str| scrape.sum(&format!("instance_cms_{name}"), &[]).unwrap();
        of("inflight_dispatch_requests") == 0.0 && of("running_requests") + of("waiting_requests") == running
    })
    .await;
    assert_eq!(scheduler.sum("scheduler_inflight_aged_total").await, 0.0);
}

#[tokio::test]
async fn every_api_of_an_engine_that_speaks_for_itself() {
    let redis = Redis::start().await;
    let cms = format!("--cms={}", redis.url());
    let engine = Candor::start("engine", &[&ENGINE[..], &[&cms, "--instance-id=a"]].concat()).await;
    let (scheduler, gateway) = placed_by_a_scheduler(&cms, engine.addr).await;
    let text = r#""model":"m","max_tokens":5,"stream":true"#;
    let asked = [
        ("/v1/completions", format!(r#"{{{text},"prompt":"one two"}}"#)),
        ("/v1/chat/completions", format!(r#"{{{text},"messages":[{{"role":"user","content":"one two"}}]}}"#)),
        ("/v1/messages", format!(r#"{{{text},"messages":[{{"role":"user","content":"one two"}}]}}"#)),
        ("/v1/responses", r#"{"model":"m","max_output_tokens":5,"stream":true,"input":"one two"}"#.to_owned()),
    ];
    let mut answers = Vec::new();
    for (path, body) in &asked {
        answers.push(open(gateway.addr, path, body).await);
        settles(&scheduler, answers.len() as f64, answers.len() as f64).await;
    }
    drop(answers);
    settles(&scheduler, 4.0, 1.0).await;
}

#[tokio::test]
async fn an_engine_that_an_agent_speaks_for() {
    let redis = Redis::start().await;
    let cms = format!("--cms={}", redis.url());
    let engine = Candor::start("engine", &ENGINE).await;
    let metrics = SocketAddr::from(([127, 0, 0, 1], testkit::free_port()));
    let (before, own) =
        (format!("--model-server-port={}", engine.addr.port()), format!("--metrics-port={}", metrics.port()));
    let sidecar = Candor::start_seen_at(metrics, "sidecar", &["--secure-serving=false", &before, &own]).await;
    let (watched, followed) = (format!("--engine={}", engine.addr), format!("--sidecar={metrics}"));
    let told = format!("--advertise={}", sidecar.addr);
    let flags = [&*watched, &followed, &told, &cms, "--instance-id=a", "--scrape-interval=20ms"];
    let agent = Candor::start("agent", &flags).await;
    let (scheduler, gateway) = placed_by_a_scheduler(&cms, sidecar.addr).await;
    let body = r#"{"model":"m","max_tokens":5,"stream":true,"prompt":"one two"}"#;
    let mut answers = Vec::new();
    for count in 1..=3 {
        answers.push(open(gateway.addr, "/v1/completions", body).await);
        settles(&scheduler, f64::from(count), f64::from(count)).await;
    }
    drop(answers);
    assert!(agent.terminate().await);
    eventually("the instance is gone", || async { scheduler.sum("instance_schedulable").await == 0.0 }).await;
}
