//! `candor bench` alone, for working on the bench: only the cases that need no Candor run.
//!
//! `cargo run --release -p bench --example bench -- bench proxy --only direct,nginx,haproxy`

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
enum Cli {
    /// What Candor costs, measured from outside.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let Cli::Bench(args) = Cli::parse();
    match bench::run(&args) {
        Ok(bench::Verdict::Held) => ExitCode::SUCCESS,
        Ok(bench::Verdict::Missed) => ExitCode::from(1),
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::from(2)
        }
    }
}
