//! The sequence of planned requests.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use openai::Api;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::lengths::open_unit;
use super::{Lengths, Prompts};

/// A share of the requests, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// No request.
    pub const NONE: Self = Self(0.0);
    /// Every request.
    pub const ALL: Self = Self(1.0);

    /// The share as a number, cut to 0 to 1.
    pub fn of(share: f64) -> Self {
        Self(share.clamp(0.0, 1.0))
    }

    fn hits(self, rng: &mut StdRng) -> bool {
        rng.random::<f64>() < self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a share could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a share between 0 and 1")]
pub struct ShareError(String);

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => Err(ShareError(text.to_owned())),
        }
    }
}

/// A header sent with a share of the requests, `SHARE:NAME:VALUE`; how a run asks a simulated engine for faults.
#[derive(Clone, Debug, PartialEq)]
pub struct Inject {
    /// How many of the requests carry it.
    pub share: Share,
    /// The header.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
}

/// Why an injected header could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not SHARE:NAME:VALUE, a share between 0 and 1 and a header")]
pub struct InjectError(String);

impl FromStr for Inject {
    type Err = InjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || InjectError(text.to_owned());
        let mut parts = text.splitn(3, ':');
        let mut next = || parts.next().ok_or_else(wrong);
        let (share, name, value) = (next()?, next()?, next()?);
        Ok(Self {
            share: share.parse().map_err(|_| wrong())?,
            name: name.parse().map_err(|_| wrong())?,
            value: value.trim().parse().map_err(|_| wrong())?,
        })
    }
}

/// When the client leaves on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// This long after the request was written, or at the first token if that is earlier.
    BeforeFirst(Duration),
    /// When this many token-bearing chunks have arrived.
    AfterChunks(u32),
}

/// What a run consists of.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Seed of everything random about the requests.
    pub seed: u64,
    /// The model asked for.
    pub model: String,
    /// Where prompts come from.
    pub prompts: Prompts,
    /// How many tokens to ask for.
    pub output: Lengths,
    /// Share of chat completions; the rest are completions.
    pub chat: Share,
    /// Share of streaming requests.
    pub stream: Share,
    /// Share of streaming requests that ask for `stream_options.include_usage`.
    pub usage: Share,
    /// Share of requests whose client leaves before the first token.
    pub cancel_before_first: Share,
    /// How long such a client waits at most; drawn uniformly from a tenth of this to all of it, so that its request has
    /// been received by the time it leaves.
    pub cancel_within: Duration,
    /// Share of streaming requests whose client leaves in the first half of the stream.
    pub cancel_mid_stream: Share,
    /// Headers sent with some requests.
    pub inject: Vec<Inject>,
}

/// One request, decided before the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its place in the sequence, from 0.
    pub index: u64,
    /// Its endpoint.
    pub api: Api,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether the stream is to end with a usage chunk.
    pub usage: bool,
    /// The prompt.
    pub prompt: String,
    /// How many tokens it asks for.
    pub max_tokens: u32,
    /// When the client leaves, where it does.
    pub cancel: Option<Cancel>,
    /// Extra headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Exponentially distributed with mean 1: the gap to the arrival before it, in units of the mean gap.
    pub gap: f64,
}

/// The endless seeded sequence of a workload.
#[derive(Debug)]
pub struct Plan {
    workload: Workload,
    rng: StdRng,
    next: u64,
}

impl Plan {
    /// The sequence of `workload`, from its start.
    pub fn new(workload: Workload) -> Self {
        Self { rng: StdRng::seed_from_u64(workload.seed), workload, next: 0 }
    }

    /// The model that every request of the plan asks for.
    pub fn model(&self) -> &str {
        &self.workload.model
    }

    fn cancel(&mut self, stream: bool, max_tokens: u32) -> Option<Cancel> {
        let Workload { cancel_before_first, cancel_mid_stream, cancel_within, .. } = self.workload;
        // Always two draws, so that changing one share does not shift the rest of the sequence.
        let (before, mid) = (cancel_before_first.hits(&mut self.rng), cancel_mid_stream.hits(&mut self.rng));
        let place = self.rng.random::<f64>();
        if before {
            return Some(Cancel::BeforeFirst(cancel_within.mul_f64(0.1 + 0.9 * place)));
        }
        // The first half, so that the server cannot have finished by the time it notices.
        let half = max_tokens / 2;
        (mid && stream && half > 0).then(|| Cancel::AfterChunks(1 + (place * f64::from(half)) as u32))
    }
}

impl Iterator for Plan {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        let index = self.next;
        self.next += 1;
        let gap = -open_unit(&mut self.rng).ln();
        let api = if self.workload.chat.hits(&mut self.rng) { Api::ChatCompletions } else { Api::Completions };
        let stream = self.workload.stream.hits(&mut self.rng);
        let usage = self.workload.usage.hits(&mut self.rng) && stream;
        let (prompt, listed) = self.workload.prompts.draw(index, &mut self.rng);
        let drawn = self.workload.output.draw(&mut self.rng);
        let max_tokens = listed.unwrap_or(drawn).max(1);
        let cancel = self.cancel(stream, max_tokens);
        let rng = &mut self.rng;
        let hit = self.workload.inject.iter().filter(|i| i.share.hits(rng));
        let headers = hit.map(|i| (i.name.clone(), i.value.clone())).collect();
        Some(Planned { index, api, stream, usage, prompt, max_tokens, cancel, headers, gap })
    }
}
