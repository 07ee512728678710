//! Metrics: labels and the store of samples.

mod labels;
pub mod store;

pub use labels::{Labels, LabelsBuilder, METRIC_NAME};
