//! Query parameters: times, durations and numbers in the forms that Tempo takes.

use std::time::{Duration, UNIX_EPOCH};

use super::reply::Fault;
use crate::traceql;

/// The parameters of a request.
pub(super) struct Params(Vec<(String, String)>);

/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

impl Params {
    pub(super) fn new(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// A parameter that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A whole number greater than 0.
    pub(super) fn count(&self, name: &str, default: usize) -> Result<usize, Fault> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let count = text.parse().ok().filter(|count| *count > 0);
        count.ok_or_else(|| Fault::new(format!("invalid {name}: must be a positive number")))
    }

    /// A whole number, of which 0 means none.
    pub(super) fn count_or_none(&self, name: &str, default: usize) -> Result<usize, Fault> {
        let count = self.get(name).map(str::parse).transpose();
        count.map(|count| count.unwrap_or(default)).map_err(|_| Fault::new(format!("invalid {name}: must be a number")))
    }

    /// A point in time, in nanoseconds since the Unix epoch.
    pub(super) fn time(&self, name: &str) -> Result<Option<u64>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let time = time(text).ok_or_else(|| {
            Fault::new(format!("invalid {name}: {text:?} is neither Unix seconds, nor nanoseconds, nor RFC 3339"))
        })?;
        Ok(Some(time))
    }

    /// A duration in nanoseconds: `1m30s`, or plain seconds.
    pub(super) fn duration(&self, name: &str) -> Result<Option<u64>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..1e9).contains(seconds));
        let nanos = match seconds {
            Some(seconds) => Some((seconds * SECOND as f64) as u64),
            None => traceql::duration(text).and_then(|nanos| u64::try_from(nanos).ok()),
        };
        nanos.map(Some).ok_or_else(|| Fault::new(format!("invalid {name}: {text:?} is not a duration such as 15s")))
    }

    /// The time asked about where both ends are given, in order; else all of it.
    pub(super) fn span_of_time(&self) -> Result<(u64, u64), Fault> {
        match (self.time("start")?, self.time("end")?) {
            (Some(start), Some(end)) => ordered(start, end),
            _ => Ok((0, u64::MAX)),
        }
    }

    /// The time asked about; the last hour, or `since`, where it is not given.
    pub(super) fn recent(&self, now: u64) -> Result<(u64, u64), Fault> {
        let since = self.duration("since")?.unwrap_or(3600 * SECOND);
        let end = self.time("end")?.unwrap_or(now);
        let start = self.time("start")?.unwrap_or_else(|| end.saturating_sub(since));
        ordered(start, end)
    }
}

fn ordered(start: u64, end: u64) -> Result<(u64, u64), Fault> {
    if start < end {
        return Ok((start, end));
    }
    Err(Fault::new(format!(
        "http parameter start must be before end. received start={} end={}",
        start / SECOND,
        end / SECOND
    )))
}

fn time(text: &str) -> Option<u64> {
    /// Whole numbers of more digits are nanoseconds.
    const SECONDS_DIGITS: usize = 10;
    if let Ok(whole) = text.parse::<u64>() {
        return if text.len() > SECONDS_DIGITS { Some(whole) } else { whole.checked_mul(SECOND) };
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return (0.0..1e10).contains(&seconds).then_some((seconds * SECOND as f64) as u64);
    }
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    let since: Duration = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}
