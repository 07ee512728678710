//! Log lines: JSON for machines, or one readable line for people; times from [`clock`](crate::clock).
//!
//! The subscriber is the one thing that is global besides the clock's anchor: `tracing` has one per process.

mod time;

use std::io::{self, IsTerminal as _};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use time::FromAnchor;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Human,
    /// One JSON object per line; a request's lines carry `trace_id` and `request_id`.
    Json,
}

/// A filter that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a log filter (a level, or target=level, separated by commas): {what}")]
pub struct FilterError {
    /// The filter.
    pub text: String,
    /// What is wrong with it.
    pub what: String,
}

/// A filter in the syntax of `RUST_LOG`: `info`, `warn,gateway=debug`.
///
/// # Errors
/// When it cannot be read.
pub fn parse_filter(text: &str) -> Result<Targets, FilterError> {
    text.parse().map_err(|what| FilterError { text: text.to_owned(), what: format!("{what}") })
}

/// Installs the process's subscriber, writing to standard error; in colours where that is a terminal and `NO_COLOR` does
/// not forbid them.
///
/// # Errors
/// When there is one already.
pub fn init(format: LogFormat, filter: Targets) -> Result<(), TryInitError> {
    let lines = tracing_subscriber::fmt::layer().with_timer(FromAnchor).with_writer(io::stderr);
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let lines = lines.with_ansi(!plain && io::stderr().is_terminal());
    let layer = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
        LogFormat::Human => lines.with_filter(filter).boxed(),
    };
    tracing_subscriber::registry().with(layer).try_init()
}
