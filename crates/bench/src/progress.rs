//! One line of progress on a terminal, nothing elsewhere.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};

/// Where a bench says what it is at.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
}

impl Progress {
    /// Speaks only where standard error is a terminal.
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal() }
    }

    /// Replaces the line.
    pub(crate) fn say(&self, what: fmt::Arguments<'_>) {
        if self.terminal {
            // Nothing hangs on it.
            let _ = write!(std::io::stderr(), "\r\x1b[K{what}");
        }
    }

    /// Removes the line.
    pub(crate) fn clear(&self) {
        self.say(format_args!(""));
    }
}
