//! Units, as Grafana spells them.

/// The unit of a panel's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Seconds,
    Microseconds,
    Requests,
    RequestsPerSecond,
    Tokens,
    TokensPerSecond,
    /// 0 to 1, shown as per cent.
    Ratio,
    /// 0 to 100.
    Percent,
    Bytes,
    PerSecond,
    Tasks,
    Times,
    Spans,
}

impl Unit {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Microseconds => "µs",
            Self::Requests => "suffix: req",
            Self::RequestsPerSecond => "reqps",
            Self::Tokens => "si:tok",
            Self::TokensPerSecond => "si:tok/s",
            Self::Ratio => "percentunit",
            Self::Percent => "percent",
            Self::Bytes => "bytes",
            Self::PerSecond => "suffix: /s",
            Self::Tasks => "suffix: tasks",
            Self::Times => "suffix: ×",
            Self::Spans => "suffix: spans/s",
        }
    }
}
