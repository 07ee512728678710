//! One request inside the engine core: what it asks for, how far it is, and when things happened to it.

use super::blocks::BlockId;
use super::hash::BlockChain;
use std::time::Duration;

/// Names a request within one core. Never used twice.
pub type RequestId = u64;

/// Where KV for the beginning of the prompt can be had other than from this instance's own cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum External {
    /// Nowhere: the prompt is computed here.
    #[default]
    None,
    /// A shared store holds this many tokens. Nothing is fetched when the local cache has as many.
    Store(u32),
    /// A prefill instance holds this many tokens and keeps its blocks until they are fetched. Fetched even when the
    /// local cache has them all, because only that lets the other instance free its blocks.
    Peer(u32),
}

impl External {
    /// Tokens that are there, counted from the first.
    #[must_use]
    pub const fn tokens(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Store(tokens) | Self::Peer(tokens) => tokens,
        }
    }
}

/// What a request asks of the core.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The prompt, hashed in the core's block size; at least one token.
    pub prompt: BlockChain,
    /// What the generated tokens follow from, see [`generated`](super::generated).
    pub text_seed: u64,
    /// Generation ends after this many tokens at the latest (at least 1) …
    pub max_tokens: u32,
    /// … or after this many by itself (end of text or a stop string).
    pub stop_after: Option<u32>,
    /// KV from elsewhere.
    pub external: External,
    /// Keep the blocks after the end for another instance to fetch.
    pub hold: bool,
    /// Below this share of the prompt in caches the request is handed back uncomputed.
    pub cache_hit_threshold: f64,
}

impl Spec {
    /// A request without any extras.
    #[must_use]
    pub const fn new(prompt: BlockChain, text_seed: u64, max_tokens: u32) -> Self {
        Self {
            prompt,
            text_seed,
            max_tokens,
            stop_after: None,
            external: External::None,
            hold: false,
            cache_hit_threshold: 0.0,
        }
    }
}

/// Why a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// End of text or a stop string.
    Stop,
    /// `max_tokens` generated.
    Length,
    /// Given up by the client.
    Abort,
    /// Too little of the prompt was cached (`cache_hit_threshold`); no token was generated.
    CacheThreshold,
    /// KV from elsewhere could not be fetched.
    Error,
}

impl FinishReason {
    /// The word in `finish_reason` and in metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Abort => "abort",
            Self::CacheThreshold => "cache_threshold",
            Self::Error => "error",
        }
    }
}

/// The account of a finished request. Times count from the core's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Why it ended.
    pub reason: FinishReason,
    /// When it was added.
    pub arrival: Duration,
    /// When it was first part of a step; the time before is its queue time, fetching KV included.
    pub scheduled: Option<Duration>,
    /// When its first token came out.
    pub first_token: Option<Duration>,
    /// When its last token came out.
    pub last_token: Option<Duration>,
    /// When it ended.
    pub finished: Duration,
    /// Prompt length.
    pub prompt_tokens: u32,
    /// Tokens generated.
    pub output_tokens: u32,
    /// Prompt tokens found in the local prefix cache.
    pub local_hits: u32,
    /// Prompt tokens fetched from elsewhere.
    pub external_hits: u32,
    /// Times it lost its blocks to another request.
    pub preemptions: u32,
    /// Blocks kept for another instance; 0 when none are.
    pub held_blocks: u32,
}

impl Summary {
    /// Prompt tokens that did not have to be computed here.
    #[must_use]
    pub const fn cached_tokens(&self) -> u32 {
        self.local_hits + self.external_hits
    }
}

/// Stage of a live request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// In a queue.
    Waiting,
    /// Owns blocks that are being filled from elsewhere.
    Fetching,
    /// Takes part in steps.
    Running,
}

#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) stage: Stage,
    pub(super) chain: BlockChain,
    pub(super) text_seed: u64,
    pub(super) prompt_len: u32,
    /// What was asked for; only the simulation knows that it may end earlier.
    pub(super) max_tokens: u32,
    pub(super) limit: u32,
    pub(super) limit_reason: FinishReason,
    pub(super) external: External,
    pub(super) hold: bool,
    pub(super) cache_hit_threshold: f64,
    pub(super) blocks: Vec<BlockId>,
    /// How many of `blocks`, from the first, the pool has been told the hashes of.
    pub(super) remembered: usize,
    /// Tokens whose KV is in `blocks`.
    pub(super) computed: u32,
    /// What the caches knew of its prompt has been counted.
    pub(super) looked_up: bool,
    /// The request was given up while a step was computing it.
    pub(super) aborted: bool,
    pub(super) summary: Summary,
}

impl Sequence {
    pub(super) fn new(spec: Spec, now: Duration) -> Self {
        let stop = spec.stop_after.filter(|stop| *stop <= spec.max_tokens);
        let prompt_len = spec.prompt.len();
        Self {
            stage: Stage::Waiting,
            text_seed: spec.text_seed,
            chain: spec.prompt,
            prompt_len,
            max_tokens: spec.max_tokens,
            limit: stop.unwrap_or(spec.max_tokens).max(1),
            limit_reason: stop.map_or(FinishReason::Length, |_| FinishReason::Stop),
            external: spec.external,
            hold: spec.hold,
            cache_hit_threshold: spec.cache_hit_threshold,
            blocks: Vec::new(),
            remembered: 0,
            computed: 0,
            looked_up: false,
            aborted: false,
            summary: Summary::new(prompt_len, now),
        }
    }

    /// Tokens that exist: prompt and generated.
    pub(super) const fn total(&self) -> u32 {
        self.prompt_len + self.summary.output_tokens
    }

    /// Tokens without KV.
    pub(super) const fn missing(&self) -> u32 {
        self.total() - self.computed
    }
}

impl Summary {
    const fn new(prompt_tokens: u32, arrival: Duration) -> Self {
        Self {
            reason: FinishReason::Abort,
            arrival,
            scheduled: None,
            first_token: None,
            last_token: None,
            finished: arrival,
            prompt_tokens,
            output_tokens: 0,
            local_hits: 0,
            external_hits: 0,
            preemptions: 0,
            held_blocks: 0,
        }
    }
}
