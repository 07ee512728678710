//! The launcher of every process that a bench drives.
//!
//! It puts itself on one core, asks the kernel to kill it when the bench dies, however that happens, and becomes the
//! program. Doing this in a process of its own, before `exec`, needs no unsafe code between `fork` and `exec`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Flags of the hidden `bench pin`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Core to run on.
    #[arg(long)]
    pub cpu: usize,
    /// Process id of the bench that started it.
    #[arg(long)]
    pub parent: i32,
    /// Program and arguments.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

/// Becomes the program; returns only when that fails.
///
/// # Errors
/// The core does not exist, or the program cannot be executed.
pub fn run(args: &Args) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().map(Pid::as_raw_pid) != Some(args.parent) {
        // The bench died before the kernel knew of the wish.
        return Err(io::Error::other("the bench is gone"));
    }
    to_core(args.cpu)?;
    let [program, rest @ ..] = args.command.as_slice() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    Err(Command::new(program).args(rest).exec())
}

/// Puts the calling thread, and what it starts from now on, on one core.
///
/// # Errors
/// The core does not exist or is not this process's to use.
pub(crate) fn to_core(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// The cores this process may use, in order.
pub(crate) fn cores() -> Vec<usize> {
    sched_getaffinity(None)
        .map_or_else(|_| vec![0], |set| (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}
