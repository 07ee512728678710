//! Spans as OTLP has them: those of P/D requests, with the attributes that the dashboards ask for.

use crate::protobuf::Record;

/// Spans of a request, each of another service or with another name.
const PARTS: [(&str, &str); 6] = [
    ("candor-gateway", "gateway.request"),
    ("llm-d-pd-proxy", "llm_d.pd_proxy.request"),
    ("llm-d-pd-proxy", "llm_d.pd_proxy.prefill"),
    ("llm-d-pd-proxy", "llm_d.pd_proxy.decode"),
    ("vllm-prefill", "llm_request"),
    ("vllm-decode", "llm_request"),
];
/// Spans of a request.
pub(super) const EACH: u64 = PARTS.len() as u64;
const CONNECTORS: [&str; 2] = ["nixlv2", "sglang"];

/// The spans of requests `from..to` of `of` as their processes would export them, spread over the hour that ends at `end`,
/// Unix nanoseconds.
pub(super) fn export(from: u64, to: u64, of: u64, end: u64) -> Vec<u8> {
    const HOUR: u64 = 3_600_000_000_000;
    let mut message = Record::default();
    for (part, (service, _)) in (0..).zip(PARTS) {
        let mut scope = Record::default().message(1, &Record::default().text(1, "bench"));
        for request in from..to {
            scope = scope.message(2, &span(request, part, end - HOUR + request * (HOUR / of)));
        }
        let resource = Record::default().message(1, &text("service.name", service));
        message = message.message(1, &Record::default().message(1, &resource).message(2, &scope));
    }
    message.0
}

fn span(request: u64, part: usize, start: u64) -> Record {
    let noise = request.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let trace = u128::from(request + 1) << 64 | u128::from(noise);
    let id = |part: usize| (request * 8 + part as u64 + 1).to_be_bytes();
    let mut span = Record::default().bytes(1, &trace.to_be_bytes()).bytes(2, &id(part));
    // Each below the one before it.
    if let Some(above) = part.checked_sub(1) {
        span = span.bytes(4, &id(above));
    }
    span = span.text(5, PARTS[part].1).int(6, 2).fixed(7, start).fixed(8, start + noise * 100);
    attributes(request, part, noise).into_iter().fold(span, |span, attribute| span.message(9, &attribute))
}

fn attributes(request: u64, part: usize, noise: u64) -> Vec<Record> {
    let mut attributes = vec![
        text("gen_ai.request.id", &format!("cmpl-{request:032x}")),
        text("gen_ai.request.model", "qwen3-32b"),
        whole("gen_ai.usage.prompt_tokens", noise % 8000),
    ];
    let milliseconds = |share: u64| (noise / share) as f64 / 1e4;
    match PARTS[part].1 {
        "llm_request" => attributes.extend([
            number("gen_ai.latency.time_to_first_token", milliseconds(3) / 1e3),
            number("gen_ai.latency.time_in_queue", milliseconds(90) / 1e3),
            number("gen_ai.latency.e2e", milliseconds(1) / 1e3),
            whole("gen_ai.usage.completion_tokens", noise % 500),
        ]),
        "llm_d.pd_proxy.decode" => attributes.extend([
            text("llm_d.pd_proxy.connector", CONNECTORS[(request % 2) as usize]),
            text("llm_d.pd_proxy.outcome", if request.is_multiple_of(50) { "failed" } else { "completed" }),
            number("llm_d.pd_proxy.true_ttft_ms", milliseconds(2)),
            number("llm_d.pd_proxy.prefill_duration_ms", milliseconds(4)),
            number("llm_d.pd_proxy.decode_duration_ms", milliseconds(2)),
            number("llm_d.pd_proxy.kv_transfer_overhead_ms", milliseconds(50)),
            number("llm_d.pd_proxy.total_duration_ms", milliseconds(1)),
            whole("llm_d.pd_proxy.true_ttft_us", noise / 20),
            whole("llm_d.pd_proxy.total_duration_us", noise / 10),
        ]),
        _ => attributes.extend([
            text("llm_d.pd_proxy.connector", CONNECTORS[(request % 2) as usize]),
            whole("http.response.status_code", 200),
            number("llm_d.pd_proxy.total_duration_ms", milliseconds(1)),
        ]),
    }
    attributes
}

fn attribute(key: &str, value: &Record) -> Record {
    Record::default().text(1, key).message(2, value)
}

fn text(key: &str, value: &str) -> Record {
    attribute(key, &Record::default().text(1, value))
}

fn whole(key: &str, value: u64) -> Record {
    attribute(key, &Record::default().int(3, value))
}

fn number(key: &str, value: f64) -> Record {
    attribute(key, &Record::default().double(4, value))
}
