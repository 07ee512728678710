//! The options that Grafana's panel plugins want, by kind of panel.

use serde_json::{Value, json};

use super::panel::{Kind, Panel};

/// The plugin's name.
pub(super) const fn plugin(kind: Kind) -> &'static str {
    match kind {
        Kind::TimeSeries | Kind::Stacked => "timeseries",
        Kind::Stat { .. } => "stat",
        Kind::Gauge => "gauge",
        Kind::Pie => "piechart",
        Kind::Table => "table",
        Kind::Heatmap => "heatmap",
    }
}

/// `options` of the panel.
pub(super) fn options(panel: &Panel) -> Value {
    match panel.kind {
        Kind::TimeSeries | Kind::Stacked => json!({
            "legend": {
                "displayMode": "table", "placement": "bottom", "showLegend": true,
                "calcs": ["lastNotNull", "mean", "max"],
            },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Kind::Stat { sparkline } => json!({
            "graphMode": if sparkline { "area" } else { "none" },
            "colorMode": "value", "justifyMode": "auto", "textMode": "value", "wideLayout": true,
            "showPercentChange": false, "percentChangeColorMode": "standard", "orientation": "auto",
            "reduceOptions": reduce(panel),
        }),
        Kind::Gauge => json!({
            "showThresholdLabels": false, "showThresholdMarkers": true, "sizing": "auto", "minVizWidth": 75,
            "minVizHeight": 75, "orientation": "auto", "reduceOptions": reduce(panel),
        }),
        Kind::Pie => json!({
            "pieType": "donut", "orientation": "auto", "displayLabels": ["percent"], "reduceOptions": reduce(panel),
            "tooltip": { "mode": "single", "sort": "none" },
            "legend": {
                "displayMode": "table", "placement": "bottom", "showLegend": true, "values": ["value", "percent"],
                "calcs": [],
            },
        }),
        Kind::Table => json!({
            "frameIndex": 0, "showHeader": true, "cellHeight": "sm",
            "footer": { "show": false, "reducer": ["sum"], "countRows": false },
        }),
        Kind::Heatmap => json!({
            "calculate": false, "cellGap": 1,
            "color": { "mode": "scheme", "scheme": "Blues", "steps": 32, "exponent": 0.5, "reverse": false, "fill": "blue" },
            "filterValues": { "le": 1e-9 },
            "legend": { "show": true }, "rowsFrame": { "layout": "auto" },
            "tooltip": { "mode": "single", "showColorScale": true, "yHistogram": false },
            "yAxis": { "axisPlacement": "left", "reverse": false, "unit": panel.unit.as_str() },
        }),
    }
}

fn reduce(panel: &Panel) -> Value {
    json!({ "values": false, "calcs": [panel.reduce], "fields": "" })
}

/// `fieldConfig.defaults` of the panel.
pub(super) fn defaults(panel: &Panel) -> Value {
    let mut steps = vec![json!({ "value": null, "color": panel.base_colour() })];
    steps.extend(panel.steps.iter().map(|(value, color)| json!({ "value": value, "color": color })));
    let mut defaults = json!({
        "unit": panel.unit.as_str(),
        "thresholds": { "mode": "absolute", "steps": steps },
        "color": colour(panel),
        "custom": custom(panel),
    });
    let optional = [
        ("decimals", panel.decimals.map(Value::from)),
        ("min", panel.range.0.map(Value::from)),
        ("max", panel.range.1.map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            defaults[name] = value;
        }
    }
    defaults
}

fn colour(panel: &Panel) -> Value {
    match panel.kind {
        Kind::Stat { .. } | Kind::Gauge => json!({ "mode": "thresholds" }),
        _ => json!({ "mode": "palette-classic" }),
    }
}

fn custom(panel: &Panel) -> Value {
    let stacked = panel.kind == Kind::Stacked;
    match panel.kind {
        Kind::TimeSeries | Kind::Stacked => json!({
            "drawStyle": "line", "lineInterpolation": "linear", "lineWidth": if stacked { 1 } else { 2 },
            "fillOpacity": if stacked { 70 } else { 0 }, "gradientMode": "none", "showPoints": "never", "pointSize": 4,
            // A gap is a gap: what was not measured is not drawn.
            "spanNulls": false,
            "stacking": { "mode": if stacked { "normal" } else { "none" }, "group": "A" },
            "axisPlacement": "auto", "axisLabel": "", "axisColorMode": "text", "barAlignment": 0,
            "scaleDistribution": { "type": "linear" },
            "hideFrom": { "legend": false, "tooltip": false, "viz": false },
            "thresholdsStyle": { "mode": if panel.steps.is_empty() { "off" } else { "dashed" } },
        }),
        Kind::Pie | Kind::Heatmap => json!({ "hideFrom": { "legend": false, "tooltip": false, "viz": false } }),
        Kind::Table => json!({ "align": "auto", "cellOptions": { "type": "auto" }, "inspect": false }),
        Kind::Stat { .. } | Kind::Gauge => json!({}),
    }
}
