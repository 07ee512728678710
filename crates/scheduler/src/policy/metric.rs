//! What instances are compared by.

use cluster::api::InferType;
use telemetry::clock::Moment;

use crate::prefix::Hits;
use crate::view::Instance;

/// A number that an instance has for a request. Lower is better, but for [`Metric::KvCacheHitLen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Share of the KV cache that is used, or will be by what waits and is on its way to decode.
    KvCacheUsageRatioProjected,
    /// Requests that decode, or will next.
    DecodeBatchSize,
    /// Requests that wait.
    NumWaitingRequests,
    /// Prompt tokens that are still to be computed.
    AllPrefillsTokensNum,
    /// Tokens of the requests that decode, or will.
    AllDecodesTokensNum,
    /// Requests altogether.
    NumRequests,
    /// Tokens altogether, as the local account of lite mode has them.
    NumTokens,
    /// How long the request would wait for its first token, were everything as it was lately.
    EstimatedLatencyMs,
    /// Requests, this one included, each as heavy as the instance is slow: what tells unequal instances apart that have equally
    /// little to do.
    WeightedRequests,
    /// Tokens of the prompt that the instance is thought to have in its cache; more is better.
    KvCacheHitLen,
    /// Prompt tokens that would have to be computed before this request's first token: those still to be computed there, and of
    /// its own those that are not in the cache. In lite mode the former are those of requests that wait.
    CacheAwareAllPrefillsTokensNum,
    /// How long the request would wait for its first token, by what steps were learnt to take.
    PredictedTtft,
    /// How long each further token would take then.
    PredictedTpot,
    /// How recently the instance was chosen; breaks ties so that equal instances take turns.
    LastDispatch,
}

/// Where the numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// From the instances' own status and the account of what is in flight to them.
    Full,
    /// From what gateways report, since the instances are black boxes.
    Lite,
}

/// What instances are weighed for: a request, at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Weighing<'a> {
    /// Where the numbers come from.
    pub mode: Mode,
    /// What an instance is wanted for.
    pub wanted: InferType,
    /// Tokens of the request's prompt.
    pub prompt_tokens: u64,
    /// What instances are thought to have of it in their caches, where that was looked up.
    pub hits: Option<&'a Hits>,
    /// The moment.
    pub now: Moment,
}

impl Weighing<'_> {
    /// Tokens of the prompt that the instance is thought to have in its cache.
    #[must_use]
    pub fn cached_tokens(&self, instance: &Instance) -> u64 {
        let found = self.hits.map_or(0, |hits| hits.tokens(instance.seat.holder()));
        found.min(self.prompt_tokens)
    }

    /// Those that it would have to compute: the whole prompt where it has nothing of it.
    fn missing_tokens(&self, instance: &Instance) -> u64 {
        self.prompt_tokens - self.cached_tokens(instance)
    }
}

/// Names of metrics that upstream has and this scheduler does not compute yet.
const PLANNED: &[&str] = &["adaptive_decode_batch_size"];

/// Share of a cache whose size is not known: as upstream has it, the greatest number of 32 bits.
const UNKNOWN: f64 = f32::MAX as f64;

impl Metric {
    /// Every one, in the order in which a decision is explained.
    pub const ALL: [Self; 14] = [
        Self::KvCacheUsageRatioProjected,
        Self::DecodeBatchSize,
        Self::NumWaitingRequests,
        Self::AllPrefillsTokensNum,
        Self::AllDecodesTokensNum,
        Self::NumRequests,
        Self::NumTokens,
        Self::EstimatedLatencyMs,
        Self::WeightedRequests,
        Self::KvCacheHitLen,
        Self::CacheAwareAllPrefillsTokensNum,
        Self::PredictedTtft,
        Self::PredictedTpot,
        Self::LastDispatch,
    ];

