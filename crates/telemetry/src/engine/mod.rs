//! What the simulated engine says of itself, as a real one would: its `vllm:` (or `sglang:`) series and its
//! `llm_request` spans, with its own, honest, local view. That view is what Candor's numbers are compared with.

mod series;
mod span;

use std::sync::Arc;
use std::time::Duration;

use series::Series;
pub use span::LlmRequest;

use crate::Telemetry;
use crate::clock::nanos;
use crate::span::{Started, Tracer};
use crate::trace::TraceContext;

/// Whose series to expose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// `vllm:`.
    #[default]
    Vllm,
    /// `sglang:`.
    Sglang,
}

/// Label values and constants of an engine.
#[derive(Clone, Debug)]
pub struct EngineInfo {
    /// Served model name.
    pub model: String,
    /// Engine index (`0`).
    pub engine: String,
    /// Whose series.
    pub flavour: Flavour,
    /// Tokens per KV block.
    pub block_size: u32,
    /// KV blocks.
    pub blocks: u64,
    /// Whether the NIXL connector's series are exposed.
    pub nixl: bool,
}

/// The engine's state, read at scrape time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EngineState {
    /// Requests in execution batches.
    pub running: u64,
    /// Requests waiting for capacity.
    pub waiting: u64,
    /// Requests waiting for something else (a KV transfer).
    pub deferred: u64,
    /// KV blocks in use, 0 to 1.
    pub kv_cache_usage: f64,
}

/// Where an admitted request's prompt tokens come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptTokens {
    /// Tokens to compute.
    pub computed: u64,
    /// Tokens found in the local prefix cache.
    pub cached: u64,
    /// Tokens pulled from another instance.
    pub transferred: u64,
}

/// One KV transfer that ended well.
#[derive(Clone, Copy, Debug)]
pub struct KvPull {
    /// Time of the transfer itself.
    pub transfer: Duration,
    /// Size.
    pub bytes: u64,
    /// Descriptors.
    pub descriptors: u64,
}

/// The engine's recorder. Cheap to clone.
#[derive(Clone)]
pub struct EngineTelemetry {
    tracer: Tracer,
    series: Arc<Series>,
}

impl EngineTelemetry {
    /// A recorder whose series exist from now on, at zero.
    pub fn new(telemetry: &Telemetry, info: &EngineInfo) -> Self {
        let series = Arc::new(Series::new(telemetry.registry(), info));
        Self { tracer: telemetry.tracer().beginning(crate::attributes::engine::REQUEST), series }
    }

    /// Where the state gauges are read from at scrape time.
    pub fn state(
        &self,
        telemetry: &Telemetry,
        info: &EngineInfo,
        read: impl Fn() -> EngineState + Send + Sync + 'static,
    ) {
        series::read_state(telemetry.registry(), info, read);
    }

    /// Begins the span of a request: continues the caller's trace.
    pub fn start(&self, incoming: Option<TraceContext>) -> Started {
        self.tracer.start(incoming)
    }

    /// A request was admitted to a batch: its prefix cache look-ups.
    pub fn admitted(&self, prompt: PromptTokens) {
        self.series.admitted(prompt);
    }

    /// A request's prefill is done.
    pub fn prefilled(&self, prompt: PromptTokens) {
        self.series.prefilled(prompt);
    }

    /// One step of the engine: tokens computed in all (prompt and generated), and of these generated.
    pub fn step(&self, tokens: u64, generated: u64) {
        self.series.step(tokens, generated);
    }

    /// A request's first token, `since_arrival` after the engine got it.
    pub fn first_token(&self, since_arrival: Duration) {
        self.series.ttft.observe(nanos(since_arrival));
    }

    /// A later token, `gap` after the one before.
    pub fn inter_token(&self, gap: Duration) {
        self.series.itl.observe(nanos(gap));
    }

    /// A running request lost its blocks and waits again.
    pub fn preempted(&self) {
        self.series.preempted();
    }

    /// The decode side pulled a request's KV.
    pub fn kv_pulled(&self, pull: KvPull) {
        self.series.kv_pulled(pull);
    }

    /// The decode side could not pull a request's KV.
    pub fn kv_pull_failed(&self) {
        self.series.kv_pull_failed();
    }

    /// The prefill side freed blocks that nobody pulled in time.
    pub fn kv_expired(&self) {
        self.series.kv_expired();
    }

    /// The prefill side was told of a pull of blocks it no longer holds.
    pub fn kv_notified_late(&self) {
        self.series.kv_notified_late();
    }

    /// A request has ended.
    pub fn request_finished(&self, span: &Started, request: &LlmRequest) {
        self.series.finished(request);
        if span.is_recorded() {
            self.tracer.finish(span::assemble(span, request));
        }
    }
}

#[cfg(test)]
mod tests;
