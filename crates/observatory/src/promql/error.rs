//! What a query may cost, and why it has no result.

use std::time::Duration;

/// What one query may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Samples that it may hold in memory at once.
    pub max_samples: usize,
    /// How long it may take.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_samples: 25_000_000, timeout: Duration::from_secs(30) }
    }
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The text is no expression.
    #[error("{0}")]
    Parse(String),
    /// The expression is one, but not for this engine.
    #[error("{0} is not supported by this observatory")]
    Unsupported(String),
    /// The data do not allow it.
    #[error("{0}")]
    Execution(String),
    /// It would need more than a query may hold.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// It took too long.
    #[error("query timed out in expression evaluation")]
    TimedOut,
}
