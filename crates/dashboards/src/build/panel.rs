//! One panel.

use serde_json::{Value, json};

use super::options;
use super::target::{Look, Target};
use crate::palette::{self, Colour};
use crate::query;
use crate::unit::Unit;

/// How a panel draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    TimeSeries,
    Stacked,
    Stat { sparkline: bool },
    Gauge,
    Pie,
    Table,
    Heatmap,
}

/// A panel: what it asks, how it looks, and what a reader should make of it.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(super) kind: Kind,
    pub(super) title: String,
    description: String,
    pub(super) width: u8,
    pub(super) height: u8,
    pub(super) unit: Unit,
    pub(super) decimals: Option<u8>,
    pub(super) range: (Option<f64>, Option<f64>),
    pub(super) steps: Vec<(f64, Colour)>,
    base: Option<Colour>,
    targets: Vec<(Target, Option<Look>)>,
    named: Vec<(String, Vec<Value>)>,
    pub(super) reduce: &'static str,
    quantiles: bool,
}

impl Panel {
    fn new(kind: Kind, title: impl Into<String>, unit: Unit, (width, height): (u8, u8)) -> Self {
        Self {
            kind,
            title: title.into(),
            description: String::new(),
            width,
            height,
            unit,
            decimals: None,
            range: (None, None),
            steps: Vec::new(),
            base: None,
            targets: Vec::new(),
            named: Vec::new(),
            reduce: "lastNotNull",
            quantiles: false,
        }
    }

    /// Lines over time.
    pub(crate) fn lines(title: impl Into<String>, unit: Unit) -> Self {
        Self::new(Kind::TimeSeries, title, unit, (12, 8)).zero_based()
    }

    /// Areas over time, one on the other: parts of a whole.
    pub(crate) fn stacked(title: impl Into<String>, unit: Unit) -> Self {
        Self::new(Kind::Stacked, title, unit, (12, 8)).zero_based()
    }

    /// One number, with its history behind it.
    pub(crate) fn stat(title: impl Into<String>, unit: Unit) -> Self {
        Self::new(Kind::Stat { sparkline: true }, title, unit, (6, 4))
    }

    /// One number of the whole time.
    pub(crate) fn number(title: impl Into<String>, unit: Unit) -> Self {
        Self::new(Kind::Stat { sparkline: false }, title, unit, (6, 3))
    }

    /// One number on its scale.
    pub(crate) fn gauge(title: impl Into<String>, unit: Unit, max: f64) -> Self {
        let panel = Self::new(Kind::Gauge, title, unit, (6, 8));
        Self { range: (Some(0.0), Some(max)), ..panel }
    }

    /// Parts of a whole, at one moment.
    pub(crate) fn pie(title: impl Into<String>, unit: Unit) -> Self {
        Self::new(Kind::Pie, title, unit, (6, 8))
    }

    /// Spans as rows.
    pub(crate) fn table(title: impl Into<String>) -> Self {
        Self::new(Kind::Table, title, Unit::Milliseconds, (24, 10))
    }

    /// A distribution over time; the unit is that of the buckets.
    pub(crate) fn heatmap(title: impl Into<String>, unit: Unit, expr: String) -> Self {
        Self::new(Kind::Heatmap, title, unit, (12, 8)).with(Target::Heat { expr })
    }

    /// P99, P95, P90, P50 and the mean of a histogram, with exemplars on the slowest.
    pub(crate) fn quantiles(title: impl Into<String>, unit: Unit, metric: &str, filter: &str) -> Self {
        let mut panel = Self { quantiles: true, ..Self::lines(title, unit).size(12, 9) };
        for (index, (value, name, colour, width)) in palette::QUANTILES.into_iter().enumerate() {
            let target = Target::range(query::quantile(value, metric, filter), name);
            let target = if index == 0 { target.exemplars() } else { target };
            panel = panel.look(target, Look::solid(colour).strong().width(width));
        }
        panel.look(Target::range(query::mean(metric, filter), "Mean"), Look::mean().strong())
    }

