//! Faults on demand, for testing what stands in front of an engine.
//!
//! A request may carry its own (`x-candor-fault: status=503`, several separated by `;`), and rules set through
//! `POST /admin/faults` pick requests by path, role or header with a probability and a count. A fault happens to the
//! answer only: the engine behind it runs as ever, so a test can tell a broken answer from a broken engine.

use crate::core::hash::Random;
use http::HeaderMap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// The request header that asks for faults.
pub const HEADER: &str = "x-candor-fault";

/// What goes wrong with one answer. All of it may at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Wait before doing anything.
    pub(crate) delay: Option<Duration>,
    /// Answer with this status instead of serving the request.
    pub(crate) status: Option<u16>,
    /// Never answer at all.
    pub(crate) hang: bool,
    /// Break the connection once this many tokens were sent.
    pub(crate) reset_after: Option<u32>,
    /// Fall silent once this many tokens were sent.
    pub(crate) hang_after: Option<u32>,
    /// End the answer in the middle of the next event once this many tokens were sent.
    pub(crate) half_event_after: Option<u32>,
    /// Send bytes that are no events (and no JSON) instead of the answer.
    pub(crate) garbage: bool,
    /// Send the answer in pieces of [`DRIP_BYTES`], this far apart.
    pub(crate) drip: Option<Duration>,
}

/// Size of the pieces of a dripping answer.
pub(crate) const DRIP_BYTES: usize = 16;

impl Fault {
    /// Whether the body does not come as it should.
    #[must_use]
    pub(crate) const fn breaks_body(&self) -> bool {
        self.reset_after.is_some()
            || self.hang_after.is_some()
            || self.half_event_after.is_some()
            || self.drip.is_some()
    }

    fn merge(&mut self, other: Self) {
        self.delay = other.delay.or(self.delay);
        self.status = other.status.or(self.status);
        self.hang |= other.hang;
        self.reset_after = other.reset_after.or(self.reset_after);
        self.hang_after = other.hang_after.or(self.hang_after);
        self.half_event_after = other.half_event_after.or(self.half_event_after);
        self.garbage |= other.garbage;
        self.drip = other.drip.or(self.drip);
    }
}

/// A fault that cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "unknown fault {0:?}: expected status=CODE, delay=TIME, hang, hang-after-tokens=N, reset-after-tokens=N, half-event[=N], garbage or drip=TIME"
)]
pub(crate) struct UnknownFault(String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let mut fault = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            fault.set(name, value).ok_or_else(|| UnknownFault(part.to_owned()))?;
        }
        Ok(fault)
    }
}

impl Fault {
    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        let time = || humantime::parse_duration(value).ok();
        let count = || value.parse().ok();
        match name {
            "status" => self.status = Some(value.parse().ok().filter(|status| (400..600).contains(status))?),
            "delay" => self.delay = Some(time()?),
            "hang" if value.is_empty() => self.hang = true,
            "hang-after-tokens" => self.hang_after = Some(count()?),
            "reset-after-tokens" => self.reset_after = Some(count()?),
            "half-event" if value.is_empty() => self.half_event_after = Some(1),
            "half-event" => self.half_event_after = Some(count()?),
            "garbage" if value.is_empty() => self.garbage = true,
            "drip" => self.drip = Some(time()?),
            _ => return None,
        }
        Some(())
    }
}

/// Which requests a fault befalls, as `POST /admin/faults` has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// The fault, in the header's language.
    pub(crate) fault: String,
    /// Requests whose path begins with this.
    #[serde(default)]
    pub(crate) path: String,
    /// Requests with this header …
    #[serde(default)]
    pub(crate) header: Option<String>,
    /// … whose value contains this.
    #[serde(default)]
    pub(crate) contains: String,
    /// Share of the matching requests.
    #[serde(default = "always")]
    pub(crate) probability: f64,
    /// How many requests at most; without it, all.
    #[serde(default)]
    pub(crate) count: Option<u64>,
}

const fn always() -> f64 {
    1.0
}

impl Rule {
    fn matches(&self, path: &str, headers: &HeaderMap) -> bool {
        path.starts_with(&self.path)
            && self.header.as_ref().is_none_or(|name| {
                let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
                values.any(|value| value.contains(&self.contains))
            })
    }
}

