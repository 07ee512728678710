//! What one holder of limits has in use.

use std::time::Duration;

use serde_json::{Value, json};
use telemetry::clock::Moment;

use super::file::Limit;
use super::meter::Meter;
use super::refusal::{Kind, Rate, Rates};

/// After how long somebody should come back who found all places taken: nobody knows when one will be free.
const PLACE_WAIT: Duration = Duration::from_secs(1);

/// The books of one holder.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    limit: Limit,
    pub(super) in_flight: u64,
    pub(super) requests: Meter,
    pub(super) tokens: Meter,
}

/// What an account has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) kind: Kind,
    pub(super) limit: u64,
    pub(super) used: u64,
    /// Until when there will be room; `None` where there never will be.
    pub(super) wait: Option<Duration>,
}

impl Account {
    pub(super) fn new(limit: Limit) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Whether nothing is limited on it any more, and nothing in flight.
    pub(super) fn is_over(&self) -> bool {
        self.in_flight == 0 && self.limit == Limit::default()
    }

    /// Another limit holds from now on. What is in use stays so.
    pub(super) fn set(&mut self, limit: Limit, now: Moment) {
        self.advance(now);
        self.limit = limit;
    }

    pub(super) fn advance(&mut self, now: Moment) {
        if let Some(allowance) = self.limit.requests_per_minute {
            self.requests.advance(allowance, now);
        }
        if let Some(allowance) = self.limit.tokens_per_minute {
            self.tokens.advance(allowance, now);
        }
    }

    /// Everything that a request with a prompt of `tokens` finds full.
    pub(super) fn full(&self, tokens: u64) -> impl Iterator<Item = Full> {
        let Limit { concurrency, requests_per_minute, tokens_per_minute } = self.limit;
        let places = concurrency.filter(|&limit| self.in_flight >= limit).map(|limit| Full {
            kind: Kind::Concurrency,
            limit,
            used: self.in_flight,
            wait: Some(PLACE_WAIT),
        });
        let rate = |kind, meter: Meter, allowance: Option<u64>, amount: u64| {
            let limit = allowance?;
            let wait = meter.wait(limit, amount);
            let never = amount > limit;
            (never || !wait.is_zero()).then(|| Full { kind, limit, used: meter.used(), wait: (!never).then_some(wait) })
        };
        let requests = rate(Kind::Requests, self.requests, requests_per_minute, 1);
        let tokens = rate(Kind::Tokens, self.tokens, tokens_per_minute, tokens);
        [places, requests, tokens].into_iter().flatten()
    }

    /// A request begins, with a prompt of `tokens`; how many were reserved for it.
    pub(super) fn take(&mut self, tokens: u64) -> u64 {
        self.in_flight += 1;
        if self.limit.requests_per_minute.is_some() {
            self.requests.add(1);
        }
        let reserved = if self.limit.tokens_per_minute.is_some() { tokens } else { 0 };
        self.tokens.add(reserved);
        reserved
    }

    /// A request is over, for which `reserved` was taken and which used `used`.
    pub(super) fn settle(&mut self, reserved: u64, used: u64) {
        debug_assert!(self.in_flight > 0, "every end has a beginning");
        self.in_flight = self.in_flight.saturating_sub(1);
        match used.checked_sub(reserved) {
            Some(more) if self.limit.tokens_per_minute.is_some() => self.tokens.add(more),
            Some(_) => {}
            None => self.tokens.take_back(reserved - used),
        }
    }

    /// What operators are told of it.
    pub(super) fn shown(mut self, now: Moment) -> Value {
        self.advance(now);
        json!({
            "limit": self.limit,
            "in-flight": self.in_flight,
            "requests-used": self.limit.requests_per_minute.map(|_| self.requests.used()),
            "tokens-used": self.limit.tokens_per_minute.map(|_| self.tokens.used()),
        })
    }

    /// What clients are told of it.
    pub(super) fn rates(&self) -> Rates {
        let rate = |meter: Meter, limit: Option<u64>| {
            let limit = limit?;
            Some(Rate { limit, remaining: meter.left(limit), reset: meter.reset(limit) })
        };
        Rates {
            requests: rate(self.requests, self.limit.requests_per_minute),
            tokens: rate(self.tokens, self.limit.tokens_per_minute),
        }
    }
}