    /// What it shows, what is normal, what to do when it is not.
    pub(crate) fn about(mut self, shows: &str, normal: &str, otherwise: &str) -> Self {
        let estimate = if self.quantiles {
            " Quantiles are estimates between the histogram's bounds; the mean is exact."
        } else {
            ""
        };
        self.description = format!("{shows}{estimate}\n\n**Normal:** {normal}\n\n**If not:** {otherwise}");
        self
    }

    /// Adds a query.
    pub(crate) fn with(mut self, target: Target) -> Self {
        self.targets.push((target, None));
        self
    }

    /// Adds a query whose series all look like this.
    pub(crate) fn look(mut self, target: Target, look: Look) -> Self {
        self.targets.push((target, Some(look)));
        self
    }

    /// The colour of a series that is found by its name.
    pub(crate) fn colour(self, name: &str, colour: Colour) -> Self {
        self.field(name, "color", &json!({ "mode": "fixed", "fixedColor": colour }))
    }

    /// A property of a field that is found by its name.
    pub(crate) fn field(mut self, name: &str, id: &str, value: &Value) -> Self {
        let property = json!({ "id": id, "value": value });
        match self.named.iter_mut().find(|(known, _)| known == name) {
            Some((_, properties)) => properties.push(property),
            None => self.named.push((name.to_owned(), vec![property])),
        }
        self
    }

    /// Width and height on the grid.
    pub(crate) fn size(self, width: u8, height: u8) -> Self {
        Self { width, height, ..self }
    }

    /// Green below the first, then these.
    pub(crate) fn thresholds(mut self, steps: &[(f64, Colour)]) -> Self {
        self.steps.extend_from_slice(steps);
        self
    }

    /// The colour below every threshold: green where there are some, else blue.
    pub(crate) fn base(self, colour: Colour) -> Self {
        Self { base: Some(colour), ..self }
    }

    /// Digits after the point, where three significant ones are not what is wanted.
    pub(crate) fn decimals(self, decimals: u8) -> Self {
        Self { decimals: Some(decimals), ..self }
    }

    /// An upper end of the scale.
    pub(crate) fn max(self, max: f64) -> Self {
        Self { range: (self.range.0, Some(max)), ..self }
    }

    fn zero_based(self) -> Self {
        Self { range: (Some(0.0), self.range.1), ..self }
    }

    /// Whether any query goes to this kind of data source.
    pub(super) fn asks(&self, kind: &str) -> bool {
        self.targets.iter().any(|(target, _)| target.source().0 == kind)
    }

    pub(super) const fn base_colour(&self) -> Colour {
        match self.base {
            Some(colour) => colour,
            None if self.steps.is_empty() => palette::BLUE,
            None => palette::GREEN,
        }
    }

    pub(super) fn json(&self, id: u32, (x, y): (u8, u32)) -> Value {
        let mut sources = self.targets.iter().map(|(target, _)| target.source());
        let first = sources.next().unwrap_or(("prometheus", "${DS_PROMETHEUS}"));
        let (kind, uid) = if sources.all(|source| source == first) { first } else { ("datasource", "-- Mixed --") };
        let letters = ('A'..='Z').map(String::from);
        let targets: Vec<Value> =
            letters.zip(&self.targets).map(|(letter, (target, _))| target.json(&letter)).collect();
        json!({
            "id": id,
            "type": options::plugin(self.kind),
            "title": self.title,
            "description": self.description,
            "datasource": { "type": kind, "uid": uid },
            "gridPos": { "x": x, "y": y, "w": self.width, "h": self.height },
            "targets": targets,
            "options": options::options(self),
            "fieldConfig": { "defaults": options::defaults(self), "overrides": self.overrides() },
        })
    }

    fn overrides(&self) -> Vec<Value> {
        let letters = ('A'..='Z').map(String::from);
        let by_query = letters.zip(&self.targets).filter_map(|(letter, (_, look))| {
            Some((json!({ "id": "byFrameRefID", "options": letter }), look.as_ref()?.properties()))
        });
        let by_name = self
            .named
            .iter()
            .map(|(name, properties)| (json!({ "id": "byName", "options": name }), properties.clone()));
        by_query
            .chain(by_name)
            .map(|(matcher, properties)| json!({ "matcher": matcher, "properties": properties }))
            .collect()
    }
}
