//! Project tasks: `cargo xtask demo`, `cargo xtask test`, `cargo xtask check`.
//!
//! Each task does the set-up it needs on a fresh machine, or says in one line what is missing and how to get it.

#![expect(clippy::print_stderr, reason = "a task runner talks to the person who ran it")]

mod page;
mod run;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::run::{Tool, cargo};

/// Project tasks for Candor.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build Candor (release) and run `candor demo`; further arguments go to the demo.
    Demo {
        /// Arguments of `candor demo`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run every test; further arguments go to the test runner.
    Test {
        /// Arguments of the test runner.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Format, lints, documentation and the rules of `ARCHITECTURE.md`.
    Check,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Demo { args } => demo(&args),
        Task::Test { args } => test(&args),
        Task::Check => check(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the release binary and runs the demo with it: the audit's bounds are bounds of a release build.
fn demo(args: &[String]) -> Result<()> {
    let mut words = vec!["run", "--release", "--locked", "--quiet", "--package", "candor", "--", "demo"];
    words.extend(args.iter().map(String::as_str));
    cargo(&words)
}

/// Runs all tests: with cargo-nextest where it is installed, else with cargo's own runner; then the documentation's
/// examples, and the page in a browser.
fn test(args: &[String]) -> Result<()> {
    let mut words = if Tool::Nextest.is_there() {
        vec!["nextest", "run", "--workspace", "--locked"]
    } else {
        eprintln!("xtask: cargo-nextest is not installed; using `cargo test` (same tests, slower)");
        vec!["test", "--workspace", "--locked", "--lib", "--bins", "--tests"]
    };
    words.extend(args.iter().map(String::as_str));
    cargo(&words)?;
    if args.is_empty() {
        cargo(&["test", "--workspace", "--locked", "--doc", "--quiet"])?;
        page::test()?;
    }
    Ok(())
}

/// What a reviewer should never have to say.
fn check() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    cargo(&["doc", "--workspace", "--no-deps", "--locked", "--quiet"])?;
    tidy::check()
}
