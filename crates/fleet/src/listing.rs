//! Where everything listens.

use std::io::{self, Write as _};

use audit::table::Table;

use crate::fleet::Fleet;
use crate::group::{Group, Role};

/// Prints where every component listens, and where the spans go.
pub(crate) fn print(fleet: &Fleet) -> io::Result<()> {
    let mut table = Table::new(["group", "component", "listens on", "metrics"]).left(4);
    for group in fleet.groups() {
        for row in rows(group) {
            table.row(row);
        }
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", table.render())?;
    writeln!(out, "  spans and the client's records: {}\n", fleet.scratch().display())
}

fn rows(group: &Group) -> Vec<[String; 4]> {
    let name = group.config.name;
    let row = |component: String, addr: String, metrics: String| [name.to_owned(), component, addr, metrics];
    let page = |addr: std::net::SocketAddr| format!("http://{addr}/metrics");
    let mut rows = vec![row("gateway".to_owned(), group.gateway().to_string(), page(group.gateway()))];
    rows.extend(group.scheduler().map(|addr| row("scheduler".to_owned(), addr.to_string(), page(addr))));
    for (index, (addr, metrics)) in group.sidecars().enumerate() {
        rows.push(row(format!("sidecar {index}"), addr.to_string(), metrics.map_or_else(String::new, page)));
    }
    for role in [Role::Prefill, Role::Decode, Role::Neutral] {
        for (index, (_, addr)) in group.engines().filter(|(of, _)| *of == role).enumerate() {
            rows.push(row(format!("{} engine {index}", role.as_str()), addr.to_string(), page(addr)));
        }
    }
    rows
}
