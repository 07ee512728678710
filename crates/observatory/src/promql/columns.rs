//! Series over the steps of a query.

use std::collections::HashMap;

use super::error::QueryError;
use crate::metrics::Labels;
use crate::metrics::store::{STALE, is_stale};

/// The value of a step at which a series has none. It is the staleness marker, which no result can hold.
pub(super) const ABSENT: f64 = STALE;

/// Whether a series has a value at a step.
#[must_use]
pub fn is_present(value: f64) -> bool {
    !is_stale(value)
}

/// The steps of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The first, in Unix milliseconds.
    pub start: i64,
    /// The distance between two, in milliseconds.
    pub step: i64,
    /// How many there are.
    pub count: usize,
    /// The end of the range asked for, which need not be a step.
    pub end: i64,
}

impl Grid {
    /// The time of a step.
    #[must_use]
    pub fn at(self, step: usize) -> i64 {
        self.start + self.step * i64::try_from(step).unwrap_or(i64::MAX)
    }

    /// The steps from `start` to `end`, both included; none where it ends before it starts.
    #[must_use]
    pub fn new(start: i64, end: i64, step: i64) -> Self {
        let count = if end < start { 0 } else { end.saturating_sub(start) / step.max(1) + 1 };
        Self { start, step: step.max(1), count: usize::try_from(count).unwrap_or(usize::MAX), end }
    }

    /// The times of all steps.
    pub fn times(self) -> impl ExactSizeIterator<Item = i64> {
        (0..self.count).map(move |step| self.at(step))
    }
}

/// One series over all steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Who it is.
    pub labels: Labels,
    /// A value per step; see [`is_present`].
    pub values: Vec<f64>,
}

/// Columns being made, each label set once.
pub(super) struct Columns {
    steps: usize,
    columns: Vec<Column>,
    by_labels: HashMap<Labels, usize>,
}

impl Columns {
    pub(super) fn new(steps: usize) -> Self {
        Self { steps, columns: Vec::new(), by_labels: HashMap::new() }
    }

    /// The place of the column with these labels, which is made where it is missing.
    pub(super) fn place(&mut self, labels: Labels) -> usize {
        let next = self.columns.len();
        let place = *self.by_labels.entry(labels.clone()).or_insert(next);
        if place == next {
            self.columns.push(Column { labels, values: vec![ABSENT; self.steps] });
        }
        place
    }

    /// The value at a place and step, to be set.
    pub(super) fn value(&mut self, place: usize, step: usize) -> &mut f64 {
        &mut self.columns[place].values[step]
    }

    /// Adds a whole column.
    pub(super) fn add(&mut self, column: Column) -> Result<(), QueryError> {
        let next = self.columns.len();
        let place = *self.by_labels.entry(column.labels.clone()).or_insert(next);
        if place == next {
            self.columns.push(column);
            return Ok(());
        }
        for (into, value) in self.columns[place].values.iter_mut().zip(column.values) {
            match (is_present(*into), is_present(value)) {
                (true, true) => return Err(same_labels()),
                (false, true) => *into = value,
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds a column whose labels must be new, whatever steps the other one has values at.
    pub(super) fn add_new(&mut self, column: Column) -> Result<(), QueryError> {
        if self.by_labels.contains_key(&column.labels) {
            return Err(same_labels());
        }
        self.add(column)
    }

    pub(super) fn finish(self) -> Vec<Column> {
        self.columns
    }
}

/// Two elements of a vector are the same series.
fn same_labels() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

/// Maps every value of every column, and drops the metric's name: what was computed is not that metric any more.
pub(super) fn map(columns: Vec<Column>, change: impl Fn(f64) -> f64) -> Result<Vec<Column>, QueryError> {
    let steps = columns.first().map_or(0, |column| column.values.len());
    let mut mapped = Columns::new(steps);
    for mut column in columns {
        for value in column.values.iter_mut().filter(|value| is_present(**value)) {
            *value = change(*value);
        }
        mapped.add(Column { labels: column.labels.without_name(), values: column.values })?;
    }
    Ok(mapped.finish())
}

/// Whether any column of these has a value, step by step.
pub(super) fn any_present<'a>(columns: impl Iterator<Item = &'a Column>, steps: usize) -> Vec<bool> {
    let mut any = vec![false; steps];
    for column in columns {
        for (any, value) in any.iter_mut().zip(&column.values) {
            *any |= is_present(*value);
        }
    }
    any
}
