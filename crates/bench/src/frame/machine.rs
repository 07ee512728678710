//! The machine that a bench ran on, in one line.

use std::fmt;
use std::fs;

use serde::Serialize;

/// What a reader must know to read the absolute figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// Cores that the bench may use.
    pub(crate) cores: usize,
    /// Model name of the first.
    pub(crate) cpu: String,
    /// Release of the kernel.
    pub(crate) kernel: String,
    /// Load average over one minute before the bench began: what else was running.
    pub(crate) load: String,
}

impl Machine {
    /// Reads it from `/proc`; what cannot be read is "unknown".
    pub(crate) fn read(cores: usize) -> Self {
        let file = |path| fs::read_to_string(path).unwrap_or_default();
        let known = |text: Option<&str>| text.unwrap_or("unknown").trim().to_owned();
        let (cpuinfo, release, load) =
            (file("/proc/cpuinfo"), file("/proc/sys/kernel/osrelease"), file("/proc/loadavg"));
        let model = cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
        Self {
            cores,
            cpu: known(model.map(|(_, name)| name)),
            kernel: known(release.lines().next()),
            load: known(load.split(' ').next()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, cpu, kernel, load } = self;
        write!(f, "{cores} cores {cpu}, Linux {kernel}, load average {load} before the run")
    }
}
