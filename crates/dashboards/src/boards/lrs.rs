//! `llumnix-lrs-dashboard.json`: what the lite scheduler counts on each instance.

use super::ROLES;
use crate::build::{Board, Panel, Target, Variable};
use crate::unit::Unit;

pub(super) fn board() -> Board {
    let mut board = Board::new(
        "llumnix-lrs-dashboard.json",
        "LRS",
        "lrs",
        "Local real-time state: the requests and tokens that the lite scheduler has placed on each instance.",
    )
    .variables(&[
        Variable::namespace("instance_lrs_total_requests"),
        Variable::model("model", "instance_lrs_total_requests"),
    ]);
    for (role, title) in ROLES {
        let panels = vec![requests(role, title), tokens(role, title)];
        board = if role == "neutral" { board.closed_row(title, panels) } else { board.row(title, panels) };
    }
    board
}

fn lines(title: String, role: &str, unit: Unit, what: &str) -> Panel {
    let filter = format!(r#"namespace=~"$namespace",model=~"$model",infer_type="{role}""#);
    ["running", "waiting", "total"].into_iter().fold(Panel::lines(title, unit).size(12, 10), |panel, state| {
        panel.with(Target::range(
            format!("instance_lrs_{state}_{what}{{{filter}}}"),
            format!("{{{{instance_id}}}} {state}"),
        ))
    })
}

fn requests(role: &str, title: &str) -> Panel {
    lines(format!("{title}: LRS Requests"), role, Unit::Requests, "requests").about(
        "Requests placed on each instance: running, waiting for their first token, and both.",
        "Even over instances; running + waiting = total.",
        "One instance above the others: it is slower, or placements do not see its load. Total that never falls: requests are not released.",
    )
}

fn tokens(role: &str, title: &str) -> Panel {
    lines(format!("{title}: LRS Tokens"), role, Unit::Tokens, "tokens").about(
        "Tokens of the requests placed on each instance.",
        "Even over instances, where prompts are alike.",
        "Requests even but tokens not: some instance has the long prompts; schedule by tokens.",
    )
}
