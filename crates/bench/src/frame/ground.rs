//! What every bench stands on: a place for files, the machine, and a core for each side.

use std::path::Path;

use super::Machine;
use crate::pin;
use crate::process::ProcessError;
use crate::progress::Progress;

/// The set-up of a run.
#[derive(Debug)]
pub(crate) struct Ground {
    directory: tempfile::TempDir,
    pub(crate) machine: Machine,
    /// The core of the load, and of whatever else is not measured.
    pub(crate) load_cpu: usize,
    /// The core of what is measured. On a machine with one core it is the same one.
    pub(crate) subject_cpu: usize,
    pub(crate) progress: Progress,
}

impl Ground {
    /// Looks at the machine, and makes a directory that lasts as long as the run.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub(crate) fn prepare() -> Result<Self, ProcessError> {
        let directory = tempfile::tempdir().map_err(ProcessError::io("cannot make a temporary directory"))?;
        let cores = pin::cores();
        Ok(Self {
            directory,
            machine: Machine::read(cores.len()),
            load_cpu: cores.first().copied().unwrap_or(0),
            subject_cpu: cores.last().copied().unwrap_or(0),
            progress: Progress::new(),
        })
    }

    /// The same, the calling thread being the load: it is put on the load's core.
    ///
    /// # Errors
    /// The directory cannot be made, or the core is not this process's to use.
    pub(crate) fn with_load_here() -> Result<Self, ProcessError> {
        let ground = Self::prepare()?;
        pin::to_core(ground.load_cpu).map_err(ProcessError::io("cannot pin the load to its core"))?;
        Ok(ground)
    }

    /// Whether load and subject have a core each: then the load's need not sleep (see [`crate::poll`]).
    pub(crate) fn is_roomy(&self) -> bool {
        self.load_cpu != self.subject_cpu
    }

    /// For configurations and logs.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A warning for the report, where the two sides cannot be kept apart.
    pub(crate) fn crowded(&self) -> Option<String> {
        (!self.is_roomy())
            .then(|| "there is only one core: proxy, engine and load share it, the ratios mean little".to_owned())
    }
}
