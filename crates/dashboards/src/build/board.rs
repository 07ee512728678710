//! A dashboard: rows of panels, laid out from left to right and from top to bottom.

use serde_json::{Value, json};

use super::{COLUMNS, Panel, Variable, variable};

/// Data sources: type, variable, and what the person who imports reads.
const SOURCES: [(&str, &str, &str); 2] =
    [("prometheus", "DS_PROMETHEUS", "Prometheus"), ("tempo", "DS_TEMPO", "Tempo")];

/// A dashboard.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    file: &'static str,
    title: &'static str,
    description: &'static str,
    tag: &'static str,
    variables: Vec<Variable>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    title: String,
    collapsed: bool,
    panels: Vec<Panel>,
}

impl Board {
    /// A dashboard in the file of this name; its uid is the name without `.json`.
    pub(crate) const fn new(
        file: &'static str,
        title: &'static str,
        tag: &'static str,
        description: &'static str,
    ) -> Self {
        Self { file, title, description, tag, variables: Vec::new(), rows: Vec::new() }
    }

    /// Adds variables.
    pub(crate) fn variables(mut self, variables: &[Variable]) -> Self {
        self.variables.extend_from_slice(variables);
        self
    }

    /// Adds a row that is open.
    pub(crate) fn row(self, title: impl Into<String>, panels: Vec<Panel>) -> Self {
        self.push(title.into(), false, panels)
    }

    /// Adds a row that is closed until somebody wants it; nothing in it is asked before.
    pub(crate) fn closed_row(self, title: impl Into<String>, panels: Vec<Panel>) -> Self {
        self.push(title.into(), true, panels)
    }

    fn push(mut self, title: String, collapsed: bool, panels: Vec<Panel>) -> Self {
        self.rows.push(Row { title, collapsed, panels });
        self
    }

    /// The file's name.
    pub(crate) const fn file(&self) -> &'static str {
        self.file
    }

    /// The file's content.
    pub(crate) fn json(&self) -> String {
        format!("{:#}\n", self.value())
    }

    fn value(&self) -> Value {
        let sources: Vec<_> = SOURCES.into_iter().filter(|(kind, ..)| self.asks(kind)).collect();
        let inputs: Vec<Value> = sources
            .iter()
            .map(|(kind, name, label)| {
                json!({ "name": name, "label": label, "type": "datasource", "pluginId": kind, "pluginName": label,
                    "description": "" })
            })
            .collect();
        let variables = sources.iter().copied().map(variable::source);
        let variables: Vec<Value> = variables.chain(self.variables.iter().map(|found| found.json())).collect();
        json!({
            "__inputs": inputs,
            "uid": self.file.trim_end_matches(".json"),
            "title": self.title,
            "description": self.description,
            "tags": ["candor", self.tag],
            "schemaVersion": 39,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "time": { "from": "now-1h", "to": "now" },
            "timezone": "browser",
            "refresh": "30s",
            "templating": { "list": variables },
            "annotations": { "list": [] },
            "links": [{
                "type": "dashboards", "title": "Candor", "tags": ["candor"], "asDropdown": true, "includeVars": true,
                "keepTime": true, "targetBlank": false, "icon": "external link", "tooltip": "The other dashboards",
            }],
            "panels": self.panels(),
        })
    }

    fn asks(&self, kind: &str) -> bool {
        self.rows.iter().flat_map(|row| &row.panels).any(|panel| panel.asks(kind))
    }

    fn panels(&self) -> Vec<Value> {
        let mut ids = 1..;
        let mut next = || ids.next().unwrap_or_default();
        let mut found = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            let id = next();
            let mut place = Place { x: 0, y: y + 1, tallest: 0 };
            let panels: Vec<Value> = row.panels.iter().map(|panel| panel.json(next(), place.put(panel))).collect();
            let position = json!({ "x": 0, "y": y, "w": COLUMNS, "h": 1 });
            let (inside, beside) = if row.collapsed { (panels, Vec::new()) } else { (Vec::new(), panels) };
            found.push(json!({
                "id": id, "type": "row", "title": row.title, "collapsed": row.collapsed, "gridPos": position,
                "panels": inside,
            }));
            found.extend(beside);
            y = if row.collapsed { y + 1 } else { place.y + u32::from(place.tallest) };
        }
        found
    }
}

/// Where the next panel goes.
struct Place {
    x: u8,
    y: u32,
    tallest: u8,
}

impl Place {
    fn put(&mut self, panel: &Panel) -> (u8, u32) {
        if self.x + panel.width > COLUMNS {
            self.y += u32::from(self.tallest);
            (self.x, self.tallest) = (0, 0);
        }
        let at = (self.x, self.y);
        self.x += panel.width;
        self.tallest = self.tallest.max(panel.height);
        at
    }
}
