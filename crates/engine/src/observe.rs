//! What the instance reports of itself, in the terms of a real one.

use crate::api::Dialect;
use crate::config::{Config, Connector};
use crate::core::{FinishReason, Output, Step, Summary};
use crate::instance::Instance;
use http::HeaderMap;
use proxy::Body;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Telemetry;
use telemetry::engine::{EngineInfo, EngineState, EngineTelemetry, Flavour, KvPull, LlmRequest, PromptTokens};
use telemetry::trace::TraceContext;

/// What a request's span says beyond its account.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    /// `cmpl-…`, `chatcmpl-…`, `msg_…`, `resp_…` or `embd-…`.
    pub(crate) id: String,
    /// As the client named it.
    pub(crate) model: String,
    pub(crate) max_tokens: u32,
    pub(crate) n: u32,
    pub(crate) top_p: f64,
    /// The caller's span.
    pub(crate) parent: Option<TraceContext>,
    /// Another instance has its client, and gives account of it.
    pub(crate) guest: bool,
}

/// Where events go.
#[derive(Clone)]
pub(crate) struct Recorder {
    telemetry: Arc<Telemetry>,
    engine: EngineTelemetry,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

impl Recorder {
    /// A recorder whose gauges read `instance`.
    pub(crate) fn new(telemetry: &Arc<Telemetry>, config: &Config, instance: &Arc<Instance>) -> Self {
        let info = EngineInfo {
            model: config.models.first().cloned().unwrap_or_default(),
            engine: "0".to_owned(),
            flavour: match config.dialect {
                Dialect::Vllm => Flavour::Vllm,
                Dialect::Sglang => Flavour::Sglang,
            },
            block_size: config.core.block_size,
            blocks: u64::from(config.core.blocks),
            nixl: config.connectors.contains(&Connector::Nixl),
        };
        let engine = EngineTelemetry::new(telemetry, &info);
        let instance = Arc::clone(instance);
        engine.state(telemetry, &info, move || state(&instance));
        Self { telemetry: Arc::clone(telemetry), engine }
    }

    /// Requests made progress; `step` has just ended, if any did.
    pub(crate) fn outputs(&self, outputs: &[Output], step: Option<&Step>) {
        let mut generated = 0;
        for output in outputs {
            let Some(gap) = output.gap else { continue };
            generated += 1;
            match output.tokens {
                1 => self.engine.first_token(gap),
                _ => self.engine.inter_token(gap),
            }
        }
        if let Some(step) = step {
            self.engine.step(u64::from(step.prompt_tokens) + generated, generated);
            (0..step.preemptions).for_each(|_| self.engine.preempted());
        }
    }

    /// A request ended.
    pub(crate) fn ended(&self, summary: &Summary, meta: Meta, instance: &Instance) {
        if meta.guest {
            return;
        }
        let prompt = PromptTokens {
            computed: u64::from(summary.prompt_tokens - summary.cached_tokens()),
            cached: u64::from(summary.local_hits),
            transferred: u64::from(summary.external_hits),
        };
        if summary.scheduled.is_some() {
            self.engine.admitted(prompt);
        }
        if summary.first_token.is_some() {
            self.engine.prefilled(prompt);
        }
        let at = |time: Duration| instance.moment(time);
        let request = LlmRequest {
            request_id: meta.id,
            arrival: at(summary.arrival),
            scheduled: summary.scheduled.map(at),
            first_token: summary.first_token.map(at),
            last_token: summary.last_token.map(at),
            finished: at(summary.finished),
            prompt_tokens: u64::from(summary.prompt_tokens),
            computed_tokens: prompt.computed,
            generation_tokens: u64::from(summary.output_tokens),
            max_tokens: Some(u64::from(meta.max_tokens)),
            n: u64::from(meta.n),
            temperature: None,
            top_p: Some(meta.top_p),
            preemptions: u64::from(summary.preemptions),
            finished_reason: reason(summary.reason),
        };
        let span = self.engine.start(meta.parent);
        self.engine.request_finished(&span, &request);
    }

    /// A pull came for blocks that are no longer held.
    pub(crate) fn late_notification(&self) {
        self.engine.kv_notified_late();
    }

    /// Blocks were freed because nobody pulled them.
    pub(crate) fn expired(&self, count: usize) {
        (0..count).for_each(|_| self.engine.kv_expired());
    }

    /// KV of `bytes` bytes was pulled.
    pub(crate) fn pulled(&self, transfer: Duration, bytes: u64) {
        // Two descriptors are what the sampled transfers had on average.
        self.engine.kv_pulled(KvPull { transfer, bytes, descriptors: 2 });
    }

    /// KV could not be pulled.
    pub(crate) fn pull_failed(&self) {
        self.engine.kv_pull_failed();
    }

    /// `GET /metrics`.
    pub(crate) async fn metrics(&self, headers: &HeaderMap) -> http::Response<Body> {
        self.telemetry.page(headers).await.map(Body::from)
    }
}

fn state(instance: &Instance) -> EngineState {
    let state = instance.state();
    EngineState {
        running: state.running as u64,
        waiting: state.waiting as u64,
        deferred: state.fetching as u64,
        kv_cache_usage: f64::from(state.used) / f64::from(state.capacity.max(1)),
    }
}

/// vLLM's metrics know five reasons; a request that was handed back uncomputed stopped.
const fn reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::CacheThreshold => "stop",
        other => other.as_str(),
    }
}
