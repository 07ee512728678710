//! The names by which the audit finds what was reported.
//!
//! Written out here and not taken from `telemetry`, on purpose: a dashboard finds a number by its published name
//! (`design/metrics.md`, `design/latency.md`, the seed), and so must the referee. A name that changed on both sides at
//! once would pass an audit that shared the constant, and break every dashboard.

/// Spans.
pub(crate) mod span {
    /// The gateway's span, root of the server's part of a trace.
    pub(crate) const GATEWAY: &str = "gateway.request";
    /// The coordinator's span of the whole request.
    pub(crate) const REQUEST: &str = "llm_d.pd_proxy.request";
    /// The coordinator's span of the decode stage; carries the P/D numbers.
    pub(crate) const DECODE: &str = "llm_d.pd_proxy.decode";
    /// An engine's own span.
    pub(crate) const ENGINE: &str = "llm_request";
}

/// Attributes of spans.
pub(crate) mod attribute {
    /// The status towards the client; on an event, that of an attempt which was answered.
    pub(crate) const STATUS_CODE: &str = "http.response.status_code";
    /// Gateway: how the request ended.
    pub(crate) const GATEWAY_OUTCOME: &str = "candor.gateway.outcome";
    /// Gateway: in which stage, unless it completed.
    pub(crate) const GATEWAY_STAGE: &str = "candor.gateway.stage";
    /// Gateway: the event of an attempt that was followed by another one.
    pub(crate) const GATEWAY_RETRY: &str = "retry";
    /// Coordinator: how the request ended.
    pub(crate) const COORDINATOR_OUTCOME: &str = "llm_d.pd_proxy.outcome";
    /// Gateway: received → first token, ms.
    pub(crate) const GATEWAY_TTFT_MS: &str = "candor.gateway.ttft_ms";
    /// Gateway: received → end, ms.
    pub(crate) const GATEWAY_E2E_MS: &str = "candor.gateway.e2e_ms";
    /// Coordinator: origin → first token, ms.
    pub(crate) const TRUE_TTFT_MS: &str = "llm_d.pd_proxy.true_ttft_ms";
    /// Coordinator: origin → last byte, ms.
    pub(crate) const TOTAL_MS: &str = "llm_d.pd_proxy.total_duration_ms";
    /// Coordinator: origin → decoder starts generating, ms.
    pub(crate) const TIME_TO_DECODE_START_MS: &str = "llm_d.pd_proxy.time_to_decode_start_ms";
    /// Coordinator: prefill complete → decoder starts generating, ms.
    pub(crate) const KV_TRANSFER_MS: &str = "llm_d.pd_proxy.kv_transfer_overhead_ms";
    /// Coordinator: decoder starts generating → first token, ms.
    pub(crate) const FIRST_DECODE_STEP_MS: &str = "llm_d.pd_proxy.first_decode_step_ms";
    /// Coordinator: prefill sent → prefill done, ms.
    pub(crate) const PREFILL_MS: &str = "llm_d.pd_proxy.prefill_duration_ms";
    /// Coordinator: origin → its own `received`, ms.
    pub(crate) const GATEWAY_PART_MS: &str = "llm_d.pd_proxy.gateway_ms";
    /// Coordinator: its `received` → first leg sent, ms.
    pub(crate) const PREPROCESS_PART_MS: &str = "llm_d.pd_proxy.coordinator_preprocess_ms";
    /// Coordinator: the legs ran at once.
    pub(crate) const CONCURRENT: &str = "llm_d.pd_proxy.decode.concurrent_with_prefill";
    /// Gateway: the parts of its TTFT, ms.
    pub(crate) const GATEWAY_COMPONENTS_MS: &[&str] = &[
        "candor.gateway.ttft.preprocess_ms",
        "candor.gateway.ttft.queue_ms",
        "candor.gateway.ttft.schedule_ms",
        "candor.gateway.ttft.dispatch_ms",
        "candor.gateway.ttft.prefill_ms",
        "candor.gateway.ttft.kv_transfer_ms",
        "candor.gateway.ttft.first_decode_ms",
        "candor.gateway.ttft.relay_ms",
        "candor.gateway.ttft.upstream_ms",
    ];
    /// Engine: its own time to first token, in seconds.
    pub(crate) const ENGINE_TTFT_S: &str = "gen_ai.latency.time_to_first_token";
}

/// Metrics and their labels.
pub(crate) mod metric {
    /// Gateway: requests by status.
    pub(crate) const REQUESTS: &str = "request_total";
    /// Its label.
    pub(crate) const STATUS: &str = "status_code";
    /// The status under which a request is counted whose client left.
    pub(crate) const STATUS_CLIENT_LEFT: &str = "499";
    /// Gateway: requests turned away for want of room.
    pub(crate) const REJECTED: &str = "gateway_rejected_total";
    /// Its label, and its values, which are the codes of the errors that clients get.
    pub(crate) const REASON: &str = "reason";
    /// There was no place in the queue.
    pub(crate) const QUEUE_FULL: &str = "queue_full";
    /// The place in the queue was held for too long.
    pub(crate) const QUEUE_TIMEOUT: &str = "queue_timeout";
    /// Gateway: requests by outcome.
    pub(crate) const GATEWAY_OUTCOMES: &str = "request_outcome_total";
    /// Coordinator: requests by outcome.
    pub(crate) const COORDINATOR_REQUESTS: &str = "pd_proxy_requests_total";
    /// The label of both, and its values.
    pub(crate) const OUTCOME: &str = "outcome";
    /// A label of the gateway's, and the stage in which a request fails that finds no instance.
    pub(crate) const STAGE: &str = "stage";
    /// That stage.
    pub(crate) const SCHEDULE: &str = "schedule";
    /// The codes of the errors that its client gets.
    pub(crate) const UNPLACED: &[&str] = &["no_available_worker", "no_instance"];
    /// Answered whole.
    pub(crate) const COMPLETED: &str = "completed";
    /// The client left.
    pub(crate) const CANCELLED: &str = "cancelled";
    /// Anything else.
    pub(crate) const FAILED: &str = "failed";
    /// Gateway: time to first token.
    pub(crate) const GATEWAY_TTFT_MS: &str = "request_ttft_milliseconds";
    /// Gateway: end to end.
    pub(crate) const GATEWAY_E2E_S: &str = "request_e2e_latency_seconds";
    /// Gateway: gaps between tokens.
    pub(crate) const GATEWAY_ITL_MS: &str = "request_itl_milliseconds";
    /// Coordinator: true time to first token.
    pub(crate) const TRUE_TTFT_MS: &str = "pd_proxy_true_ttft_milliseconds";
}
