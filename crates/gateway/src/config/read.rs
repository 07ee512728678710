//! Reading text into types while collecting every fault.
//!
//! A getter that meets a fault notes it and answers with a placeholder; [`Reader::finish`] gives the configuration out only
//! when there was none, so that no placeholder is ever used.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::flags::refused::Refused;
use super::{Args, Fault};
use crate::endpoints::Endpoint;

pub(super) struct Reader<'a> {
    args: &'a Args,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(args: &'a Args, faults: Vec<Fault>) -> Self {
        Self { args, faults }
    }

    pub(super) fn fault(&mut self, flag: &'static str, problem: impl Into<String>) {
        self.faults.push(Fault::new(flag, problem));
    }

    /// The value, if nothing was wrong.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }

    /// The text of a flag that need not be set.
    pub(super) fn text(&self, flag: &'static str) -> Option<&'a str> {
        self.args.text(flag)
    }

    /// The text of a flag that must be set.
    fn required(&mut self, flag: &'static str) -> Option<&'a str> {
        let text = self.args.text(flag);
        if text.is_none() {
            self.fault(flag, "must have a value");
        }
        text
    }

    pub(super) fn address(&mut self, flag: &'static str) -> IpAddr {
        let fallback = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let Some(text) = self.required(flag) else {
            return fallback;
        };
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        bare.parse().unwrap_or_else(|_| {
            self.fault(flag, format!("`{text}` is no IP address"));
            fallback
        })
    }

    pub(super) fn number<N>(&mut self, flag: &'static str, range: RangeInclusive<N>) -> N
    where
        N: FromStr + PartialOrd + Copy + Display,
    {
        let fallback = *range.start();
        let Some(text) = self.required(flag) else {
            return fallback;
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = (range.start(), range.end());
                self.fault(flag, format!("`{text}` is no whole number from {low} to {high}"));
                fallback
            }
        }
    }

    /// A share, from 0 to 1.
    pub(super) fn ratio(&mut self, flag: &'static str) -> f64 {
        let Some(text) = self.required(flag) else {
            return 0.0;
        };
        match text.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            _ => {
                self.fault(flag, format!("`{text}` is no number from 0 to 1"));
                0.0
            }
        }
    }

    pub(super) fn boolean(&mut self, flag: &'static str) -> bool {
        let Some(text) = self.required(flag) else {
            return false;
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.fault(flag, format!("`{text}` is neither true nor false"));
                false
            }
        }
    }

    pub(super) fn duration(&mut self, flag: &'static str) -> Duration {
        match self.required(flag) {
            Some(text) => self.parse_duration(flag, text),
            None => Duration::ZERO,
        }
    }

    /// A duration that is longer than nothing.
    pub(super) fn positive(&mut self, flag: &'static str) -> Duration {
        let before = self.faults.len();
        let duration = self.duration(flag);
        if duration.is_zero() && self.faults.len() == before {
            self.fault(flag, "must be longer than nothing");
        }
        duration
    }

    pub(super) fn optional_duration(&mut self, flag: &'static str) -> Option<Duration> {
        let text = self.args.text(flag)?;
        Some(self.parse_duration(flag, text))
    }

    /// Text such as `30s`; a bare number is seconds, as Llumnix has it.
    fn parse_duration(&mut self, flag: &'static str, text: &str) -> Duration {
        let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.or_else(|| humantime::parse_duration(text).ok()).unwrap_or_else(|| {
            self.fault(flag, format!("`{text}` is no duration, as `2ms`, `30s` or `5m` are"));
            Duration::ZERO
        })
    }

    /// Says of each flag that is not honoured what to do instead, where its value asks for something.
    pub(super) fn refuse(&mut self, refused: &[Refused]) {
        for Refused { name, harmless, instead } in refused {
            if self.args.text(name).is_some_and(|value| !harmless.contains(&value)) {
                self.fault(name, format!("is not honoured: {instead}"));
            }
        }
    }

    /// Whether a flag has a value.
    pub(super) fn is_set(&self, flag: &str) -> bool {
        self.args.text(flag).is_some()
    }

    /// What `load` makes of a flag's value; `None` where there is none, or it is a fault.
    pub(super) fn loaded<T>(&mut self, flag: &'static str, load: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match load(self.args.text(flag)?) {
            Ok(loaded) => Some(loaded),
            Err(problem) => {
                self.fault(flag, problem);
                None
            }
        }
    }

    /// Text that can stand in a header.
    pub(super) fn header_text(&mut self, flag: &'static str) -> Option<String> {
        let text = self.args.text(flag)?;
        if http::HeaderValue::from_str(text).is_err() {
            // The value is not repeated: it may be a secret.
            self.fault(flag, "holds a character that cannot stand in a header");
        }
        Some(text.to_owned())
    }

    /// Checks a flag that may have few values, telling those that are to come from those that never were.
    pub(super) fn only(&mut self, flag: &'static str, supported: &[&str], planned: &[&str]) {
        let Some(text) = self.required(flag) else {
            return;
        };
        if supported.contains(&text) {
            return;
        }
        let known = supported.join(", ");
        let problem = if planned.contains(&text) {
            format!("`{text}` is not supported yet; supported: {known}")
        } else {
            format!("`{text}` is not known; supported: {known}")
        };
        self.fault(flag, problem);
    }

    /// A comma-separated list of endpoints. Each must be right, and none may be there twice.
    pub(super) fn endpoints(&mut self, flag: &'static str) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for text in self.args.text(flag).unwrap_or_default().split(',') {
            match text.trim().parse::<Endpoint>() {
                _ if text.trim().is_empty() => {}
                Ok(endpoint) if endpoints.contains(&endpoint) => {
                    self.fault(flag, format!("`{endpoint}` is there twice"));
                }
                Ok(endpoint) => endpoints.push(endpoint),
                Err(error) => self.fault(flag, error.to_string()),
            }
        }
        endpoints
    }
}
