//! The gateway's points and the split of its TTFT.

use crate::clock::Moment;
use crate::server_timing::{ServerTiming, name};

/// Points on the gateway's clock. Each is taken at most once; a point that a request never reached stays `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GatewayPoints {
    /// The request head has been parsed.
    pub received: Moment,
    /// Body read and parsed.
    pub preprocessed: Option<Moment>,
    /// Entered the admission queue.
    pub enqueued: Option<Moment>,
    /// Left the admission queue.
    pub dequeued: Option<Moment>,
    /// The placement of the attempt that succeeded is in hand.
    pub scheduled: Option<Moment>,
    /// The upstream request has been handed to the connection.
    pub dispatched: Option<Moment>,
    /// Where the decode stage is placed by itself: its prefill is done and it is about to be.
    pub decode_scheduling: Option<Moment>,
    /// Likewise: its placement is in hand.
    pub decode_scheduled: Option<Moment>,
    /// The first token-bearing chunk has been handed to the client's connection.
    pub first_token: Option<Moment>,
    /// Likewise the last one.
    pub last_token: Option<Moment>,
    /// End of stream, error or cancellation.
    pub finished: Option<Moment>,
}

/// A part of the TTFT: the label `component` of `request_ttft_component_milliseconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Reading and parsing the body.
    Preprocess,
    /// Waiting for admission.
    Queue,
    /// Choosing instances, failed attempts included.
    Schedule,
    /// Preparing and handing over the upstream request.
    Dispatch,
    /// The prefill leg.
    Prefill,
    /// Prefill done to the decoder's start.
    KvTransfer,
    /// The first decode step.
    FirstDecode,
    /// What is left of the upstream's part: network, the coordinator's own work, relaying.
    Relay,
    /// The whole upstream part, where nobody said how it splits (no coordinator, or no disaggregation).
    Upstream,
}

impl Component {
    /// All components, in the order of the request.
    pub const ALL: [Self; 9] = [
        Self::Preprocess,
        Self::Queue,
        Self::Schedule,
        Self::Dispatch,
        Self::Prefill,
        Self::KvTransfer,
        Self::FirstDecode,
        Self::Relay,
        Self::Upstream,
    ];

    /// The label value, also the `Server-Timing` name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preprocess => "preprocess",
            Self::Queue => "queue",
            Self::Schedule => "schedule",
            Self::Dispatch => "dispatch",
            Self::Prefill => name::PREFILL,
            Self::KvTransfer => name::KV_TRANSFER,
            Self::FirstDecode => name::FIRST_DECODE,
            Self::Relay => "relay",
            Self::Upstream => "upstream",
        }
    }
}

/// What the coordinator said of its part, nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpstreamParts {
    /// The prefill leg, as far as the first token waited for it.
    pub prefill: Option<u64>,
    /// Prefill done to the decoder's start.
    pub kv_transfer: Option<u64>,
    /// The first decode step.
    pub first_decode: Option<u64>,
}

impl UpstreamParts {
    /// Reads the coordinator's header or trailer.
    pub fn from_timing(timing: &ServerTiming) -> Self {
        Self {
            prefill: timing.nanos(name::PREFILL),
            kv_transfer: timing.nanos(name::KV_TRANSFER),
            first_decode: timing.nanos(name::FIRST_DECODE),
        }
    }

    fn is_empty(self) -> bool {
        self.prefill.is_none() && self.kv_transfer.is_none() && self.first_decode.is_none()
    }
}

/// The parts of one TTFT, nanoseconds, in order; their sum is the TTFT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TtftParts([Option<u64>; Component::ALL.len()]);

