//! `candor`: arguments → validated configuration → bind → run → drain. No logic.

mod cli;
mod component;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

/// Small, and returns memory after a burst of streams.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    proxy::tls::install_provider();
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
