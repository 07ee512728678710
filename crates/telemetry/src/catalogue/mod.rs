//! Every metric, as data: name, type, unit, labels, buckets, help, and the point at which it is observed.
//!
//! Nothing else names a metric. The registry takes its families from these statics, `candor metrics` prints them, and
//! the documentation, the dashboards and the alerts are checked against them. Only what is really observed is listed.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod nixl;
pub(crate) mod observatory;
mod print;
pub(crate) mod process;
pub(crate) mod samples;
pub(crate) mod scheduler;
pub mod sglang;
pub(crate) mod sidecar;
pub mod vllm;

pub use print::{json, markdown, table};

/// What a metric counts and how it is exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows; `_total`.
    Counter,
    /// A current value.
    Gauge,
    /// A distribution in classic buckets.
    Histogram,
}

/// The unit of the exposed value. A histogram counts integer ticks beneath: nanoseconds for time, billionths for
/// ratios, one for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Tokens.
    Tokens,
    /// Bytes.
    Bytes,
    /// 0 to 1.
    Ratio,
    /// 0 to 100.
    Percent,
    /// A number of things.
    Count,
}

/// Which process observes a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// `candor gateway`.
    Gateway,
    /// `candor scheduler`.
    Scheduler,
    /// `candor sidecar`.
    Sidecar,
    /// Gateway and sidecar: every process that relays a client's stream.
    Relay,
    /// `candor engine`.
    Engine,
    /// `candor observatory`.
    Observatory,
    /// Every process.
    Every,
}

/// A label and, where the set is closed, its legal values.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// The label's name.
    pub name: &'static str,
    /// All legal values; empty where the set is open.
    pub values: &'static [&'static str],
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The exposed name; a counter's with `_total`.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Unit of the exposed value.
    pub unit: Unit,
    /// Labels in order.
    pub labels: &'static [Label],
    /// Upper bounds of a histogram's buckets, in `unit`, without `+Inf`.
    pub buckets: &'static [f64],
    /// What the value means; `# HELP`.
    pub help: &'static str,
    /// When it is observed.
    pub observed: &'static str,
    /// Who observes it.
    pub component: Component,
}

impl Unit {
    /// Ticks per unit.
    pub const fn scale(self) -> u64 {
        match self {
            Self::Milliseconds => 1_000_000,
            Self::Seconds | Self::Ratio | Self::Percent => 1_000_000_000,
            _ => 1,
        }
    }

    /// The unit's name as OpenMetrics spells it; empty for a plain count.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Milliseconds => "milliseconds",
            Self::Seconds => "seconds",
            Self::Tokens => "tokens",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
            Self::Percent => "percent",
            Self::Count => "",
        }
    }
}

impl Kind {
    /// The type as `# TYPE` spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Component {
    /// The component's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Scheduler => "scheduler",
            Self::Sidecar => "sidecar",
            Self::Relay => "gateway and sidecar",
            Self::Engine => "engine",
            Self::Observatory => "observatory",
            Self::Every => "every process",
        }
    }
}

impl Label {
    pub(crate) const fn open(name: &'static str) -> Self {
        Self { name, values: &[] }
    }

    pub(crate) const fn closed(name: &'static str, values: &'static [&'static str]) -> Self {
        Self { name, values }
    }
}

impl Metric {
    const fn new(component: Component, kind: Kind, name: &'static str, help: &'static str) -> Self {
        Self { name, kind, unit: Unit::Count, labels: &[], buckets: &[], help, observed: "", component }
    }

    const fn unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    const fn labels(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    const fn buckets(self, buckets: &'static [f64]) -> Self {
        Self { buckets, ..self }
    }

    const fn observed(self, observed: &'static str) -> Self {
        Self { observed, ..self }
    }
}

/// Bounds of the gateway's stage histograms and of everything else that should take less than a millisecond.
const STAGE_MS: &[f64] = &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
/// Bounds of times per token.
const PER_TOKEN_MS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0];
/// Bounds for parts of a request that may take from a tenth of a millisecond to a minute.
const PART_MS: &[f64] = &[
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 30000.0,
    60000.0,
];

/// Every metric, by component and in the order of the reference page.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    let tables = [
        gateway::ALL,
        scheduler::ALL,
        sidecar::ALL,
        client::ALL,
        observatory::ALL,
        samples::ALL,
        process::ALL,
        vllm::ALL,
        nixl::ALL,
        sglang::ALL,
    ];
    tables.into_iter().flatten().copied()
}

/// The metric with this exposed name.
pub fn find(name: &str) -> Option<&'static Metric> {
    all().find(|metric| metric.name == name)
}

#[cfg(test)]
mod tests;
