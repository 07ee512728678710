//! The metric registry: counters, gauges and histograms whose handles are resolved once and then cost an atomic or a
//! short lock.
//!
//! Our own, because what is exposed has to be true at every scrape: a histogram's sum, count and buckets are of one
//! instant; time is counted in integer nanoseconds and becomes a float only in the exposition; known series exist from
//! the start; a metric's thousandth label set is its last, and the overflow is counted.

mod accept;
mod encode;
mod family;
mod histogram;
mod registry;
mod scalar;

pub use accept::{Format, negotiate};
pub use family::Family;
pub use histogram::{Exemplar, Histogram};
pub use registry::Registry;
pub use scalar::{Counter, Gauge};

/// Label sets of one metric beyond which new ones fold into [`OVERFLOW`].
pub const MAX_LABEL_SETS: usize = 1000;
/// The label value that stands for all label sets beyond [`MAX_LABEL_SETS`].
pub const OVERFLOW: &str = "_overflow";

#[cfg(test)]
mod tests;
