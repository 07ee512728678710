//! Grafana's own JSON schemas, where they lie beside the project.

use boon::{Compiler, Schemas};
use serde_json::Value;

use super::support::{boards, root};

/// A schema and the definition in it that is meant.
struct Schema {
    schemas: Schemas,
    index: boon::SchemaIndex,
}

impl Schema {
    fn load(name: &str, definition: Option<&str>) -> Option<Self> {
        let path = root().join("../shared/schemas/grafana").join(format!("{name}.jsonschema.json"));
        let Ok(text) = std::fs::read_to_string(&path) else {
            eprintln!("skipped: there is no {}", path.display());
            return None;
        };
        let mut json: Value = serde_json::from_str(&text).unwrap();
        if let Some(definition) = definition {
            json["$ref"] = format!("#/definitions/{definition}").into();
        }
        anything(&mut json);
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let location = format!("http://grafana/{name}/{}", definition.unwrap_or_default());
        compiler.add_resource(&location, json).unwrap();
        let index = compiler.compile(&location, &mut schemas).unwrap();
        Some(Self { schemas, index })
    }

    fn check(&self, value: &Value, what: &str) {
        if let Err(fault) = self.schemas.validate(value, self.index) {
            panic!("{what}: {fault:#}");
        }
    }
}

/// The schemas are generated from Go, whose `any` came out as "an object", also where Grafana itself writes strings and
/// numbers: there, anything goes.
fn anything(schema: &mut Value) {
    match schema {
        Value::Object(members)
            if members.get("additionalProperties").is_some_and(|inner| *inner == serde_json::json!({}))
                && !members.contains_key("properties") =>
        {
            *schema = true.into();
        }
        Value::Object(members) => members.values_mut().for_each(anything),
        Value::Array(items) => items.iter_mut().for_each(anything),
        _ => {}
    }
}

#[test]
fn dashboards_are_what_grafana_says_a_dashboard_is() {
    let Some(schema) = Schema::load("dashboard", None) else { return };
    for board in boards() {
        let mut json = board.json.clone();
        // Of the file that is imported, not of the dashboard that it becomes.
        json.as_object_mut().unwrap().remove("__inputs");
        schema.check(&json, board.name);
    }
}

#[test]
fn queries_are_what_their_data_sources_say() {
    let (Some(prometheus), Some(tempo)) = (Schema::load("prometheus", None), Schema::load("tempo", None)) else {
        return;
    };
    for board in boards() {
        for panel in board.panels() {
            for target in panel["targets"].as_array().unwrap() {
                let schema = if target["datasource"]["type"] == "tempo" { &tempo } else { &prometheus };
                schema.check(target, &format!("{}: {}", board.name, panel["title"]));
            }
        }
    }
}

#[test]
fn options_are_what_their_panels_say() {
    for kind in ["timeseries", "stat", "gauge", "piechart", "table"] {
        let Some(options) = Schema::load(kind, Some("Options")) else { continue };
        let fields = (kind == "timeseries").then(|| Schema::load(kind, Some("GraphFieldConfig"))).flatten();
        let mut found = 0;
        for board in boards() {
            for panel in board.panels().into_iter().filter(|panel| panel["type"] == kind) {
                found += 1;
                let what = format!("{}: {}", board.name, panel["title"]);
                options.check(&panel["options"], &what);
                if let Some(fields) = &fields {
                    fields.check(&panel["fieldConfig"]["defaults"]["custom"], &what);
                }
            }
        }
        assert!(found > 0, "no panel of kind {kind}");
    }
}
