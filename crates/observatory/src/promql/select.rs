//! Samples for steps and for windows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{AtModifier, Expr, MatrixSelector, Offset, SubqueryExpr, VectorSelector};

use super::columns::{ABSENT, Column, Grid, is_present};
use super::error::QueryError;
use super::eval::{Evaluator, Result, bare};
use crate::metrics::store::{Sample, Selected, is_stale};
use crate::metrics::{Labels, METRIC_NAME};

/// How far back a sample counts as current.
const LOOK_BACK: Duration = Duration::from_secs(300);

/// The distance between the steps of a subquery that does not name it.
const SUBQUERY_STEP: i64 = 60_000;

/// Series with samples, and which window of them each step is about.
pub(super) struct Matrix {
    pub(super) series: Vec<Selected>,
    /// How long a window is, in milliseconds.
    pub(super) range: i64,
    /// The end of the window of each step.
    pub(super) ends: Vec<i64>,
}

impl Evaluator<'_> {
    /// The time that each step of a selector refers to.
    fn references(&self, at: Option<&AtModifier>, offset: Option<&Offset>, grid: Grid) -> Vec<i64> {
        let back = offset_millis(offset);
        let fixed = at.map(|at| match at {
            AtModifier::Start => self.query.start,
            AtModifier::End => self.query.end,
            AtModifier::At(time) => unix_millis(*time),
        });
        grid.times().map(|time| fixed.unwrap_or(time).saturating_sub(back)).collect()
    }

    /// An instant vector: per step the last sample that is not too old.
    pub(super) fn select(&self, selector: &VectorSelector, grid: Grid) -> Result<Vec<Column>> {
        self.select_with(selector, grid, |sample| sample.value)
    }

    /// An instant vector whose values are the samples' times.
    pub(super) fn select_times(&self, selector: &VectorSelector, grid: Grid) -> Result<Vec<Column>> {
        self.select_with(selector, grid, |sample| sample.at as f64 / 1000.0)
    }

    fn select_with(
        &self,
        selector: &VectorSelector,
        grid: Grid,
        value: impl Fn(&Sample) -> f64,
    ) -> Result<Vec<Column>> {
        let references = self.references(selector.at.as_ref(), selector.offset.as_ref(), grid);
        let look_back = millis(LOOK_BACK);
        let (first, last) = span(&references);
        let series = self.load(selector, first.saturating_sub(look_back), last)?;
        self.hold(series.len() * grid.count)?;
        let column = |series: Selected| {
            let mut next = 0;
            let values = references.iter().map(|&reference| {
                next = advance(&series.samples, next, reference);
                let current = next.checked_sub(1).map(|at| &series.samples[at]);
                let current = current.filter(|sample| sample.at >= reference - look_back && !is_stale(sample.value));
                current.map_or(ABSENT, &value)
            });
            Column { values: values.collect(), labels: series.labels }
        };
        Ok(series.into_iter().map(column).collect())
    }

    fn load(&self, selector: &VectorSelector, from: i64, to: i64) -> Result<Vec<Selected>> {
        let matchers = matchers(selector)?;
        let series = self.store.select(&matchers, from, to, self.left()).ok_or(QueryError::TooManySamples)?;
        self.hold(series.iter().map(|series| series.samples.len()).sum())?;
        Ok(series)
    }

    /// A range vector.
    pub(super) fn matrix(&self, expr: &Expr, grid: Grid) -> Result<Matrix> {
        match bare(expr) {
            Expr::MatrixSelector(selector) => self.windows(selector, grid),
            Expr::Subquery(subquery) => self.subquery(subquery, grid),
            _ => Err(QueryError::Parse("expected a range vector".to_owned())),
        }
    }

    fn windows(&self, selector: &MatrixSelector, grid: Grid) -> Result<Matrix> {
        let range = millis(selector.range);
        let ends = self.references(selector.vs.at.as_ref(), selector.vs.offset.as_ref(), grid);
        let (first, last) = span(&ends);
        let mut series = self.load(&selector.vs, first.saturating_sub(range), last)?;
        for series in &mut series {
            series.samples.retain(|sample| !is_stale(sample.value));
        }
        Ok(Matrix { series, range, ends })
    }

    fn subquery(&self, subquery: &SubqueryExpr, grid: Grid) -> Result<Matrix> {
        let range = millis(subquery.range);
        let step = subquery.step.map_or(SUBQUERY_STEP, millis).max(1);
        let ends = self.references(subquery.at.as_ref(), subquery.offset.as_ref(), grid);
        let (first, last) = span(&ends);
        let from = first.saturating_sub(range);
        // Steps of a subquery are multiples of its step, whatever the query's times are.
        let start = from.div_euclid(step) * step;
        let start = if start < from { start + step } else { start };
        let inner = Grid::new(start, last, step);
        if inner.count > self.left() {
            return Err(QueryError::TooManySamples);
        }
        let columns = self.vector(&subquery.expr, inner)?;
        let samples = |values: Vec<f64>| -> Vec<Sample> {
            let timed = inner.times().zip(values).map(|(at, value)| Sample { at, value });
            timed.filter(|sample| is_present(sample.value)).collect()
        };
        let series: Vec<Selected> = columns
            .into_iter()
            .map(|column| Selected { labels: column.labels, samples: samples(column.values) })
            .collect();
        self.hold(series.iter().map(|series| series.samples.len()).sum())?;
        Ok(Matrix { series, range, ends })
    }

    /// The samples of a range vector at the only step of a query.
    pub(super) fn raw(&self, expr: &Expr, grid: Grid) -> Result<Vec<(Labels, Vec<Sample>)>> {
        let matrix = self.matrix(expr, grid)?;
        let end = matrix.ends[0];
        let within = |sample: &Sample| (end.saturating_sub(matrix.range)..=end).contains(&sample.at);
        let mut raw: Vec<_> = matrix
            .series
            .into_iter()
            .map(|series| (series.labels, series.samples.into_iter().filter(within).collect::<Vec<_>>()))
            .filter(|(_, samples)| !samples.is_empty())
            .collect();
        raw.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(raw)
    }
}

