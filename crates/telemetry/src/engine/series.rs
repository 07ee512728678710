//! The engine's series, resolved at start.

use std::sync::Arc;

use super::{EngineInfo, EngineState, Flavour, KvPull, LlmRequest, PromptTokens};
use crate::catalogue::{Metric, nixl, sglang, vllm};
use crate::metrics::{Counter, Histogram, Registry};

/// The series of one engine. What both flavours have is a field here.
pub(super) struct Series {
    pub(super) ttft: Histogram,
    pub(super) itl: Histogram,
    e2e: Histogram,
    prompt_tokens: Counter,
    generation_tokens: Counter,
    own: Own,
    nixl: Option<Nixl>,
}

enum Own {
    Vllm(Box<Vllm>),
    Sglang { cached: Counter, requests: Counter },
}

struct Vllm {
    prefix_queries: Counter,
    prefix_hits: Counter,
    external_queries: Counter,
    external_hits: Counter,
    preemptions: Counter,
    /// By `PROMPT_SOURCES`.
    by_source: [Counter; vllm::PROMPT_SOURCES.len()],
    /// By `FINISHED_REASONS`.
    finished: [Counter; vllm::FINISHED_REASONS.len()],
    iteration: Histogram,
    lengths: Lengths,
    times: Times,
}

struct Lengths {
    prompt: Histogram,
    generation: Histogram,
    max_generation: Histogram,
    n: Histogram,
    max_tokens: Histogram,
    preemptions: Histogram,
    computed: Histogram,
}

struct Times {
    per_token: Histogram,
    queue: Histogram,
    inference: Histogram,
    prefill: Histogram,
    decode: Histogram,
}

struct Nixl {
    transfer: Histogram,
    bytes: Histogram,
    descriptors: Histogram,
    failed: Counter,
    expired: Counter,
    late: Counter,
}

/// Resolves handles under an engine's labels.
struct Resolver<'a> {
    registry: &'a Registry,
    engine: &'a str,
    model: &'a str,
    flavour: Flavour,
}

impl Resolver<'_> {
    fn counter(&self, metric: &'static Metric) -> Counter {
        match self.flavour {
            Flavour::Vllm => self.registry.counter(metric).with([self.engine, self.model]),
            Flavour::Sglang => self.registry.counter(metric).with([self.model]),
        }
    }

    fn histogram(&self, metric: &'static Metric) -> Histogram {
        match self.flavour {
            Flavour::Vllm => self.registry.histogram(metric).with([self.engine, self.model]),
            Flavour::Sglang => self.registry.histogram(metric).with([self.model]),
        }
    }
}

impl Series {
    pub(super) fn new(registry: &Registry, info: &EngineInfo) -> Self {
        let to = Resolver { registry, engine: &info.engine, model: &info.model, flavour: info.flavour };
        let common = match info.flavour {
            Flavour::Vllm => {
                (&vllm::TTFT, &vllm::ITL, &vllm::E2E, &vllm::PROMPT_TOKENS_TOTAL, &vllm::GENERATION_TOKENS_TOTAL)
            }
            Flavour::Sglang => {
                let (ttft, itl, e2e) = (&sglang::TTFT, &sglang::ITL, &sglang::E2E);
                (ttft, itl, e2e, &sglang::PROMPT_TOKENS_TOTAL, &sglang::GENERATION_TOKENS_TOTAL)
            }
        };
        Self {
            ttft: to.histogram(common.0),
            itl: to.histogram(common.1),
            e2e: to.histogram(common.2),
            prompt_tokens: to.counter(common.3),
            generation_tokens: to.counter(common.4),
            own: Own::new(&to, info),
            nixl: (info.nixl && info.flavour == Flavour::Vllm).then(|| Nixl::new(&to)),
        }
    }

