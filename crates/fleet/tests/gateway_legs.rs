//! The gateway runs P/D protocols itself, between simulated engines without sidecars: every protocol, over real sockets.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, StatusCode};
use proxy::body::collect;
use proxy::{Body, Client, ClientConfig, Target};
use serde_json::Value;
use telemetry::{Telemetry, TelemetryConfig};

const ENGINE: &str = "engine --port 0 --model tiny --prefill-base 2ms --prefill-per-token 0s --decode-step 1ms \
                      --num-gpu-blocks 1025 --max-model-len 4096 --enable-prompt-tokens-details";
const BODY: &str = r#"{"model":"tiny","prompt":"one two three four five six seven eight nine ten","max_tokens":5}"#;

fn process(name: &str) -> Arc<Telemetry> {
    Telemetry::new(TelemetryConfig::new(name)).expect("telemetry")
}

async fn engine(flags: &str) -> engine::Running {
    try_engine(flags).await.expect("an engine")
}

async fn try_engine(flags: &str) -> Result<engine::Running, engine::StartError> {
    let command = <engine::Args as clap::Args>::augment_args(clap::Command::new("engine"));
    let matches = command.args_override_self(true).get_matches_from(format!("{ENGINE} {flags}").split_whitespace());
    let args = <engine::Args as clap::FromArgMatches>::from_arg_matches(&matches).expect("flags");
    engine::start(args.validate().expect("a configuration"), process("engine")).await
}

async fn complete(client: &Client, addr: SocketAddr) -> (StatusCode, Value) {
    let request = Request::post("/v1/completions").header("content-type", "application/json");
    let request = request.body(Body::from(BODY)).expect("a request");
    let answer = client.send(&Target::from_addr(addr), request).await.expect("an answer");
    let status = answer.status();
    let body = collect(answer.into_body(), 1 << 20).await.expect("a body");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

/// A prefill instance and a decode instance that can hand over, by the connector of both.
async fn pair(connector: &str, dialect: &str) -> [engine::Running; 2] {
    let flags = |role: &str| format!("--role {role} --kv-connector {connector} --dialect {dialect}");
    let prefill = match connector {
        "kvt" => where_llumnix_looks(&flags("prefill")).await,
        "lmcache" => engine(&format!("{} --shared-store self", flags("prefill"))).await,
        _ => engine(&flags("prefill")).await,
    };
    let decode = match connector {
        "lmcache" => engine(&format!("{} --shared-store {}", flags("decode"), prefill.side_channel_addr)).await,
        _ => engine(&flags("decode")).await,
    };
    [prefill, decode]
}

/// An instance whose connector listens 20,000 above its own port: where one is looked for of which no more is known.
async fn where_llumnix_looks(flags: &str) -> engine::Running {
    for _ in 0..100 {
        let probe = engine(flags).await;
        let port = probe.addr.port();
        probe.shutdown().await;
        let Some(aux) = port.checked_add(20_000) else { continue };
        let flags = format!("{flags} --port {port} --side-channel-port {aux}");
        if let Ok(engine) = try_engine(&flags).await {
            return engine;
        }
    }
    panic!("no two free ports that are 20,000 apart");
}

/// The gateway's answer between two such instances is what one engine answers alone.
async fn gives_what_one_engine_gives(protocol: &str, connector: &str, dialect: &str, staged: bool) {
    let client = Client::new(ClientConfig::default());
    let [prefill, decode] = pair(connector, dialect).await;
    let args = gateway::Args::default()
        .with("host", "127.0.0.1")
        .with("port", "0")
        .with("pd-disagg-protocol", protocol)
        .with("separate-pd-scheduling", staged.to_string())
        .with("pd-bootstrap-port", prefill.bootstrap_addr.port().to_string())
        .with("prefill-endpoints", prefill.addr.to_string())
        .with("decode-endpoints", decode.addr.to_string());
    let gateway = gateway::start(args.validate().expect("a configuration"), process("candor-gateway")).await;
    let gateway = gateway.expect("a gateway");
    let (status, split) = complete(&client, gateway.addr).await;
    assert_eq!(status, StatusCode::OK, "{protocol}: {split}");
    let alone = engine(&format!("--dialect {dialect}")).await;
    let (_, whole) = complete(&client, alone.addr).await;
    assert_eq!(split["choices"], whole["choices"], "{protocol}");
    gateway.shutdown().await;
    for engine in [prefill, decode, alone] {
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn every_protocol_gives_what_one_engine_gives() {
    for (protocol, connector, dialect) in [
        ("nixlv2", "nixlv2", "vllm"),
        ("vllm-mooncake", "nixlv2", "vllm"),
        ("lmcache", "lmcache", "vllm"),
        ("sglang-mooncake", "sglang", "sglang"),
        ("mooncake", "mooncake", "vllm"),
        ("kvt", "kvt", "vllm"),
    ] {
        gives_what_one_engine_gives(protocol, connector, dialect, false).await;
    }
}

#[tokio::test]
async fn every_serial_protocol_gives_the_same_with_stages_that_are_placed_apart() {
    for (protocol, connector) in [("nixlv2", "nixlv2"), ("lmcache", "lmcache"), ("kvt", "kvt")] {
        gives_what_one_engine_gives(protocol, connector, "vllm", true).await;
    }
}
