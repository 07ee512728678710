//! What a client is told of its limits: in the headers of every answer, and in the error where it is refused.

use std::fmt;
use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use telemetry::gateway::Rejection;

use super::Holder;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Concurrency,
    Requests,
    Tokens,
}

/// A limit that has no room for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(super) holder: Holder,
    pub(super) kind: Kind,
    pub(super) limit: u64,
    pub(super) used: u64,
    /// What the request asked for.
    pub(super) wanted: u64,
    /// After how long it would have room; `None` where it never will.
    pub(crate) retry_after: Option<Duration>,
    pub(super) rates: Rates,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { holder, kind, limit, used, wanted, .. } = self;
        let what = match kind {
            Kind::Concurrency => "requests in flight",
            Kind::Requests => "requests per minute",
            Kind::Tokens => "tokens per minute",
        };
        write!(f, "rate limit reached for {holder} on {what}: limit {limit}, used {used}, requested {wanted}; ")?;
        match self.retry_after {
            Some(wait) => write!(f, "try again in {}", Spoken(wait)),
            None => f.write_str("it will never fit: make the prompt shorter"),
        }
    }
}

impl Exceeded {
    /// The reason by which it is counted.
    pub(crate) fn rejection(&self) -> Rejection {
        match (&self.holder, self.kind) {
            (Holder::Model(_) | Holder::OtherModels, Kind::Concurrency) => Rejection::ModelConcurrency,
            (Holder::Model(_) | Holder::OtherModels, Kind::Requests) => Rejection::ModelRequests,
            (Holder::Model(_) | Holder::OtherModels, Kind::Tokens) => Rejection::ModelTokens,
            (Holder::Key(_), Kind::Concurrency) => Rejection::KeyConcurrency,
            (Holder::Key(_), Kind::Requests) => Rejection::KeyRequests,
            (Holder::Key(_), Kind::Tokens) => Rejection::KeyTokens,
        }
    }

    /// What the client is told beside the error.
    pub(crate) fn rates(&self) -> Rates {
        self.rates
    }
}

/// What a client may still use; of several accounts what the scarcest has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(super) requests: Option<Rate>,
    pub(super) tokens: Option<Rate>,
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// Until when all of it is there again.
    pub(super) reset: Duration,
}

/// OpenAI's names of limit, remaining and reset.
type Names = [HeaderName; 3];

const REQUESTS: Names = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: Names = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

impl Rates {
    /// The scarcer of each.
    pub(super) fn scarcer(self, other: Self) -> Self {
        Self { requests: scarcer(self.requests, other.requests), tokens: scarcer(self.tokens, other.tokens) }
    }

    /// Says them in OpenAI's headers.
    pub(crate) fn insert_into(self, headers: &mut HeaderMap) {
        for (rate, [limit, remaining, reset]) in [(self.requests, REQUESTS), (self.tokens, TOKENS)] {
            let Some(rate) = rate else { continue };
            headers.insert(limit, rate.limit.into());
            headers.insert(remaining, rate.remaining.into());
            // Digits and letters.
            if let Ok(text) = HeaderValue::from_str(&Spoken(rate.reset).to_string()) {
                headers.insert(reset, text);
            }
        }
    }
}

fn scarcer(one: Option<Rate>, other: Option<Rate>) -> Option<Rate> {
    let least = |rate: &Rate| (rate.remaining, std::cmp::Reverse(rate.reset));
    one.into_iter().chain(other).min_by_key(least)
}

/// A time as OpenAI writes it: `6m0s`, `1.5s`, `20ms`; never too short.
struct Spoken(Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_nanos().div_ceil(1_000_000);
        if millis < 1000 {
            return write!(f, "{millis}ms");
        }
        let (hours, minutes, rest) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours + minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}", rest / 1000)?;
        let fraction = format!("{:03}", rest % 1000);
        match fraction.trim_end_matches('0') {
            "" => f.write_str("s"),
            digits => write!(f, ".{digits}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_openai_writes_them() {
        for (micros, text) in [
            (0, "0ms"),
            (1, "1ms"),
            (20_000, "20ms"),
            (999_001, "1s"),
            (1_500_000, "1.5s"),
            (8_640_000, "8.64s"),
            (60_000_000, "1m0s"),
            (72_005_000, "1m12.005s"),
            (3_600_000_000, "1h0m0s"),
        ] {
            assert_eq!(Spoken(Duration::from_micros(micros)).to_string(), text);
        }
    }

    #[test]
    fn of_two_accounts_the_scarcer_is_told() {
        let rate = |remaining, seconds| Some(Rate { limit: 10, remaining, reset: Duration::from_secs(seconds) });
        assert_eq!(scarcer(rate(3, 1), rate(2, 1)), rate(2, 1));
        assert_eq!(scarcer(rate(2, 1), rate(2, 9)), rate(2, 9));
        assert_eq!(scarcer(None, rate(2, 1)), rate(2, 1));
    }
}