    pub(super) fn admitted(&self, prompt: PromptTokens) {
        match &self.own {
            Own::Vllm(own) => {
                // Tokens that are not found here are asked of the connector, as vLLM counts them.
                own.prefix_queries.add(prompt.computed + prompt.cached + prompt.transferred);
                own.prefix_hits.add(prompt.cached);
                own.external_queries.add(if self.nixl.is_some() { prompt.computed + prompt.transferred } else { 0 });
                own.external_hits.add(prompt.transferred);
            }
            Own::Sglang { cached, .. } => cached.add(prompt.cached),
        }
    }

    pub(super) fn prefilled(&self, prompt: PromptTokens) {
        self.prompt_tokens.add(prompt.computed + prompt.cached + prompt.transferred);
        if let Own::Vllm(own) = &self.own {
            let sources = [prompt.computed, prompt.cached, prompt.transferred];
            own.by_source.iter().zip(sources).for_each(|(counter, tokens)| counter.add(tokens));
        }
    }

    pub(super) fn step(&self, tokens: u64, generated: u64) {
        self.generation_tokens.add(generated);
        if let Own::Vllm(own) = &self.own {
            own.iteration.observe(tokens);
        }
    }

    pub(super) fn preempted(&self) {
        if let Own::Vllm(own) = &self.own {
            own.preemptions.inc();
        }
    }

    pub(super) fn kv_pulled(&self, pull: KvPull) {
        if let Some(nixl) = &self.nixl {
            nixl.transfer.observe_duration(pull.transfer);
            nixl.bytes.observe(pull.bytes);
            nixl.descriptors.observe(pull.descriptors);
        }
    }

    pub(super) fn kv_pull_failed(&self) {
        self.nixl.iter().for_each(|nixl| nixl.failed.inc());
    }

    pub(super) fn kv_expired(&self) {
        self.nixl.iter().for_each(|nixl| nixl.expired.inc());
    }

    pub(super) fn kv_notified_late(&self) {
        self.nixl.iter().for_each(|nixl| nixl.late.inc());
    }

    pub(super) fn finished(&self, request: &LlmRequest) {
        self.e2e.observe(request.e2e());
        match &self.own {
            Own::Vllm(own) => own.finished(request),
            Own::Sglang { requests, .. } => requests.inc(),
        }
    }
}

impl Own {
    fn new(to: &Resolver<'_>, info: &EngineInfo) -> Self {
        match to.flavour {
            Flavour::Vllm => Self::Vllm(Box::new(Vllm::new(to, info))),
            Flavour::Sglang => Self::Sglang {
                cached: to.counter(&sglang::CACHED_TOKENS_TOTAL),
                requests: to.counter(&sglang::REQUESTS_TOTAL),
            },
        }
    }
}

impl Vllm {
    fn new(to: &Resolver<'_>, info: &EngineInfo) -> Self {
        let (block_size, blocks) = (info.block_size.to_string(), info.blocks.to_string());
        to.registry.gauge(&vllm::CACHE_CONFIG).with([&block_size, to.engine, &blocks]).set(1.0);
        let by_source = to.registry.counter(&vllm::PROMPT_TOKENS_BY_SOURCE);
        let finished = to.registry.counter(&vllm::SUCCESS_TOTAL);
        Self {
            prefix_queries: to.counter(&vllm::PREFIX_QUERIES),
            prefix_hits: to.counter(&vllm::PREFIX_HITS),
            external_queries: to.counter(&vllm::EXTERNAL_QUERIES),
            external_hits: to.counter(&vllm::EXTERNAL_HITS),
            preemptions: to.counter(&vllm::PREEMPTIONS_TOTAL),
            by_source: std::array::from_fn(|at| by_source.with([to.engine, to.model, vllm::PROMPT_SOURCES[at]])),
            finished: std::array::from_fn(|at| finished.with([to.engine, vllm::FINISHED_REASONS[at], to.model])),
            iteration: to.histogram(&vllm::ITERATION_TOKENS),
            lengths: Lengths {
                prompt: to.histogram(&vllm::PROMPT_TOKENS),
                generation: to.histogram(&vllm::GENERATION_TOKENS),
                max_generation: to.histogram(&vllm::MAX_GENERATION_TOKENS),
                n: to.histogram(&vllm::PARAMS_N),
                max_tokens: to.histogram(&vllm::PARAMS_MAX_TOKENS),
                preemptions: to.histogram(&vllm::REQUEST_PREEMPTIONS),
                computed: to.histogram(&vllm::KV_COMPUTED),
            },
            times: Times {
                per_token: to.histogram(&vllm::TPOT),
                queue: to.histogram(&vllm::QUEUE_TIME),
                inference: to.histogram(&vllm::INFERENCE_TIME),
                prefill: to.histogram(&vllm::PREFILL_TIME),
                decode: to.histogram(&vllm::DECODE_TIME),
            },
        }
    }