    /// The name in flags and policy files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KvCacheUsageRatioProjected => "kv_cache_usage_ratio_projected",
            Self::DecodeBatchSize => "decode_batch_size",
            Self::NumWaitingRequests => "num_waiting_requests",
            Self::AllPrefillsTokensNum => "all_prefills_tokens_num",
            Self::AllDecodesTokensNum => "all_decodes_tokens_num",
            Self::NumRequests => "num_requests",
            Self::NumTokens => "num_tokens",
            Self::EstimatedLatencyMs => "estimated_latency_ms",
            Self::WeightedRequests => "weighted_requests",
            Self::KvCacheHitLen => "kv_cache_hit_len",
            Self::CacheAwareAllPrefillsTokensNum => "cache_aware_all_prefills_tokens_num",
            Self::PredictedTtft => "predicted_ttft",
            Self::PredictedTpot => "predicted_tpot",
            Self::LastDispatch => "last_dispatch",
        }
    }

    /// The metric of this name.
    ///
    /// # Errors
    /// A sentence that says whether there will be one.
    pub fn parse(name: &str) -> Result<Self, String> {
        if let Some(metric) = Self::ALL.into_iter().find(|metric| metric.as_str() == name) {
            return Ok(metric);
        }
        let known = Self::ALL.map(Self::as_str).join(", ");
        let problem = if PLANNED.contains(&name) { "not supported yet" } else { "not known" };
        Err(format!("metric `{name}` is {problem}; supported: {known}"))
    }

    /// Whether the metric can be had in this mode.
    #[must_use]
    pub const fn is_of(self, mode: Mode) -> bool {
        match self {
            Self::NumRequests
            | Self::NumWaitingRequests
            | Self::EstimatedLatencyMs
            | Self::WeightedRequests
            | Self::KvCacheHitLen
            | Self::CacheAwareAllPrefillsTokensNum
            | Self::LastDispatch => true,
            Self::NumTokens => matches!(mode, Mode::Lite),
            _ => matches!(mode, Mode::Full),
        }
    }

    /// The number that is compared: lower is better, for every one of them.
    pub(super) fn cost(self, instance: &Instance, weighing: &Weighing<'_>) -> f64 {
        let value = self.of(instance, weighing);
        if self == Self::KvCacheHitLen { -value } else { value }
    }

    /// Whether it takes a predictor.
    #[must_use]
    pub const fn is_predicted(self) -> bool {
        matches!(self, Self::PredictedTtft | Self::PredictedTpot)
    }

    /// The instance's number. Never NaN. Of what cannot be predicted yet it is 0: an instance of which nothing is known has to be
    /// tried, or nothing ever will be.
    #[must_use]
    pub fn of(self, instance: &Instance, weighing: &Weighing<'_>) -> f64 {
        self.known(instance, weighing).unwrap_or(0.0)
    }

    /// The instance's number, where there is one.
    #[must_use]
    pub fn known(self, instance: &Instance, weighing: &Weighing<'_>) -> Option<f64> {
        let Weighing { wanted, prompt_tokens, now, .. } = *weighing;
        match self {
            // What decodes here has been computed elsewhere.
            Self::PredictedTtft if wanted == InferType::Decode => instance.predicted_ttft_ms(0, now),
            Self::PredictedTtft => instance.predicted_ttft_ms(weighing.missing_tokens(instance), now),
            // What is only computed here decodes elsewhere.
            Self::PredictedTpot if wanted == InferType::Prefill => instance.predicted_step_ms(now),
            Self::PredictedTpot => instance.predicted_tpot_ms(prompt_tokens, now),
            _ => Some(self.told(instance, weighing)),
        }
    }

    /// The number that follows from what was told, without anything learnt.
    fn told(self, instance: &Instance, weighing: &Weighing<'_>) -> f64 {
        match (self, weighing.mode) {
            (Self::LastDispatch, _) => instance.seat.last_dispatch() as f64,
            (Self::KvCacheHitLen, _) => weighing.cached_tokens(instance) as f64,
            (_, Mode::Full) => self.of_status(instance, weighing),
            (_, Mode::Lite) => self.of_reports(instance, weighing),
        }
    }

    fn of_status(self, instance: &Instance, weighing: &Weighing<'_>) -> f64 {
        let (load, inflight) = (&instance.load, instance.seat.account.read());
        // Since the status was written some of it has been computed, where that is predicted.
        let left = || (load.all_prefills_tokens(&inflight) as f64 - instance.computed_since(weighing.now)).max(0.0);
        match self {
            Self::KvCacheUsageRatioProjected => load.kv_usage_projected(&inflight).unwrap_or(UNKNOWN),
            Self::DecodeBatchSize => load.decode_batch_size(&inflight) as f64,
            Self::NumWaitingRequests => (load.waiting_requests + inflight.requests) as f64,
            Self::AllPrefillsTokensNum => left(),
            Self::AllDecodesTokensNum => load.all_decodes_tokens(&inflight) as f64,
            Self::NumRequests
            | Self::NumTokens
            | Self::KvCacheHitLen
            | Self::PredictedTtft
            | Self::PredictedTpot
            | Self::LastDispatch => load.requests(&inflight) as f64,
            Self::CacheAwareAllPrefillsTokensNum => left() + weighing.missing_tokens(instance) as f64,
            Self::EstimatedLatencyMs => {
                let tokens = load.all_prefills_tokens(&inflight) as f64 + weighing.missing_tokens(instance) as f64;
                let steps = (tokens / instance.max_batched_tokens.max(1) as f64).ceil().max(1.0);
                // An instance that has not made a step yet is tried, and then known.
                steps * load.step_ms
            }
            Self::WeightedRequests => weighted(load.requests(&inflight), load.step_ms),
        }
    }

    fn of_reports(self, instance: &Instance, weighing: &Weighing<'_>) -> f64 {
        let sums = instance.seat.tally.read();
        match self {
            Self::NumTokens => sums.total_tokens() as f64,
            Self::NumWaitingRequests => sums.waiting_requests as f64,
            Self::CacheAwareAllPrefillsTokensNum => {
                (sums.waiting_tokens as f64) + weighing.missing_tokens(instance) as f64
            }
            // The request comes after all that wait.
            Self::EstimatedLatencyMs => sums.prefill_ms * (sums.waiting_requests + 1) as f64,
            Self::WeightedRequests => weighted(sums.total_requests(), sums.prefill_ms),
            _ => sums.total_requests() as f64,
        }
    }
}

/// One more than so many requests, each taking so many milliseconds. An instance of which no time is known yet is taken for a
/// fast one, so that it is tried, and its requests count all the same.
fn weighted(requests: i64, ms: f64) -> f64 {
    (requests + 1) as f64 * if ms > 0.0 { ms } else { 1.0 }
}
