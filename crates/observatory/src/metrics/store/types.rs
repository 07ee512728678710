//! What a store is limited to, what it says, and what it refuses.

use std::time::Duration;

use promql_parser::label::Matcher;

use crate::metrics::Labels;

/// The value that says "this series ends here": a NaN that no arithmetic makes.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a value is [`STALE`]; no other NaN is.
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// How far ahead of this clock a sample may be. A sender whose clock has jumped would otherwise lock its series until the
/// real time catches up.
pub(super) const AHEAD: Duration = Duration::from_secs(600);
/// What a store may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long samples are kept.
    pub retention: Duration,
    /// Memory for samples, labels and indexes, in bytes.
    pub max_bytes: usize,
    /// Series at once.
    pub max_series: usize,
}

/// What has become of samples, and what there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series now.
    pub series: u64,
    /// Bytes held now.
    pub bytes: u64,
    /// Samples held now.
    pub samples: u64,
    /// Samples taken.
    pub stored: u64,
    /// Refused: not later than the last one of their series.
    pub out_of_order: u64,
    /// Refused: older than the retention.
    pub too_old: u64,
    /// Refused: too far ahead of this clock.
    pub too_new: u64,
    /// Refused: their series would be one too many.
    pub over_limit: u64,
    /// Dropped because of their age.
    pub expired: u64,
    /// Dropped to stay within the bytes.
    pub evicted: u64,
}

/// Why a sample was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its time is not after the last one of its series.
    #[error("not later than the last sample of its series")]
    OutOfOrder,
    /// It would be dropped at once.
    #[error("older than the retention")]
    TooOld,
    /// It is ahead of this clock by more than ten minutes.
    #[error("too far ahead of this clock")]
    TooNew,
    /// The store has as many series, or bytes, as it may.
    #[error("too many series")]
    OverLimit,
}

/// What a family is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Metadata {
    /// Its type, as `# TYPE` says.
    #[serde(rename = "type")]
    pub kind: String,
    /// `# HELP`.
    pub help: String,
    /// `# UNIT`.
    pub unit: String,
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Whether a label set satisfies all matchers.
pub(super) fn matches(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|matcher| matcher.is_match(labels.get(&matcher.name)))
}