impl TtftParts {
    /// The parts that were measured.
    pub fn iter(&self) -> impl Iterator<Item = (Component, u64)> + '_ {
        Component::ALL.into_iter().filter_map(|component| Some((component, self.get(component)?)))
    }

    /// One part.
    pub fn get(&self, component: Component) -> Option<u64> {
        self.0[component as usize]
    }

    /// The sum of all parts.
    pub fn total(&self) -> u64 {
        self.0.iter().flatten().sum()
    }

    fn set(&mut self, component: Component, nanos: u64) {
        self.0[component as usize] = Some(nanos);
    }

    /// Moves at most `said` from `rest` into `component`: the coordinator's figure comes from another clock and is rounded
    /// to microseconds, so it may exceed what is left by a little, and must not break the sum.
    fn take(&mut self, component: Component, said: Option<u64>, rest: u64) -> u64 {
        let Some(said) = said else { return rest };
        let part = said.min(rest);
        self.set(component, part);
        rest - part
    }
}

impl GatewayPoints {
    /// Time to first token.
    pub fn ttft(&self) -> Option<u64> {
        Some(self.first_token?.nanos_since(self.received))
    }

    /// End to end.
    pub fn e2e(&self) -> Option<u64> {
        Some(self.finished?.nanos_since(self.received))
    }

    /// Time per output token after the first, for more than one token.
    pub fn tpot(&self, output_tokens: u64) -> Option<u64> {
        let after_first = output_tokens.checked_sub(1).filter(|&rest| rest > 0)?;
        Some(self.e2e()?.saturating_sub(self.ttft()?) / after_first)
    }

    /// Time in the admission queue.
    pub fn queue(&self) -> Option<u64> {
        Some(self.dequeued?.nanos_since(self.enqueued?))
    }

    /// Reading and parsing the body.
    pub fn preprocess(&self) -> Option<u64> {
        Some(self.preprocessed?.nanos_since(self.received))
    }

    /// Admission (or the end of preprocessing, where there is no queue) to placement; and the same of the decode stage,
    /// where that was placed by itself.
    pub fn schedule(&self) -> Option<u64> {
        let from = self.dequeued.or(self.preprocessed).unwrap_or(self.received);
        Some(self.scheduled?.nanos_since(from) + self.decode_schedule().unwrap_or(0))
    }

    fn decode_schedule(&self) -> Option<u64> {
        Some(self.decode_scheduled?.nanos_since(self.decode_scheduling?))
    }

    /// Splits the TTFT. The stages tile the time up to `dispatched`: a stage that was not entered has no part and its
    /// time belongs to the next one that was. The rest is split by the coordinator's durations. Placing the decode stage by
    /// itself lies between the coordinator's prefill and decode, and is told from its transfer.
    pub fn ttft_parts(&self, upstream: UpstreamParts) -> Option<TtftParts> {
        let ttft = self.ttft()?;
        let mut parts = TtftParts::default();
        let stages = [
            (Component::Preprocess, self.preprocessed),
            (Component::Queue, self.dequeued),
            (Component::Schedule, self.scheduled),
            (Component::Dispatch, self.dispatched),
        ];
        let mut covered = 0;
        for (component, end) in stages {
            if let Some(end) = end {
                let until = end.nanos_since(self.received).clamp(covered, ttft);
                parts.set(component, until - covered);
                covered = until;
            }
        }
        let mut rest = ttft - covered;
        let between = self.decode_schedule().map(|between| between.min(rest));
        if let Some(between) = between {
            parts.set(Component::Schedule, parts.get(Component::Schedule).unwrap_or(0) + between);
            rest -= between;
        }
        if upstream.is_empty() {
            parts.set(Component::Upstream, rest);
            return Some(parts);
        }
        let transfer = upstream.kv_transfer.map(|transfer| transfer.saturating_sub(between.unwrap_or(0)));
        let rest = parts.take(Component::Prefill, upstream.prefill, rest);
        let rest = parts.take(Component::KvTransfer, transfer, rest);
        let rest = parts.take(Component::FirstDecode, upstream.first_decode, rest);
        parts.set(Component::Relay, rest);
        Some(parts)
    }
}
