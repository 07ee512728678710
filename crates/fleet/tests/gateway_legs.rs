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
    let command = <engine::Args as clap::Args>::augment_args(clap::Command::new("engine"));
    let matches = command.args_override_self(true).get_matches_from(format!("{ENGINE} {flags}").split_whitespace());
    let args = <engine::Args as clap::FromArgMatches>::from_arg_matches(&matches).expect("flags");
    engine::start(args.validate().expect("a configuration"), process("engine")).await.expect("an engine")
}

async fn complete(client: &Client, addr: SocketAddr) -> (StatusCode, Value) {
    let request = Request::post("/v1/completions").header("content-type", "application/json");
    let request = request.body(Body::from(BODY)).expect("a request");
    let answer = client.send(&Target::from_addr(addr), request).await.expect("an answer");
    let status = answer.status();
    let body = collect(answer.into_body(), 1 << 20).await.expect("a body");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn every_protocol_gives_what_one_engine_gives() {
    let client = Client::new(ClientConfig::default());
    for (protocol, connector, dialect) in [
        ("nixlv2", "nixlv2", "vllm"),
        ("vllm-mooncake", "nixlv2", "vllm"),
        ("sglang-mooncake", "sglang", "sglang"),
        ("mooncake", "mooncake", "vllm"),
    ] {
        let prefill = engine(&format!("--role prefill --kv-connector {connector} --dialect {dialect}")).await;
        let decode = engine(&format!("--role decode --kv-connector {connector} --dialect {dialect}")).await;
        let args = gateway::Args::default()
            .with("host", "127.0.0.1")
            .with("port", "0")
            .with("pd-disagg-protocol", protocol)
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
}
