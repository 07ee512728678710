//! The Prometheus text format and OpenMetrics, read strictly.
//!
//! [`parse`] is what tests, the audit, the demo and the observatory read a scrape with. It accepts what the specifications accept and
//! nothing else, so that it also judges our own exposition.

mod parse;
mod scrape;
mod text;

pub use parse::{ParseError, parse};
pub use scrape::{About, Exemplar, HistogramSample, Sample, Scrape};
pub(crate) use text::{Number, escape_help, escape_label};

#[cfg(test)]
mod tests;
