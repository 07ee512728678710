//! One attempt to place a request: counted, timed, and told as a span.

use std::sync::Arc;
use std::time::Duration;

use super::{ERROR_TYPES, Shared, series::Cms};
use crate::attributes::{REQUEST_ID, REQUEST_MODEL, scheduler as keys};
use crate::clock::{Moment, nanos};
use crate::span::{SpanKind, SpanRecord, Started, Status};

/// Why a request was not placed. The order is that of [`ERROR_TYPES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// There is no instance to choose from.
    EndpointNotFound,
    /// Those there are do not take requests.
    NoAvailableEndpoint,
    /// Those there are have too much to do.
    AllEndpointsBusy,
    /// None is of the type that is needed.
    NoMatchInferType,
    /// The CMS does not answer, and what it said last is too old.
    CmsNotAvailable,
    /// This replica does not place requests now.
    SchedulerNotReady,
    /// Anything else, above all a request that cannot be read.
    Unknown,
}

impl ErrorType {
    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ERROR_TYPES[self as usize]
    }
}

/// What a decision was made from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// The model that is asked for.
    pub model: &'a str,
    /// The gateway that asks.
    pub gateway: &'a str,
    /// The policy.
    pub policy: &'a str,
    /// `full` or `lite`.
    pub mode: &'static str,
    /// `neutral`, `pd_batch` or `pd_staged`.
    pub scheduling_mode: &'static str,
    /// `prefill` or `decode`, in `pd_staged`.
    pub stage: Option<&'static str>,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// What was found of the prompt's prefix; `None` where it was not looked up.
    pub prefix: Option<Prefix>,
    /// Instances that were excluded.
    pub excluded: usize,
    /// Instances in the snapshot.
    pub instances: usize,
    /// When the request had been read.
    pub began: Moment,
    /// When it was decided.
    pub decided: Moment,
}

/// What was found of a prompt's prefix in the instances' caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// How long it took to ask who has which block.
    pub query: Duration,
    /// How long it took to hash the prompt, and to see how far each instance's blocks reach.
    pub calc: Duration,
    /// Tokens that the instance has which has most of them.
    pub most_tokens: u64,
}

/// An instance that was chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    /// What it is chosen for.
    pub infer_type: &'static str,
    /// Its id.
    pub instance: &'a str,
    /// The model it serves.
    pub model: &'a str,
    /// Out of how many.
    pub candidates: usize,
    /// Whether thresholds were passed over.
    pub fallback: bool,
    /// Requests that it has, by the mode's own account, before this one.
    pub requests: i64,
    /// Tokens that it has, by the gateways' reports.
    pub tokens: Option<i64>,
    /// Tokens of the prompt that it is thought to have in its cache; `None` where that was not looked up, or it computes no
    /// prompt.
    pub prefix_tokens: Option<u64>,
    /// Milliseconds to the first token that are expected of it, where they are.
    pub predicted_ttft_ms: Option<f64>,
    /// Milliseconds a token that are expected of it, where they are.
    pub predicted_tpot_ms: Option<f64>,
    /// What its status said, before this request; full mode.
    pub inputs: Option<Cms>,
}

/// One attempt. Settles exactly once; on drop as failed.
pub struct Attempt {
    shared: Arc<Shared>,
    span: Started,
    received: Moment,
    settled: bool,
}

impl Attempt {
    pub(super) fn new(shared: Arc<Shared>, span: Started, received: Moment) -> Self {
        Self { shared, span, received, settled: false }
    }

