//! The referee: load, a stopwatch of its own, and the comparison of what Candor reports with what a client saw.
//!
//! Numbers that describe a system are trusted because somebody checked them, and the one who can is the client. The
//! audit is that client: it sends requests in a process of its own ([`load`]), stamps what comes back where it reads
//! it ([`stopwatch`]), and keeps a [`Record`] of each. Afterwards it reads back what was reported, from the same places
//! that dashboards read: exported [`Spans`] and scraped metrics ([`Scrape`]). [`Evidence`] holds the one against the
//! other and comes to a [`Verdict`], which is printed ([`report`]) and decides the exit status.
//!
//! The referee shares neither clock nor names with the audited: see [`stopwatch`] and `published`. The one thing that it
//! does share is `openai::TokenMeter`, since what a first token is must have one definition.

#![forbid(unsafe_code)]

mod args;
mod client;
mod compare;
pub mod echo;
pub mod load;
mod overview;
mod published;
mod record;
pub mod report;
mod scrape;
mod spans;
mod stats;
pub mod stopwatch;
pub mod table;
pub mod verdict;
pub mod workload;

use std::io::Write as _;
use std::process::ExitCode;

pub use args::{Args, Scenario, conclude, run};
pub use compare::{Bounds, Evidence, Faults};
pub use record::{End, LoadReport, Record};
pub use scrape::{Delta, Endpoint, Scrape, ScrapeError};
pub use spans::{Span, Spans, SpansError};
pub use stats::Quantiles;
pub use verdict::Verdict;

/// Exit status when the audit does not hold.
pub const EXIT_BROKEN: u8 = 1;
/// Exit status of a wrong configuration, `EX_CONFIG`.
pub const EXIT_CONFIG: u8 = 78;
/// Exit status after Ctrl-C, as a shell reports it.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Says on stderr, one line each, what is wrong with a configuration.
///
/// # Errors
/// When stderr does not take it.
pub fn refuse(faults: &[load::Fault]) -> anyhow::Result<ExitCode> {
    let mut stderr = std::io::stderr().lock();
    for fault in faults {
        writeln!(stderr, "{fault}")?;
    }
    Ok(ExitCode::from(EXIT_CONFIG))
}
