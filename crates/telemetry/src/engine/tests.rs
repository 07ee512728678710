use std::time::Duration;

use super::{EngineInfo, EngineState, EngineTelemetry, Flavour, KvPull, LlmRequest, PromptTokens};
use crate::clock::now;
use crate::exposition::parse;
use crate::span::Value;
use crate::{MemorySpans, SpanExport, Telemetry, TelemetryConfig};

fn info(flavour: Flavour) -> EngineInfo {
    EngineInfo { model: "m".into(), engine: "0".into(), flavour, block_size: 16, blocks: 64, nixl: true }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_told_as_vllm_tells_it() {
    let spans = MemorySpans::default();
    let config = TelemetryConfig::new("vllm-decode").with_export(SpanExport::Memory(spans.clone()));
    let telemetry = Telemetry::new(config).unwrap();
    let info = info(Flavour::Vllm);
    let engine = EngineTelemetry::new(&telemetry, &info);
    engine.state(&telemetry, &info, || EngineState { running: 1, waiting: 2, deferred: 3, kv_cache_usage: 0.5 });
    let arrival = now();
    let prompt = PromptTokens { computed: 1, cached: 16, transferred: 32 };
    engine.admitted(prompt);
    engine.prefilled(prompt);
    engine.step(50, 1);
    engine.first_token(Duration::from_millis(13));
    engine.inter_token(Duration::from_millis(10));
    let pull = KvPull { transfer: Duration::from_millis(3), bytes: 4096, descriptors: 2 };
    engine.kv_pulled(pull);
    let request = LlmRequest {
        request_id: "cmpl-r-0".into(),
        arrival,
        scheduled: Some(arrival + Duration::from_millis(3)),
        first_token: Some(arrival + Duration::from_millis(13)),
        last_token: Some(arrival + Duration::from_millis(23)),
        finished: arrival + Duration::from_millis(23),
        prompt_tokens: 49,
        computed_tokens: 1,
        generation_tokens: 2,
        max_tokens: Some(2),
        n: 1,
        temperature: None,
        top_p: Some(1.0),
        preemptions: 0,
        finished_reason: "length",
    };
    engine.request_finished(&engine.start(None), &request);

    let text = telemetry.metrics_response(None).1;
    let scrape = parse(std::str::from_utf8(&text).unwrap()).unwrap();
    let labels = [("engine", "0"), ("model_name", "m")];
    let values = [
        ("vllm:num_requests_running", 1.0),
        ("vllm:num_requests_waiting", 5.0),
        ("vllm:kv_cache_usage_perc", 0.5),
        ("vllm:prompt_tokens_total", 49.0),
        ("vllm:external_prefix_cache_hits_total", 32.0),
        ("vllm:generation_tokens_total", 1.0),
        ("vllm:time_to_first_token_seconds_sum", 0.013),
        ("vllm:request_time_per_output_token_seconds_sum", 0.01),
        ("vllm:nixl_xfer_time_seconds_sum", 0.003),
        ("vllm:request_queue_time_seconds_sum", 0.003),
    ];
    for (name, value) in values {
        assert_eq!(scrape.value(name, &labels), Some(value), "{name}");
    }
    assert_eq!(scrape.value("vllm:request_success_total", &[("finished_reason", "length")]), Some(1.0));
    telemetry.shutdown().await;
    let span = spans.take().remove(0);
    assert_eq!(span.name, "llm_request");
    assert_eq!(span.get("gen_ai.latency.time_to_first_token"), Some(&Value::Double(0.013)));
    assert_eq!(span.get("gen_ai.usage.prompt_tokens"), Some(&Value::Int(49)));
    assert_eq!(span.get("gen_ai.request.temperature"), None);
}

#[tokio::test(start_paused = true)]
async fn sglang_speaks_its_own_names() {
    let telemetry = Telemetry::new(TelemetryConfig::new("vllm-decode")).unwrap();
    let engine = EngineTelemetry::new(&telemetry, &info(Flavour::Sglang));
    engine.first_token(Duration::from_millis(250));
    let text = String::from_utf8(telemetry.metrics_response(None).1.to_vec()).unwrap();
    assert!(text.contains("sglang:time_to_first_token_seconds_sum{model_name=\"m\"} 0.25\n"));
    assert!(!text.contains("vllm:"));
}
