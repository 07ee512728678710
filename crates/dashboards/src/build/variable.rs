//! Variables of a dashboard.

use serde_json::{Value, json};

/// A variable whose values a data source knows: several may be chosen, and all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Variable {
    /// The values of a label of a metric, in Prometheus.
    Label { name: &'static str, label: &'static str, metric: &'static str },
    /// The values of an attribute, in Tempo.
    Attribute { name: &'static str, attribute: &'static str },
}

impl Variable {
    /// The namespace of what was scraped.
    pub(crate) const fn namespace(metric: &'static str) -> Self {
        Self::Label { name: "namespace", label: "namespace", metric }
    }

    /// The model, by the label that the metric has for it.
    pub(crate) const fn model(label: &'static str, metric: &'static str) -> Self {
        Self::Label { name: "model", label, metric }
    }

    pub(super) fn json(self) -> Value {
        let (name, source, query, definition) = match self {
            Self::Label { name, label, metric } => {
                let query = format!("label_values({metric}, {label})");
                let value = json!({ "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery" });
                (name, json!({ "type": "prometheus", "uid": "${DS_PROMETHEUS}" }), value, query)
            }
            Self::Attribute { name, attribute } => {
                let value = json!({
                    "label": attribute, "refId": "TempoDatasourceVariableQueryEditor-VariableQuery", "type": 1,
                });
                let definition = format!("values of {attribute}");
                (name, json!({ "type": "tempo", "uid": "${DS_TEMPO}" }), value, definition)
            }
        };
        json!({
            "name": name, "label": name, "type": "query", "datasource": source, "query": query,
            "definition": definition, "refresh": 2, "sort": 1, "multi": true, "includeAll": true,
            // A series without the label belongs to "all" as well.
            "allValue": ".*", "current": { "text": ["All"], "value": ["$__all"] },
        })
    }
}

/// The variable that names a data source: chosen at import, or where the dashboard is shown.
pub(super) fn source((kind, variable, label): (&str, &str, &str)) -> Value {
    json!({ "name": variable, "label": label, "type": "datasource", "query": kind, "refresh": 1 })
}