    fn finished(&self, request: &LlmRequest) {
        let reason = vllm::FINISHED_REASONS.iter().position(|reason| *reason == request.finished_reason);
        if let Some(reason) = reason {
            self.finished[reason].inc();
        }
        let lengths = &self.lengths;
        lengths.prompt.observe(request.prompt_tokens);
        lengths.generation.observe(request.generation_tokens);
        lengths.max_generation.observe(request.generation_tokens);
        lengths.n.observe(request.n);
        lengths.preemptions.observe(request.preemptions);
        lengths.computed.observe(request.computed_tokens);
        let observe = |histogram: &Histogram, value: Option<u64>| value.into_iter().for_each(|v| histogram.observe(v));
        observe(&lengths.max_tokens, request.max_tokens);
        let times = &self.times;
        observe(&times.queue, request.queue());
        observe(&times.inference, request.inference());
        observe(&times.prefill, request.prefill());
        observe(&times.decode, request.decode());
        let later_tokens = request.generation_tokens.checked_sub(1).filter(|&tokens| tokens > 0);
        observe(&times.per_token, request.decode().zip(later_tokens).map(|(decode, tokens)| decode / tokens));
    }
}

impl Nixl {
    fn new(to: &Resolver<'_>) -> Self {
        Self {
            transfer: to.histogram(&nixl::XFER_TIME),
            bytes: to.histogram(&nixl::BYTES_TRANSFERRED),
            descriptors: to.histogram(&nixl::NUM_DESCRIPTORS),
            failed: to.counter(&nixl::FAILED_TRANSFERS),
            expired: to.counter(&nixl::EXPIRED),
            late: to.counter(&nixl::LATE_NOTIFICATIONS),
        }
    }
}

/// A gauge and what it reads of the state.
type Reading = (&'static Metric, fn(&EngineState) -> f64);

/// Registers the state gauges.
pub(super) fn read_state(
    registry: &Registry,
    info: &EngineInfo,
    read: impl Fn() -> EngineState + Send + Sync + 'static,
) {
    let read = Arc::new(read);
    let (engine, model) = (info.engine.as_str(), info.model.as_str());
    if info.flavour == Flavour::Sglang {
        let gauges: [Reading; 3] = [
            (&sglang::RUNNING, |state| state.running as f64),
            (&sglang::WAITING, |state| (state.waiting + state.deferred) as f64),
            (&sglang::TOKEN_USAGE, |state| state.kv_cache_usage),
        ];
        for (metric, value) in gauges {
            let read = Arc::clone(&read);
            registry.read(metric, [model], move || Some(value(&read())));
        }
        return;
    }
    let gauges: [Reading; 3] = [
        (&vllm::RUNNING, |state| state.running as f64),
        (&vllm::WAITING, |state| (state.waiting + state.deferred) as f64),
        (&vllm::KV_CACHE_USAGE, |state| state.kv_cache_usage),
    ];
    for (metric, value) in gauges {
        let read = Arc::clone(&read);
        registry.read(metric, [engine, model], move || Some(value(&read())));
    }
    let reasons: [fn(&EngineState) -> f64; 2] = [|state| state.waiting as f64, |state| state.deferred as f64];
    for (reason, value) in vllm::WAITING_REASONS.iter().zip(reasons) {
        let read = Arc::clone(&read);
        registry.read(&vllm::WAITING_BY_REASON, [engine, model, reason], move || Some(value(&read())));
    }
}
