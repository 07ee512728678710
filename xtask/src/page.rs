//! The page's own tests: types, units, and a real browser over a demo under load.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::run::{cargo, cargo_output, root};

/// Programs that the tests start, and the Debian package of each.
const PROGRAMS: [(&str, &str); 3] = [("node", "nodejs"), ("npm", "npm"), ("chromium", "chromium")];

/// Runs them all. Screenshots of every view are left in the build directory, and where is printed.
pub(crate) fn test() -> Result<()> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    ensure!(missing.is_empty(), "the page's tests need Debian's packages: {}", missing.join(" "));
    npm(&["ci", "--no-audit", "--no-fund"], &[])?;
    npm(&["run", "--silent", "check"], &[])?;
    npm(&["run", "--silent", "test"], &[])?;
    // With the tests, which are built already: alone it would get other features of its dependencies, and they would be
    // built a second time.
    cargo(&["build", "--locked", "--quiet", "--workspace", "--bins", "--tests"])?;
    let target = target_directory()?;
    let candor = target.join("debug/candor");
    let shots = target.join("page-screenshots");
    npm(&["run", "--silent", "e2e"], &[("CANDOR", candor.as_path()), ("SHOTS", shots.as_path())])
}

fn is_there(program: &str) -> bool {
    let status = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn npm(words: &[&str], variables: &[(&str, &Path)]) -> Result<()> {
    let mut command = Command::new("npm");
    command.args(words).current_dir(root().join("crates/page/web")).envs(variables.iter().copied());
    let shown = words.join(" ");
    let status = command.status().with_context(|| format!("cannot start `npm {shown}`"))?;
    ensure!(status.success(), "`npm {shown}` in crates/page/web ended with {status}");
    Ok(())
}

fn target_directory() -> Result<PathBuf> {
    let printed = cargo_output(&["metadata", "--no-deps", "--format-version", "1", "--locked"])?;
    let metadata: Value = serde_json::from_str(&printed).context("cargo metadata is not JSON")?;
    metadata["target_directory"].as_str().map(PathBuf::from).context("cargo metadata names no target directory")
}
