//! `candor dashboards write|check`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;

use crate::files;

/// Arguments of `candor dashboards`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where the files are
    #[arg(long, global = true, value_name = "DIR", default_value = "deploy/observability")]
    directory: PathBuf,
    #[command(subcommand)]
    task: Task,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Task {
    /// Write every dashboard and the alerts
    Write,
    /// Fail where a file is not what would be written
    Check,
}

/// Writes or checks the files; returns what to tell the person who asked.
///
/// # Errors
/// When a file cannot be written, or differs from what would be written.
pub fn run(args: &Args) -> Result<String> {
    match args.task {
        Task::Write => write(&args.directory),
        Task::Check => check(&args.directory),
    }
}

fn write(directory: &Path) -> Result<String> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let files = files();
    for file in &files {
        let path = directory.join(file.name);
        fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(format!("{} files written to {}\n", files.len(), directory.display()))
}

fn check(directory: &Path) -> Result<String> {
    let files = files();
    let stale =
        |file: &&crate::File| !fs::read(directory.join(file.name)).is_ok_and(|text| text == file.text.as_bytes());
    let stale: Vec<&str> = files.iter().filter(stale).map(|file| file.name).collect();
    ensure!(
        stale.is_empty(),
        "{} differ from what the code says: {}; run `candor dashboards write`",
        directory.display(),
        stale.join(", ")
    );
    Ok(format!("{} files are what the code says\n", files.len()))
}
