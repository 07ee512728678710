//! Starting and stopping.

use std::time::Duration;

use gateway::Args;
use telemetry::MemorySpans;

use crate::support::{CHAT, Engine, Gateway, LAST, STREAM, soon, telemetry};

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_says_which() {
    let first = Gateway::neutral(&["127.0.0.1:1"]).await;
    let port = first.addr.port().to_string();
    let args = Args::default().with("host", "127.0.0.1").with("port", port.as_str());
    let config = args.with("neutral-endpoints", "127.0.0.1:1").validate().unwrap();
    let error = gateway::start(config, telemetry(&MemorySpans::default())).await.unwrap_err();
    assert!(error.to_string().contains(&port), "{error}");
}

#[tokio::test]
async fn an_idle_gateway_stops_at_once_and_completely() {
    let engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let report = soon(gateway.running.shutdown()).await;
    assert!(report.complete);
}

#[tokio::test]
async fn a_stream_in_flight_is_finished_before_the_gateway_stops() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    client.head().await;
    let addr = gateway.addr;
    let stopping = gateway.running.shutdown();
    let serving = async {
        // No new connection is taken, but this stream goes on.
        while tokio::net::TcpStream::connect(addr).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        call.end_after(&[LAST, "[DONE]"]).await;
        client.rest().await.0
    };
    let (report, text) = soon(async { tokio::join!(stopping, serving) }).await;
    assert!(report.complete, "{report:?}");
    assert!(text.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_stream_that_does_not_end_is_cut_off_and_the_report_says_so() {
    let mut engine = Engine::start().await;
    let gateway =
        Gateway::with(|args| args.with("neutral-endpoints", engine.addr.to_string()).with("drain-timeout", "50ms"))
            .await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    client.head().await;
    let report = soon(gateway.running.shutdown()).await;
    assert!(!report.complete);
    soon(call.closed()).await;
}

#[tokio::test]
async fn an_engine_that_comes_later_is_found() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let gateway = Gateway::neutral(&[addr]).await;
    assert_eq!(gateway.get("/readyz").await.status(), 503);
    let _engine = Engine::start_at(addr).await;
    soon(async {
        while gateway.get("/readyz").await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