impl Matrix {
    /// Calls `function` with the window of every step of a series that has a sample in it.
    pub(super) fn per_window(
        &self,
        samples: &[Sample],
        mut function: impl FnMut(usize, &[Sample]) -> Option<f64>,
    ) -> Vec<f64> {
        let (mut low, mut high) = (0, 0);
        let window = |(step, &end): (usize, &i64)| {
            high = advance(samples, high, end);
            low = advance(samples, low, end.saturating_sub(self.range).saturating_sub(1));
            let window = &samples[low.min(high)..high];
            if window.is_empty() { ABSENT } else { function(step, window).unwrap_or(ABSENT) }
        };
        self.ends.iter().enumerate().map(window).collect()
    }
}

/// The first sample after `time`, looked for from `from` on, where the steps before have come to.
fn advance(samples: &[Sample], from: usize, time: i64) -> usize {
    let ahead = samples[from..].iter().take(16).take_while(|sample| sample.at <= time).count();
    if ahead < 16 {
        return from + ahead;
    }
    let from = from + ahead;
    from + samples[from..].partition_point(|sample| sample.at <= time)
}

/// The selector's matchers, its name among them.
pub(crate) fn matchers(selector: &VectorSelector) -> Result<Vec<Matcher>> {
    if !selector.matchers.or_matchers.is_empty() {
        return Err(QueryError::Unsupported("`or` between matchers".to_owned()));
    }
    let mut matchers = selector.matchers.matchers.clone();
    if let Some(name) = &selector.name {
        matchers.push(Matcher::new(MatchOp::Equal, METRIC_NAME, name));
    }
    Ok(matchers)
}

fn offset_millis(offset: Option<&Offset>) -> i64 {
    match offset {
        None => 0,
        Some(Offset::Pos(back)) => millis(*back),
        Some(Offset::Neg(ahead)) => -millis(*ahead),
    }
}

fn unix_millis(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(before) => -millis(before.duration()),
    }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// First and last of times that only grow.
fn span(times: &[i64]) -> (i64, i64) {
    (times.first().copied().unwrap_or(0), times.last().copied().unwrap_or(0))
}
