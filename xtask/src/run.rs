//! Running programs, with errors that say which one failed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A program that a task can do without, or must ask for.
#[derive(Clone, Copy)]
pub(crate) enum Tool {
    /// The parallel test runner.
    Nextest,
}

impl Tool {
    /// Whether the tool answers to its name.
    pub(crate) fn is_there(self) -> bool {
        let words: &[&str] = match self {
            Self::Nextest => &["nextest", "--version"],
        };
        let status = Command::new(cargo_path()).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

/// Runs `cargo` with these words at the project's root; an unsuccessful end is an error that repeats them.
pub(crate) fn cargo<S: AsRef<OsStr>>(words: &[S]) -> Result<()> {
    let mut command = Command::new(cargo_path());
    command.args(words).current_dir(root());
    let shown = words.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
    let status = command.status().with_context(|| format!("cannot start `cargo {shown}`"))?;
    ensure!(status.success(), "`cargo {shown}` ended with {status}");
    Ok(())
}

/// Runs `cargo` with these words and returns what it printed.
pub(crate) fn cargo_output(words: &[&str]) -> Result<String> {
    let shown = words.join(" ");
    let output = Command::new(cargo_path())
        .args(words)
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `cargo {shown}`"))?;
    ensure!(output.status.success(), "`cargo {shown}` ended with {}", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("`cargo {shown}` printed something that is not UTF-8"))
}

/// The project's root: the folder above this crate.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that runs this task, so that toolchain overrides hold for what it starts.
fn cargo_path() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}
