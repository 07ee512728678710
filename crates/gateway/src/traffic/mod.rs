//! Traffic management: where requests go that leave the cluster, by rule or because the cluster could not serve them, and
//! which of them may wait. How a request makes its way there is `journey`'s.

mod backlog;
mod external;
mod routes;

pub use backlog::BacklogConfig;
pub(crate) use backlog::{Backlog, Waiting};
pub(crate) use external::External;
pub(crate) use routes::Choice;
pub use routes::{Routes, RoutesError};

/// How requests leave the cluster.
#[derive(Debug, Clone, Default)]
pub struct TrafficConfig {
    /// Where requests go; `None` is into the cluster.
    pub routes: Option<Routes>,
    /// What becomes of a fallback's 429; `None` is that the next fallback is tried.
    pub backlog: Option<BacklogConfig>,
}

/// The same, at work.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) routes: Option<Routes>,
    pub(crate) backlog: Option<Backlog>,
}

impl Traffic {
    pub(crate) fn new(config: &TrafficConfig) -> Self {
        Self { routes: config.routes.clone(), backlog: config.backlog.map(Backlog::new) }
    }
}
