//! A bench's result, for a person and as JSON.

use std::fmt;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::{Bar, Judged, Machine, Metric, Rule, Sheet, Verdict};
use crate::process::ProcessError;

/// Everything that a bench found.
#[derive(Debug)]
pub(crate) struct Report {
    /// What was measured, in a few words.
    pub(crate) title: &'static str,
    pub(crate) machine: Machine,
    /// The subject that bars compare with.
    pub(crate) yardstick: &'static str,
    /// Rows of the table.
    pub(crate) subjects: Vec<&'static str>,
    /// Columns of the table; the sheet may hold more.
    pub(crate) columns: Vec<Metric>,
    pub(crate) sheet: Sheet,
    pub(crate) bars: Vec<Bar>,
    /// Sentences below the table.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// Whether every bar holds.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.judged().all(|(_, judged)| judged.holds) { Verdict::Held } else { Verdict::Missed }
    }

    /// Prints it, and writes it to a file as JSON where that is asked for; says whether every bar holds.
    pub(crate) fn deliver(&self, json: Option<&Path>) -> Result<Verdict, ProcessError> {
        self.print()?;
        write_json(json, &self.json())?;
        Ok(self.verdict())
    }

    /// The same for a bench of several parts; its JSON is a list.
    pub(crate) fn deliver_all(reports: &[Self], json: Option<&Path>) -> Result<Verdict, ProcessError> {
        write_json(json, &reports.iter().map(Self::json).collect())?;
        let held = reports.iter().all(|report| report.verdict() == Verdict::Held);
        Ok(if held { Verdict::Held } else { Verdict::Missed })
    }

    /// Prints it for a person.
    pub(crate) fn print(&self) -> Result<(), ProcessError> {
        let mut out = std::io::stdout().lock();
        let written = write!(out, "{self}").and_then(|()| out.flush());
        written.map_err(ProcessError::io("cannot print the report"))
    }

    fn judged(&self) -> impl Iterator<Item = (Bar, Judged)> {
        self.bars.iter().map(|&bar| (bar, self.sheet.judge(bar, self.yardstick)))
    }

    /// The report with every sample.
    pub(crate) fn json(&self) -> Value {
        let figures = self.subjects.iter().map(|&subject| {
            let metrics = self.columns.iter().map(|&metric| {
                let samples = self.sheet.samples(subject, metric);
                let median = self.sheet.median(subject, metric);
                (metric.name.to_owned(), json!({"unit": metric.unit, "median": median, "samples": samples}))
            });
            (subject.to_owned(), Value::Object(metrics.collect()))
        });
        let bars = self.judged().map(|(bar, Judged { value, range, pairs, holds })| {
            json!({
                "subject": bar.subject, "metric": bar.metric.name, "demand": self.demand(bar),
                "value": value, "range": range, "pairs": pairs, "holds": holds,
            })
        });
        json!({
            "title": self.title,
            "machine": self.machine,
            "yardstick": self.yardstick,
            "figures": Value::Object(figures.collect()),
            "bars": bars.collect::<Vec<_>>(),
            "notes": self.notes,
            "verdict": match self.verdict() { Verdict::Held => "held", Verdict::Missed => "missed" },
        })
    }

    /// What a bar demands, in words.
    fn demand(&self, bar: Bar) -> String {
        let (yardstick, Metric { unit, decimals, .. }) = (self.yardstick, bar.metric);
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        match bar.rule {
            Rule::RatioAtLeast(limit) => format!("at least {limit:.2} x {yardstick}"),
            Rule::RatioAtMost(limit) => format!("at most {limit:.2} x {yardstick}"),
            Rule::ExcessAtMost(limit) => {
                format!("at most {limit:.decimals$}{unit} over {yardstick}")
            }
            Rule::ExcessBeside(limit, aside) => {
                format!("at most {limit:.decimals$}{unit} over {yardstick} and {}", aside.what)
            }
            Rule::MedianAtLeast(limit) => format!("at least {limit:.decimals$}{unit}"),
            Rule::AtMost(limit) | Rule::MedianAtMost(limit) => {
                format!("at most {limit:.decimals$}{unit}")
            }
        }
    }

    fn figures_table(&self) -> Vec<Vec<String>> {
        let heading = |cell: fn(&Metric) -> &'static str| {
            std::iter::once(String::new()).chain(self.columns.iter().map(|metric| cell(metric).to_owned())).collect()
        };
        let mut rows: Vec<Vec<String>> = vec![heading(|metric| metric.name), heading(|metric| metric.unit)];
        rows.extend(self.subjects.iter().map(|&subject| {
            let cells = self.columns.iter().map(|&metric| {
                self.sheet
                    .median(subject, metric)
                    .map_or_else(|| "-".to_owned(), |value| grouped(value, metric.decimals))
            });
            std::iter::once(subject.to_owned()).chain(cells).collect()
        }));
        rows
    }

    fn bars_table(&self) -> Vec<Vec<String>> {
        let row = |(bar, judged): (Bar, Judged)| {
            let decimals = match bar.rule {
                Rule::RatioAtLeast(_) | Rule::RatioAtMost(_) => 2,
                _ => bar.metric.decimals,
            };
            let value = judged.value.map(|value| format!("{value:.decimals$}"));
            let range = judged.range.filter(|_| judged.pairs > 1);
            let range = range.map(|(least, most)| format!("{least:.decimals$} to {most:.decimals$}"));
            vec![
                bar.subject.to_owned(),
                bar.metric.name.to_owned(),
                self.demand(bar),
                value.unwrap_or_else(|| "not measured".to_owned()),
                if judged.holds { "holds" } else { "MISSED" }.to_owned(),
                range.unwrap_or_default(),
            ]
        };
        self.judged().map(row).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n", self.title, self.machine)?;
        aligned(f, &self.figures_table(), |column| column > 0)?;
        writeln!(f)?;
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        writeln!(f, "\nBars, medians of comparisons within one pass (and their range):")?;
        aligned(f, &self.bars_table(), |column| column == 3)?;
        match self.judged().filter(|(_, judged)| !judged.holds).count() {
            0 => writeln!(f, "\nevery bar holds"),
            missed => writeln!(f, "\n{missed} of {} bars missed", self.bars.len()),
        }
    }
}

fn write_json(file: Option<&Path>, value: &Value) -> Result<(), ProcessError> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, format!("{value:#}\n")).map_err(ProcessError::io(format!("cannot write {}", file.display())))
}

/// Writes rows with columns as wide as their widest cell; `right` says which are aligned to the right.
fn aligned(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>], right: fn(usize) -> bool) -> fmt::Result {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column).unwrap_or(0);
            if right(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// A number with its thousands set apart.
fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && !out.ends_with('-') {
            out.push(' ');
        }
        out.push(digit);
    }
    out + fraction
}
