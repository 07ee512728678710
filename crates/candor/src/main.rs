//! `candor`: arguments → validated configuration → bind → run → drain. No logic.

mod cli;
mod component;
mod descriptors;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

/// Small, and returns memory after a burst of streams.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First: it is free while there is one thread.
    descriptors::make_room();
    proxy::tls::install_provider();
    small_pages();
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Memory in pages of 4 KiB. A proxy holds thousands of buffers of which only the first bytes are used; in huge pages each
/// of them would be resident whole. A kernel without huge pages refuses, which is as good.
fn small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
