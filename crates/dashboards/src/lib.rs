//! The dashboards and the alerts, as one description in code.
//!
//! Each dashboard is a function of its own in `boards`, made of plain builders; [`files`] turns all of them into the
//! JSON that Grafana imports and that the observatory's page renders, and the alerts into a `PrometheusRule`. The files
//! under `deploy/observability/` are generated: `candor dashboards write`, and `candor dashboards check` says whether
//! they are what would be written.

mod boards;
mod build;
mod command;
mod palette;
mod query;
mod rules;
mod unit;

pub use command::{Args, run};

/// A file under `deploy/observability/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, without a folder.
    pub name: &'static str,
    /// Its content, with a line feed at the end.
    pub text: String,
}

/// Every file, dashboards in the order of the page's navigation.
pub fn files() -> Vec<File> {
    let mut files = dashboards();
    files.push(File { name: "candor-rules.yaml", text: rules::yaml() });
    files
}

/// The dashboards alone.
pub fn dashboards() -> Vec<File> {
    boards::all().into_iter().map(|board| File { name: board.file(), text: board.json() }).collect()
}
