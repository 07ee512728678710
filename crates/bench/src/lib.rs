//! `candor bench`: what Candor costs, measured from outside.
//!
//! A bench drives processes, not functions: the components under test are started as an operator would start them, the
//! yardsticks are the distribution's packages, the load has its own stopwatch, CPU time and memory are the kernel's
//! figures. Nothing here depends on another crate of Candor, so nothing that is measured can flatter itself.
//!
//! - [`engine`]: the null engine, a process of its own.
//! - `load`: kept-alive client connections in one epoll loop.
//! - `process`, [`pin`]: starting, pinning, watching and killing what is measured.
//! - `frame`: samples, bars, the report; every bench prints its figures beside its bars and ends with a [`Verdict`].
//! - [`proxy`]: `bench proxy`.
//! - [`observatory`]: `bench observatory`.
//! - [`gateway`]: `bench gateway`, over the cases and passes of `bench proxy`.
//! - [`scheduler`], [`policies`]: `bench scheduler` and `bench policies`, over the `stage` that they share.
//!
//! Every process is started by the calling thread. The kernel kills them when that thread ends, however it does, so [`run`] belongs on the main thread, outside any async runtime.

pub mod engine;
mod exposition;
mod frame;
pub mod gateway;
mod load;
pub mod observatory;
pub mod pin;
pub mod policies;
mod poll;
mod process;
mod progress;
mod protobuf;
pub mod proxy;
mod random;
mod records;
pub mod scheduler;
mod stage;
mod stopwatch;
mod wire;

pub use frame::Verdict;
pub use load::{Failure, LoadError};
pub use process::ProcessError;
pub use wire::WireError;

/// Flags of `candor bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Gateway and sidecar as proxies, beside nginx and haproxy.
    Proxy(proxy::Args),
    /// What samples and spans cost to take in, to keep, and to show.
    Observatory(observatory::Args),
    /// The gateway at its work: admission, a scheduler, tokenizing; aborts and leaks.
    Gateway(gateway::Args),
    /// What a scheduling decision costs, at 16, 256 and 1,024 instances.
    Scheduler(scheduler::Args),
    /// What a scheduling policy is worth, in the time to the first token.
    Policies(policies::Args),
    /// The null engine that benches talk to.
    #[command(hide = true)]
    Engine(engine::Args),
    /// Becomes a program pinned to one core, killed with the bench.
    #[command(hide = true)]
    Pin(pin::Args),
}

/// A bench could not be carried out; a missed bar is not an error but a [`Verdict`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A yardstick is not installed.
    #[error("{program} is not installed: apt-get install {package}")]
    Missing {
        /// The program.
        program: &'static str,
        /// Debian's package of it.
        package: &'static str,
    },
    /// Too few descriptors for the streams.
    #[error("{wanted} open files are needed, {allowed} are allowed: raise `ulimit -Hn`")]
    Descriptors {
        /// Needed by one process.
        wanted: u64,
        /// The hard limit.
        allowed: u64,
    },
    /// A case could not hold the streams of the memory pass.
    #[error("{case}: only {open} of {wanted} streams were open at once")]
    TooFewStreams {
        /// The case.
        case: &'static str,
        /// Most streams that the engine saw.
        open: u64,
        /// Streams wanted.
        wanted: u64,
    },
    /// A process could not be driven.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The load could not be applied.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The null engine or the launcher failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Runs the command that `args` name.
///
/// # Errors
/// The bench could not be carried out.
pub fn run(args: &Args) -> Result<Verdict, Error> {
    match &args.command {
        Command::Proxy(args) => proxy::run(args),
        Command::Observatory(args) => observatory::run(args),
        Command::Gateway(args) => gateway::run(args),
        Command::Scheduler(args) => scheduler::run(args),
        Command::Policies(args) => policies::run(args),
        Command::Engine(args) => Ok(engine::run(*args).map(|()| Verdict::Held)?),
        Command::Pin(args) => Ok(pin::run(args).map(|()| Verdict::Held)?),
    }
}
