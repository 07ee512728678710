//! Which requests go where: to the cluster, or to an endpoint outside it.
//!
//! Two policies, with Llumnix's rules. By *weight*, chance decides, whatever the request says. By *prefix*, its model does:
//! a route that names the model exactly wins, else the longest of the matching prefixes (`qwen-*`), else none. A request
//! without a model stays in the cluster.
//!
//! A route that is marked as a *fallback* is also tried, in the order of the configuration, when a request has failed
//! elsewhere or no route matches it.

use std::fmt;
use std::sync::Arc;

use rand::RngExt as _;
use serde::Deserialize;

use super::external::External;

/// What `base_url` says of a route into the cluster.
const LOCAL: &str = "local";

/// How a route is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// By chance.
    Weight,
    /// By the model.
    Prefix,
}

/// The routes of a gateway.
#[derive(Clone)]
pub struct Routes {
    policy: Policy,
    routes: Arc<[Route]>,
    total: u64,
}

/// One route.
struct Route {
    /// `None` is the cluster.
    external: Option<Arc<External>>,
    weight: u32,
    pattern: Pattern,
    fallback: bool,
}

/// Which models a route is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// This one.
    Exact(Box<str>),
    /// Those that begin so.
    Prefix(Box<str>),
}

/// Where a request goes first.
#[derive(Debug, Clone)]
pub(crate) enum Choice<'a> {
    /// Into the cluster.
    Local,
    /// To this endpoint.
    External(&'a Arc<External>),
    /// No route is for it.
    Unmatched,
}

/// Why a text gives no routes. Several lines where several routes are wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoutesError {
    /// `--route-policy` is none.
    #[error("`{0}` is not known; supported: weight, prefix")]
    Policy(String),
    /// It is not JSON of the right shape.
    #[error("is not a JSON list of routes: {0}")]
    Shape(String),
    /// There is none.
    #[error("names no route")]
    Empty,
    /// By weight, and nothing has any.
    #[error("no route has a weight, and none is a fallback")]
    NoWeight,
    /// A route is wrong; counted from 1.
    #[error("route {0}: {1}")]
    Route(usize, String),
}

/// A route as it is written, in upstream's words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    base_url: String,
    #[serde(default)]
    api_key: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    fallback: bool,
    #[serde(default)]
    weight: u32,
    #[serde(default)]
    prefix: String,
}

impl RoutesError {
    /// Whether it is the policy that is wrong, not the routes.
    pub(crate) fn is_policy(&self) -> bool {
        matches!(self, Self::Policy(_))
    }
}

impl Routes {
    /// Reads `--route-policy` and `--route-config`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn parse(policy: &str, config: &str) -> Result<Self, Vec<RoutesError>> {
        let policy = match policy {
            "weight" => Ok(Policy::Weight),
            "prefix" => Ok(Policy::Prefix),
            other => Err(RoutesError::Policy(other.to_owned())),
        };
        let written =
            serde_json::from_str::<Vec<Written>>(config).map_err(|error| RoutesError::Shape(error.to_string()));
        let (policy, written) = match (policy, written) {
            (Ok(policy), Ok(written)) => (policy, written),
            (policy, written) => return Err(policy.err().into_iter().chain(written.err()).collect()),
        };
        let mut faults = Vec::new();
        let mut routes = Vec::with_capacity(written.len());
        for (at, written) in written.into_iter().enumerate() {
            match Route::read(written, policy) {
                Ok(route) => routes.push(route),
                Err(problem) => faults.push(RoutesError::Route(at + 1, problem)),
            }
        }
        let total = routes.iter().map(|route| u64::from(route.weight)).sum();
        let falls_back = routes.iter().any(Route::is_fallback);
        match () {
            () if !faults.is_empty() => Err(faults),
            () if routes.is_empty() => Err(vec![RoutesError::Empty]),
            () if policy == Policy::Weight && total == 0 && !falls_back => Err(vec![RoutesError::NoWeight]),
            () => Ok(Self { policy, routes: routes.into(), total }),
        }
    }

    /// Where a request for `model` goes first.
    pub(crate) fn choose(&self, model: &str) -> Choice<'_> {
        let route = match self.policy {
            Policy::Weight if self.total == 0 => None,
            Policy::Weight => self.by_weight(rand::rng().random_range(0..self.total)),
            Policy::Prefix if model.is_empty() => return Choice::Local,
            Policy::Prefix => self.by_model(model),
        };
        match route {
            None => Choice::Unmatched,
            Some(Route { external: None, .. }) => Choice::Local,
            Some(Route { external: Some(external), .. }) => Choice::External(external),
        }
    }

    /// The endpoints to fall back on, in order, without the one that was tried first.
    pub(crate) fn fallbacks<'a>(&'a self, tried: Option<&'a Arc<External>>) -> impl Iterator<Item = &'a Arc<External>> {
        let chain = self.routes.iter().filter(|route| route.is_fallback());
        let externals = chain.filter_map(|route| route.external.as_ref());
        externals.filter(move |external| tried.is_none_or(|tried| !tried.is_same_place(external)))
    }

    /// The route that lot number `lot` (below the sum of all weights) falls on.
    fn by_weight(&self, lot: u64) -> Option<&Route> {
        let mut below = 0;
        self.routes.iter().find(|route| {
            below += u64::from(route.weight);
            lot < below
        })
    }

    /// The route that is for `model`.
    fn by_model(&self, model: &str) -> Option<&Route> {
        // The first of the best: `max_by_key` would take the last of equals.
        self.routes
            .iter()
            .rev()
            .filter_map(|route| Some((route.pattern.fit(model)?, route)))
            .max_by_key(|(fit, _)| *fit)
            .map(|(_, route)| route)
    }
}

impl Route {
    fn read(written: Written, policy: Policy) -> Result<Self, String> {
        let Written { base_url, api_key, model, fallback, weight, prefix } = written;
        if policy == Policy::Prefix && prefix.is_empty() && !fallback {
            return Err("has no prefix, so no model would match it".to_owned());
        }
        let external = match base_url.as_str() {
            "" => return Err(format!("has no base_url: a URL, or `{LOCAL}`")),
            LOCAL if !api_key.is_empty() || !model.is_empty() => {
                return Err(format!("is `{LOCAL}`, where api_key and model mean nothing"));
            }
            LOCAL => None,
            url => Some(Arc::new(External::parse(url, &api_key, &model)?)),
        };
        let pattern = match prefix.strip_suffix('*') {
            Some(prefix) => Pattern::Prefix(prefix.into()),
            None => Pattern::Exact(prefix.into()),
        };
        Ok(Self { external, weight, pattern, fallback })
    }

    /// Only what lies outside can be fallen back on: the cluster is where requests come from that failed.
    fn is_fallback(&self) -> bool {
        self.fallback && self.external.is_some()
    }
}

impl Pattern {
    /// How well `model` fits; higher is better, `None` is not at all.
    fn fit(&self, model: &str) -> Option<usize> {
        match self {
            Self::Exact(name) => (**name == *model).then_some(usize::MAX),
            Self::Prefix(prefix) => model.starts_with(&**prefix).then_some(prefix.len()),
        }
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("policy", &self.policy)
            .field("routes", &self.routes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
