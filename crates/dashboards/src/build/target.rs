//! Queries of a panel, and how what they give looks.

use serde_json::{Value, json};

use crate::palette::Colour;
use crate::unit::Unit;

/// One query.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// PromQL over the dashboard's time.
    Range { expr: String, legend: String, exemplars: bool },
    /// PromQL over time, by bucket.
    Heat { expr: String },
    /// A TraceQL metrics query over time.
    Trace { query: String },
    /// A TraceQL metrics query whose one value is of the whole time.
    TraceTotal { query: String },
    /// A TraceQL search: a table of spans.
    Spans { query: String, limit: u16 },
}

/// How the series of one target look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    colour: Option<Colour>,
    dashes: Option<&'static [u8]>,
    unit: Option<Unit>,
    name: Option<&'static str>,
    fill: Option<u8>,
    width: Option<u8>,
    right: bool,
}

impl Target {
    /// PromQL over time.
    pub(crate) fn range(expr: impl Into<String>, legend: impl Into<String>) -> Self {
        Self::Range { expr: expr.into(), legend: legend.into(), exemplars: false }
    }

    /// With the exemplars of the histogram that is asked.
    pub(crate) fn exemplars(self) -> Self {
        match self {
            Self::Range { expr, legend, .. } => Self::Range { expr, legend, exemplars: true },
            other => other,
        }
    }

    /// The data source's type and the variable that names it.
    pub(super) const fn source(&self) -> (&'static str, &'static str) {
        match self {
            Self::Range { .. } | Self::Heat { .. } => ("prometheus", "${DS_PROMETHEUS}"),
            Self::Trace { .. } | Self::TraceTotal { .. } | Self::Spans { .. } => ("tempo", "${DS_TEMPO}"),
        }
    }

    pub(super) fn json(&self, reference: &str) -> Value {
        let (kind, uid) = self.source();
        let mut value = match self {
            Self::Range { expr, legend, exemplars } => json!({
                "expr": expr, "legendFormat": legend, "range": true, "exemplar": exemplars,
            }),
            Self::Heat { expr } => json!({
                "expr": expr, "legendFormat": "{{le}}", "range": true, "format": "heatmap",
            }),
            Self::Trace { query } => traceql(query, "range"),
            Self::TraceTotal { query } => traceql(query, "instant"),
            Self::Spans { query, limit } => json!({
                "queryType": "traceql", "query": query, "filters": [], "limit": limit, "spss": 1, "tableType": "spans",
            }),
        };
        value["refId"] = json!(reference);
        value["datasource"] = json!({ "type": kind, "uid": uid });
        if kind == "prometheus" {
            value["editorMode"] = json!("code");
        }
        value
    }
}

fn traceql(query: &str, kind: &str) -> Value {
    json!({ "queryType": "traceql", "query": query, "filters": [], "metricsQueryType": kind })
}

impl Look {
    /// A solid line of this colour.
    pub(crate) const fn solid(colour: Colour) -> Self {
        Self { colour: Some(colour), dashes: None, unit: None, name: None, fill: None, width: None, right: false }
    }

    /// What an engine claims of itself.
    pub(crate) const fn claim() -> Self {
        Self { dashes: Some(&[8, 5]), ..Self::solid(crate::palette::RED) }
    }

    /// What another engine claims of itself, where there are two.
    pub(crate) const fn other_claim() -> Self {
        Self { dashes: Some(&[2, 4]), ..Self::solid(crate::palette::RED) }
    }

    /// A mean, among quantiles.
    pub(crate) const fn mean() -> Self {
        Self { dashes: Some(&[2, 3]), ..Self::solid(crate::palette::GREY) }
    }

    /// Another unit than the panel's.
    pub(crate) const fn unit(self, unit: Unit) -> Self {
        Self { unit: Some(unit), right: true, ..self }
    }

    /// A name, for a query whose language has no legend.
    pub(crate) const fn name(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// No area below.
    pub(crate) const fn strong(self) -> Self {
        Self { width: Some(2), fill: Some(0), ..self }
    }

    /// So many pixels wide.
    pub(crate) const fn width(self, width: u8) -> Self {
        Self { width: Some(width), ..self }
    }

    /// Grafana's overrides: property by property.
    pub(super) fn properties(&self) -> Vec<Value> {
        let mut found = Vec::new();
        let mut set = |id: &str, value: Value| found.push(json!({ "id": id, "value": value }));
        if let Some(name) = self.name {
            set("displayName", json!(name));
        }
        if let Some(colour) = self.colour {
            set("color", json!({ "mode": "fixed", "fixedColor": colour }));
        }
        if let Some(dashes) = self.dashes {
            set("custom.lineStyle", json!({ "fill": "dash", "dash": dashes }));
        }
        if let Some(unit) = self.unit {
            set("unit", json!(unit.as_str()));
        }
        if let Some(fill) = self.fill {
            set("custom.fillOpacity", json!(fill));
        }
        if let Some(width) = self.width {
            set("custom.lineWidth", json!(width));
        }
        if self.right {
            set("custom.axisPlacement", json!("right"));
        }
        found
    }
}
