//! The rules of `ARCHITECTURE.md` that a compiler does not check: which crate may depend on which, how long a file may
//! grow, and what must not be written at all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::run::{cargo_output, root};

/// Candor's crates and what each may depend on among them. An edge that is not here is a design change: make it in
/// `ARCHITECTURE.md` first.
const EDGES: &[(&str, &[&str])] = &[
    ("openai", &[]),
    ("telemetry", &[]),
    ("proxy", &["telemetry"]),
    ("pd", &["openai"]),
    ("cluster", &["proxy", "telemetry"]),
    ("coordinator", &["openai", "pd", "proxy", "telemetry"]),
    ("agent", &["cluster", "proxy", "telemetry"]),
    ("engine", &["cluster", "openai", "proxy", "telemetry"]),
    ("sidecar", &["coordinator", "openai", "pd", "proxy", "telemetry"]),
    ("scheduler", &["cluster", "proxy", "telemetry"]),
    ("gateway", &["cluster", "coordinator", "openai", "pd", "proxy", "telemetry"]),
    ("observatory", &["page", "proxy", "telemetry"]),
    ("audit", &["openai", "telemetry"]),
    ("bench", &[]),
    ("dashboards", &[]),
    ("page", &["dashboards"]),
    (
        "fleet",
        &[
            "audit",
            "cluster",
            "engine",
            "gateway",
            "observatory",
            "openai",
            "proxy",
            "scheduler",
            "sidecar",
            "telemetry",
        ],
    ),
    (
        "candor",
        &[
            "agent",
            "audit",
            "bench",
            "dashboards",
            "engine",
            "fleet",
            "gateway",
            "observatory",
            "proxy",
            "scheduler",
            "sidecar",
            "telemetry",
        ],
    ),
    ("testkit", &[]),
    ("xtask", &[]),
];

/// Lines a source file may have before its tests begin.
const MAX_LINES: usize = 600;

/// Checks every rule and reports all faults at once.
pub(crate) fn check() -> Result<()> {
    let mut faults = edge_faults()?;
    for file in sources(&root().join("crates"))? {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        faults.extend(file_faults(&shown, &text));
    }
    ensure!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

/// Dependencies between Candor's crates that [`EDGES`] does not allow.
fn edge_faults() -> Result<Vec<String>> {
    let printed = cargo_output(&["metadata", "--no-deps", "--format-version", "1", "--locked"])?;
    let metadata: Value = serde_json::from_str(&printed).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let mut faults = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
            faults.push(format!("crate `{name}` has no line in xtask's table of edges"));
            continue;
        };
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for dependency in
            dependencies.filter(|dependency| dependency["path"].is_string() && dependency["kind"].is_null())
        {
            let target = dependency["name"].as_str().unwrap_or_default();
            if !allowed.contains(&target) {
                faults.push(format!("crate `{name}` may not depend on `{target}`"));
            }
        }
    }
    Ok(faults)
}

/// What is wrong with one file: its length, or unfinished work.
fn file_faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
    if lines > MAX_LINES && !name.contains("/tests") {
        faults.push(format!("{name}: {lines} lines; {MAX_LINES} are allowed"));
    }
    for (number, line) in text.lines().enumerate() {
        if ["todo!(", "unimplemented!(", "dbg!("].iter().any(|word| line.contains(word)) {
            faults.push(format!("{name}:{}: unfinished: {}", number + 1, line.trim()));
        }
    }
    faults
}

/// Every Rust file below `folder`.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
