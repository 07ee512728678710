//! Which series an aggregation takes together.

use std::collections::HashMap;

use promql_parser::parser::LabelModifier;

use super::columns::Column;
use crate::metrics::{Labels, METRIC_NAME};

/// The labels that a series' group has.
pub(super) fn group(labels: &Labels, modifier: Option<&LabelModifier>) -> Labels {
    match modifier {
        Some(LabelModifier::Include(by)) => labels.filtered(|name| by.labels.iter().any(|wanted| wanted == name)),
        Some(LabelModifier::Exclude(without)) => {
            labels.filtered(|name| name != METRIC_NAME && !without.labels.iter().any(|label| label == name))
        }
        None => Labels::empty(),
    }
}

/// The columns of each group, in the order in which the groups first appear.
pub(super) fn groups<'a>(columns: &'a [Column], modifier: Option<&LabelModifier>) -> Vec<(Labels, Vec<&'a Column>)> {
    let mut groups: Vec<(Labels, Vec<&Column>)> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for column in columns {
        let labels = group(&column.labels, modifier);
        let place = *places.entry(labels.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push((labels, Vec::new()));
        }
        groups[place].1.push(column);
    }
    groups
}
