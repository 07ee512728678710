//! Functions of labels.

use std::sync::Arc;

use promql_parser::parser::{Call, Expr};
use regex::Regex;

use super::columns::{Column, Columns, Grid};
use super::error::QueryError;
use super::eval::{Evaluator, Result, argument, text};
use super::select::matchers;
use crate::metrics::{Labels, METRIC_NAME};

/// Whether a text can be a label's name.
pub(super) fn is_label_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && text.chars().all(legal) && !text.starts_with(|c: char| c.is_ascii_digit())
}

impl Evaluator<'_> {
    pub(super) fn label_replace(&self, call: &Call, grid: Grid) -> Result<Vec<Column>> {
        let columns = self.vector(argument(call, 0)?, grid)?;
        let [target, replacement, source, pattern] = [1, 2, 3, 4].map(|at| argument(call, at).and_then(text));
        let (target, replacement, source, pattern) = (target?, replacement?, source?, pattern?);
        let regex = Regex::new(&format!("^(?s:{pattern})$"))
            .map_err(|_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
        if !is_label_name(target) {
            return Err(QueryError::Execution(format!("invalid destination label name in label_replace(): {target}")));
        }
        relabel(columns, grid, |labels| {
            let captures = regex.captures(labels.get(source))?;
            let mut value = String::new();
            captures.expand(replacement, &mut value);
            Some((target, value))
        })
    }

    pub(super) fn label_join(&self, call: &Call, grid: Grid) -> Result<Vec<Column>> {
        let columns = self.vector(argument(call, 0)?, grid)?;
        let (target, separator) = (text(argument(call, 1)?)?, text(argument(call, 2)?)?);
        let sources = call.args.args.iter().skip(3).map(|arg| text(arg)).collect::<Result<Vec<_>>>()?;
        for (what, name) in sources.iter().map(|name| ("source", *name)).chain([("destination", target)]) {
            if !is_label_name(name) {
                return Err(QueryError::Execution(format!("invalid {what} label name in label_join(): {name}")));
            }
        }
        relabel(columns, grid, |labels| {
            let values: Vec<&str> = sources.iter().map(|name| labels.get(name)).collect();
            Some((target, values.join(separator)))
        })
    }
}

/// Sets a label of every column, where `change` says one.
fn relabel<'t>(
    columns: Vec<Column>,
    grid: Grid,
    change: impl Fn(&Labels) -> Option<(&'t str, String)>,
) -> Result<Vec<Column>> {
    let mut changed = Columns::new(grid.count);
    for column in columns {
        let labels = match change(&column.labels) {
            Some((name, value)) => {
                let mut builder = column.labels.edit();
                builder.set(Arc::from(name), Arc::from(value));
                builder.finish()
            }
            None => column.labels,
        };
        changed.add(Column { labels, values: column.values })?;
    }
    Ok(changed.finish())
}

/// The labels that a selector's matchers demand: what `absent` answers with.
fn demanded(matchers: &[promql_parser::label::Matcher]) -> Labels {
    let mut builder = Labels::empty().edit();
    let mut known: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name != METRIC_NAME) {
        let equal = matches!(matcher.op, promql_parser::label::MatchOp::Equal);
        if equal && !known.contains(&matcher.name.as_str()) {
            builder.set(Arc::from(matcher.name.as_str()), Arc::from(matcher.value.as_str()));
            known.push(&matcher.name);
        } else {
            builder.remove(&matcher.name);
        }
    }
    builder.finish()
}

/// The labels of what is absent, as far as the expression says them.
pub(super) fn labels_of_absent(expr: &Expr) -> Result<Labels> {
    Ok(match expr {
        Expr::VectorSelector(selector) => demanded(&matchers(selector)?),
        Expr::MatrixSelector(selector) => demanded(&matchers(&selector.vs)?),
        _ => Labels::empty(),
    })
}
