//! Numbers over time: what a metrics query counts.
//!
//! A sample at `t` counts the spans that began after `t - step` and not after `t`; the first and the last `t` are the bounds
//! of the window, moved outwards to whole steps. An instant query is one such interval.

mod accumulate;
mod compare;
mod second;
mod series;
mod spans;

pub use series::{Answer, Exemplar, MAX_SAMPLES, Series, Window};

use super::ast::{Function, Query};
use super::bind::Bound;
use super::narrow::shown;
use super::value::Literal;
use crate::traces::Stored;
use accumulate::Accumulator;
use spans::each_span;

/// Runs a metrics query, with up to `exemplars` exemplars. `None` where the query is a search.
#[must_use]
pub fn run(stored: &Stored, query: &Query, window: &Window, exemplars: usize) -> Option<Answer> {
    let metrics = query.metrics.as_ref()?;
    let wanted = query.hints.iter().all(|(name, value)| name != "exemplars" || *value != Literal::Bool(false));
    let exemplars = if window.instant || !wanted { 0 } else { exemplars };
    let bound = Bound::new(stored, query);
    if let Function::Compare { selection, top, window: chosen } = &metrics.function {
        return Some(compare::run(&bound, query, window, selection, *top, *chosen));
    }
    let fields = shown(query);
    let mut counting = Accumulator::new(metrics, *window, exemplars, &fields);
    each_span(&bound, query, window, |context| counting.add(context));
    let mut answer = counting.finish();
    for stage in &metrics.then {
        answer.series = second::apply(stage, answer.series, window.samples);
    }
    Some(answer)
}