    /// The request was placed.
    pub fn placed(mut self, facts: &Facts<'_>, choices: &[Choice<'_>]) {
        self.settled = true;
        self.decided(facts);
        for choice in choices {
            self.shared.metrics.chosen(choice);
            if let Some(tokens) = choice.prefix_tokens {
                self.shared.metrics.prefix_hit(facts, tokens);
            }
        }
        if self.span.is_recorded() {
            let mut span = self.assemble(facts);
            for choice in choices {
                describe(&mut span, choice);
            }
            self.shared.tracer.finish(span);
        }
    }

    /// The request was not placed. `decided` where that is a decision's outcome, and not that there was none.
    pub fn refused(mut self, facts: &Facts<'_>, error: ErrorType, why: &str, decided: bool) {
        self.settled = true;
        if decided {
            self.decided(facts);
        }
        self.shared.metrics.refused(error);
        if self.span.is_recorded() {
            let mut span = self.assemble(facts);
            span.set(keys::ERROR_TYPE, error.as_str());
            span.status = Status::Error(why.to_owned().into());
            self.shared.tracer.finish(span);
        }
    }

    fn decided(&self, facts: &Facts<'_>) {
        let exemplar = self.span.exemplar(facts.decided);
        self.shared.metrics.decided(facts.decided.nanos_since(facts.began), exemplar);
        if let Some(prefix) = &facts.prefix {
            self.shared.metrics.prefix_looked_up(facts, prefix);
        }
    }

    fn assemble(&self, facts: &Facts<'_>) -> SpanRecord {
        let times = (self.received, facts.decided.max(self.received));
        let mut span = self.span.record(keys::SCHEDULE, keys::SCOPE, SpanKind::Server, times);
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        span.set_some(REQUEST_ID, text(facts.request_id));
        span.set_some(REQUEST_MODEL, text(facts.model));
        span.set_some(keys::GATEWAY, text(facts.gateway));
        span.set_some(keys::POLICY, text(facts.policy));
        span.set(keys::MODE, facts.mode);
        span.set_some(keys::SCHEDULING_MODE, Some(facts.scheduling_mode).filter(|mode| !mode.is_empty()));
        span.set_some(keys::STAGE, facts.stage);
        span.set(keys::PROMPT_TOKENS, facts.prompt_tokens);
        span.set(keys::EXCLUDED, facts.excluded as u64);
        span.set(keys::INSTANCES, facts.instances as u64);
        span.set_latency(keys::DECISION, Some(facts.decided.nanos_since(facts.began)));
        if let Some(prefix) = &facts.prefix {
            span.set_latency(keys::PREFIX_QUERY, Some(nanos(prefix.query)));
            span.set_latency(keys::PREFIX_CALC, Some(nanos(prefix.calc)));
            span.set(keys::PREFIX_BEST, prefix.most_tokens);
        }
        span
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.settled {
            self.shared.metrics.refused(ErrorType::Unknown);
        }
    }
}

/// A choice as attributes, each under the type that it was made for.
fn describe(span: &mut SpanRecord, choice: &Choice<'_>) {
    let keys = match choice.infer_type {
        "prefill" => &keys::PREFILL,
        "decode" => &keys::DECODE,
        _ => &keys::NEUTRAL,
    };
    span.set(keys.instance, choice.instance.to_owned());
    span.set(keys.candidates, choice.candidates as u64);
    span.set(keys.fallback, choice.fallback);
    span.set(keys.requests, choice.requests);
    span.set_some(keys.tokens, choice.tokens);
    span.set_some(keys.hit, choice.prefix_tokens);
    span.set_some(keys.predicted_ttft, choice.predicted_ttft_ms);
    span.set_some(keys.predicted_tpot, choice.predicted_tpot_ms);
    let Some(inputs) = &choice.inputs else {
        return;
    };
    span.set_some(keys.kv_usage, inputs.kv_cache_usage_ratio_projected);
    span.set(keys.batch, inputs.decode_batch_size);
    span.set(keys.prefills, inputs.all_prefills_tokens_num);
    span.set(keys.decodes, inputs.all_decodes_tokens_num);
    span.set(keys.inflight, inputs.inflight_dispatch_requests);
    span.set(keys.age, inputs.status_age_seconds * 1e3);
}
