//! Metrics: labels, the store of samples, and the scraper that fills it.

mod labels;
pub mod scrape;
pub mod store;

pub use labels::{Labels, LabelsBuilder, METRIC_NAME};
