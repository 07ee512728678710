//! The dashboards as JSON, panel by panel.

use std::path::PathBuf;

use serde_json::Value;

/// A dashboard's name and content.
pub struct Board {
    pub name: &'static str,
    pub json: Value,
}

/// Every dashboard.
pub fn boards() -> Vec<Board> {
    let parse = |file: dashboards::File| Board { name: file.name, json: serde_json::from_str(&file.text).unwrap() };
    dashboards::dashboards().into_iter().map(parse).collect()
}

impl Board {
    /// Rows and panels, those inside closed rows included.
    pub fn all(&self) -> Vec<&Value> {
        let top = self.json["panels"].as_array().unwrap();
        top.iter()
            .flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten()))
            .collect()
    }

    /// Panels alone.
    pub fn panels(&self) -> Vec<&Value> {
        self.all().into_iter().filter(|panel| panel["type"] != "row").collect()
    }

    /// Every query of one language, with the panel it belongs to; variables filled in as Grafana would.
    pub fn queries(&self, member: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for panel in self.panels() {
            for target in panel["targets"].as_array().unwrap() {
                if let Some(query) = target[member].as_str() {
                    found.push((format!("{}: {}", self.name, panel["title"]), filled(query)));
                }
            }
        }
        found
    }
}

/// A query with Grafana's variables filled in.
pub fn filled(query: &str) -> String {
    let known = [
        ("$__rate_interval", "1m"),
        ("$namespace", ".*"),
        ("$model", ".*"),
        ("$infer_type", "prefill|decode"),
        ("$connector", ".*"),
    ];
    let filled = known.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    assert!(!filled.contains('$'), "a variable that nobody fills in: {filled}");
    filled
}

/// The project's root.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize().unwrap()
}
