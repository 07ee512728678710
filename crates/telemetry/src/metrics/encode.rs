//! Writing the exposition.

use std::collections::HashSet;
use std::fmt::Write as _;

use bytes::Bytes;

use super::histogram::State;
use super::registry::Slot;
use super::{Exemplar, Format};
use crate::catalogue::{Kind, Metric, Unit};
use crate::exposition::{Number, escape_help};

/// Writes all slots, then `# EOF` where the format has it.
pub(super) fn encode(slots: &[Slot], format: Format) -> Bytes {
    let families = slots.iter().map(Slot::name).collect();
    let mut writer = Writer { text: String::with_capacity(64 << 10), format, families, line: String::new() };
    for slot in slots {
        writer.slot(slot);
    }
    if format == Format::OpenMetrics {
        writer.text.push_str("# EOF\n");
    }
    writer.text.into()
}

impl Slot {
    fn name(&self) -> &'static str {
        self.metric().name
    }

    fn metric(&self) -> &'static Metric {
        match self {
            Self::Counter(series) => series.metric,
            Self::Gauge(series) => series.metric,
            Self::Histogram(series) => series.metric,
            Self::Read(readings) => readings.metric,
        }
    }
}

struct Writer {
    text: String,
    format: Format,
    /// All exposed names: in OpenMetrics a counter gives up its type rather than clash with another family.
    families: HashSet<&'static str>,
    /// Scratch for `le` bounds.
    line: String,
}

impl Writer {
    fn slot(&mut self, slot: &Slot) {
        let name = slot.name();
        match slot {
            Slot::Counter(series) => {
                self.header(series.metric);
                for (labels, counter) in series.map.read().iter() {
                    self.sample(name, "", labels);
                    let _ = writeln!(self.text, "{}", counter.get());
                }
            }
            Slot::Gauge(series) => {
                self.header(series.metric);
                for (labels, gauge) in series.map.read().iter() {
                    self.sample(name, "", labels);
                    let _ = writeln!(self.text, "{}", Number(gauge.get()));
                }
            }
            Slot::Read(readings) => {
                self.header(readings.metric);
                for (labels, read) in readings.map.read().iter() {
                    if let Some(value) = read() {
                        self.sample(name, "", labels);
                        let _ = writeln!(self.text, "{}", Number(value));
                    }
                }
            }
            Slot::Histogram(series) => {
                self.header(series.metric);
                let bounds = self.bounds(series.metric);
                for (labels, histogram) in series.map.read().iter() {
                    self.histogram(series.metric, &bounds, labels, &histogram.snapshot());
                }
            }
        }
    }

    fn header(&mut self, metric: &Metric) {
        let (name, kind) = self.family(metric);
        let _ = writeln!(self.text, "# HELP {name} {}", escape_help(metric.help, self.format));
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
        let unit = metric.unit.as_str();
        let has_unit = name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
        if self.format == Format::OpenMetrics && metric.unit != Unit::Count && has_unit {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
    }

    /// The family's name and type. OpenMetrics names a counter's family without `_total`; where another family has that
    /// name (`request_input_tokens`), the counter is exposed under its full name as `unknown`.
    fn family(&self, metric: &Metric) -> (&'static str, &'static str) {
        let stripped = metric.name.strip_suffix("_total").filter(|_| metric.kind == Kind::Counter);
        match stripped {
            Some(family) if self.format == Format::OpenMetrics => {
                if self.families.contains(family) {
                    (metric.name, "unknown")
                } else {
                    (family, "counter")
                }
            }
            _ => (metric.name, metric.kind.as_str()),
        }
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &str) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        if !labels.is_empty() {
            self.text.push('{');
            self.text.push_str(labels);
            self.text.push('}');
        }
        self.text.push(' ');
    }

    /// The `le` values of a metric. OpenMetrics and the engines' own exposition write floats (`1.0`), Prometheus text of
    /// everyone else writes `1`.
    fn bounds(&mut self, metric: &Metric) -> Vec<String> {
        let floats = self.format == Format::OpenMetrics || metric.name.contains(':');
        let text = |bound: &f64| if floats { format!("{bound:?}") } else { bound.to_string() };
        metric.buckets.iter().map(text).chain([String::from("+Inf")]).collect()
    }

    fn histogram(&mut self, metric: &Metric, bounds: &[String], labels: &str, state: &State) {
        let mut cumulative = 0;
        for (at, (bound, count)) in bounds.iter().zip(&state.counts).enumerate() {
            cumulative += count;
            let mut line = std::mem::take(&mut self.line);
            line.clear();
            let separator = if labels.is_empty() { "" } else { "," };
            let _ = write!(line, "{labels}{separator}le=\"{bound}\"");
            self.sample(metric.name, "_bucket", &line);
            self.line = line;
            let _ = write!(self.text, "{cumulative}");
            if let Some((ticks, exemplar)) = state.exemplars.as_ref().and_then(|slots| slots[at]) {
                self.exemplar(metric, ticks, exemplar);
            }
            self.text.push('\n');
        }
        self.sample(metric.name, "_sum", labels);
        let _ = writeln!(self.text, "{}", Number(in_units(metric, state.sum)));
        self.sample(metric.name, "_count", labels);
        let _ = writeln!(self.text, "{cumulative}");
    }

    fn exemplar(&mut self, metric: &Metric, ticks: u64, exemplar: Exemplar) {
        if self.format != Format::OpenMetrics {
            return;
        }
        let value = Number(in_units(metric, u128::from(ticks)));
        let at = exemplar.at.unix_nanos();
        let (seconds, millis) = (at / 1_000_000_000, at / 1_000_000 % 1000);
        let _ = write!(self.text, " # {{trace_id=\"{}\"}} {value} {seconds}.{millis:03}", exemplar.trace_id);
    }
}

/// Ticks in the metric's unit: the one place where an integer duration becomes a float.
fn in_units(metric: &Metric, ticks: u128) -> f64 {
    ticks as f64 / metric.unit.scale() as f64
}
