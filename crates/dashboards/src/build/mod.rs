//! Plain builders for Grafana's dashboard JSON. What a board's author does not say has one good default here.

mod board;
mod options;
mod panel;
mod target;
mod variable;

pub(crate) use board::Board;
pub(crate) use panel::Panel;
pub(crate) use target::{Look, Target};
pub(crate) use variable::Variable;

/// The grid's width.
const COLUMNS: u8 = 24;
