//! The catalogue against what is written elsewhere: the reference page, and the sources of the other crates.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use telemetry::catalogue;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_reference_page_is_what_would_be_printed() {
    let page = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let differs = page.lines().zip(catalogue::markdown().lines()).position(|(is, should)| is != should);
    assert!(
        page == catalogue::markdown(),
        "docs/metrics.md is out of date from line {}: candor metrics --markdown > docs/metrics.md",
        differs.map_or(0, |line| line + 1)
    );
}

/// Where a metric may be named beside the catalogue: what reads a scrape from outside, as a dashboard does. The audit's own
/// list, the live table of the demo, what the agent reads of a real engine, and what a bench reads of a scheduler.
const OUTSIDERS: &[&str] = &[
    "audit/src/published.rs",
    "fleet/src/live.rs",
    "agent/src/observation.rs",
    "bench/src/gateway/leak.rs",
    "bench/src/observatory/mod.rs",
    "bench/src/scheduler/mod.rs",
];

/// The crates whose business is names: this one, and the dashboards, whose own tests hold each name to the catalogue.
const NAMERS: &[&str] = &["telemetry", "dashboards"];

/// Only this crate names a metric: a component cannot expose a series that the catalogue does not know.
#[test]
fn nobody_else_names_a_metric() {
    let names: BTreeSet<_> = catalogue::all().map(|metric| metric.name).collect();
    let (crates, mut files) = (root().join("crates"), Vec::new());
    for krate in fs::read_dir(&crates).unwrap().map(|entry| entry.unwrap().path()) {
        if krate.file_name().is_some_and(|name| !NAMERS.iter().any(|namer| name == *namer)) {
            sources(&krate.join("src"), &mut files);
        }
    }
    assert!(files.len() > 50, "only {} sources in {}", files.len(), crates.display());
    let mut found = Vec::new();
    for file in files {
        let path = file.strip_prefix(&crates).unwrap().to_string_lossy().into_owned();
        if OUTSIDERS.contains(&path.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        // What stands between quotation marks, whichever end it is: a name has none in it.
        let literals = text.split('"').filter(|literal| names.contains(literal));
        found.extend(literals.map(|name| format!("{path}: {name}")));
    }
    assert_eq!(found, Vec::<String>::new());
}

/// The sources below a directory, but for tests.
fn sources(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() {
            if name != "tests" {
                sources(&path, into);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            into.push(path);
        }
    }
}