/// The rules in force.
#[derive(Debug)]
pub(crate) struct Faults {
    rules: Mutex<Vec<(Rule, Fault)>>,
    random: Mutex<Random>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rules: Mutex::default(), random: Mutex::new(Random::new(seed, 0xfa17)) }
    }

    /// Replaces the rules.
    ///
    /// # Errors
    /// The first fault that cannot be understood; the rules stay as they were.
    pub(crate) fn replace(&self, rules: Vec<Rule>) -> Result<(), UnknownFault> {
        let parse = |rule: Rule| rule.fault.parse().map(|fault| (rule, fault));
        *self.rules.lock() = rules.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Removes the rules.
    pub(crate) fn clear(&self) {
        self.rules.lock().clear();
    }

    /// The rules, with the counts that are left.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        self.rules.lock().iter().map(|(rule, _)| rule.clone()).collect()
    }

    /// What befalls a request: the rules that pick it, then its own header on top.
    ///
    /// # Errors
    /// When its header cannot be understood.
    pub(crate) fn pick(&self, path: &str, headers: &HeaderMap) -> Result<Fault, UnknownFault> {
        let mut fault = Fault::default();
        for (rule, consequence) in self.rules.lock().iter_mut() {
            if rule.matches(path, headers)
                && rule.count != Some(0)
                && (rule.probability >= 1.0 || self.random.lock().unit() < rule.probability)
            {
                rule.count = rule.count.map(|left| left - 1);
                fault.merge(*consequence);
            }
        }
        for value in headers.get_all(HEADER) {
            let text = String::from_utf8_lossy(value.as_bytes());
            fault.merge(text.parse()?);
        }
        Ok(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, http::HeaderValue::from_static(value));
        headers
    }

    fn rule(json: &str) -> Rule {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_header_names_several_faults() {
        let fault: Fault = "delay=50ms; reset-after-tokens=3;drip=2ms".parse().unwrap();
        assert_eq!(fault.delay, Some(Duration::from_millis(50)));
        assert_eq!((fault.reset_after, fault.drip), (Some(3), Some(Duration::from_millis(2))));
        assert_eq!(Fault::from_str("").unwrap(), Fault::default());
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for nonsense in ["status=9", "status", "delay=soon", "hang=1", "explode", "half-event=x"] {
            let error = Fault::from_str(nonsense).unwrap_err();
            assert_eq!(error, UnknownFault(nonsense.to_owned()));
        }
    }

    #[test]
    fn rules_pick_by_path_and_header_until_their_count_is_used_up() {
        let faults = Faults::new(1);
        let json =
            r#"{"fault": "status=503", "path": "/v1/chat", "header": "x-request-id", "contains": "bad", "count": 1}"#;
        faults.replace(vec![rule(json)]).unwrap();
        let mut bad = HeaderMap::new();
        bad.insert("x-request-id", http::HeaderValue::from_static("a-bad-one"));
        let status = |path, headers: &HeaderMap| faults.pick(path, headers).unwrap().status;
        assert_eq!(status("/v1/completions", &bad), None);
        assert_eq!(status("/v1/chat/completions", &HeaderMap::new()), None);
        assert_eq!(status("/v1/chat/completions", &bad), Some(503));
        assert_eq!(status("/v1/chat/completions", &bad), None);
        assert_eq!(faults.rules()[0].count, Some(0));
    }

    #[test]
    fn a_probability_picks_some_and_a_header_wins_over_rules() {
        let faults = Faults::new(1);
        faults.replace(vec![rule(r#"{"fault": "status=500", "probability": 0.5}"#)]).unwrap();
        let picked = (0..200).filter(|_| faults.pick("/", &HeaderMap::new()).unwrap().status.is_some()).count();
        assert!((60..140).contains(&picked), "{picked} of 200");
        assert_eq!(faults.pick("/", &headers("status=418")).unwrap().status, Some(418));
    }

    #[test]
    fn a_rule_that_cannot_be_understood_changes_nothing() {
        let faults = Faults::new(1);
        faults.replace(vec![rule(r#"{"fault": "hang"}"#)]).unwrap();
        faults.replace(vec![rule(r#"{"fault": "explode"}"#)]).unwrap_err();
        assert_eq!(faults.rules()[0].fault, "hang");
    }
}
