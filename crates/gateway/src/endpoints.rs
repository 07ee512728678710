//! The engines the gateway knows, and what each is for.
//!
//! A [`Roster`] is a plain snapshot: discovery replaces it as a whole (`CurrentRoster`), and an attempt works on the one it
//! began with. It is the seam between *learning* of engines (so far: three lists on the command line) and *choosing* among
//! them (`routing`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
pub use cluster::api::InferType as Role;
use cluster::api::LlmInstance;
use http::HeaderValue;
use http::uri::Authority;
use proxy::Target;

/// The port of an endpoint that names none; Llumnix's choice.
const DEFAULT_PORT: u16 = 80;

/// Where KV transfers go at an instance of which no more is known than its port: so much above it. Llumnix's choice.
const AUX_PORTS: i64 = 20_000;

/// `host:port` of an engine or of the sidecar in front of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    target: Target,
}

/// Text that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no endpoint: {why}")]
pub struct EndpointError {
    text: String,
    why: &'static str,
}

impl Endpoint {
    /// `host:port`; an IPv6 host is in brackets.
    pub fn as_str(&self) -> &str {
        self.target.authority()
    }

    /// How a connection to it is made.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads `host:port`, `host`, `[v6]:port`, each with or without `http://` before it.
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = |why| EndpointError { text: text.to_owned(), why };
        if text.starts_with("https://") {
            return Err(error("TLS to engines is not supported yet"));
        }
        let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let authority: Authority = bare.parse().map_err(|_| error("it should be host:port"))?;
        if bare.contains('@') || authority.host().is_empty() {
            return Err(error("it should be host:port"));
        }
        // Not `Authority::port`, which cannot tell a port that is out of range from none.
        let port = match bare[authority.host().len()..].trim_start_matches(':') {
            "" => DEFAULT_PORT,
            port => port.parse().unwrap_or(0),
        };
        if port == 0 {
            return Err(error("the port should be from 1 to 65535"));
        }
        let target = Target::parse(&format!("{}:{port}", authority.host()));
        target.map(|target| Self { target }).map_err(|_| error("it should be host:port"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// One engine, as the gateway addresses it.
#[derive(Debug)]
pub struct Instance {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What it does. A prefill instance is reached by the decode instance's sidecar, a decode instance is behind one.
    pub role: Role,
    /// What discovery or the scheduler says of it: its id, and where KV transfers go.
    pub(crate) wire: LlmInstance,
    /// The endpoint as a header value: made once, cloned per request.
    pub(crate) header: HeaderValue,
}

impl Instance {
    /// An instance of which no more is known than where it is.
    fn bare(endpoint: Endpoint, role: Role) -> Arc<Self> {
        let (host, port) = (endpoint.target.host(), endpoint.target.port());
        let wire = LlmInstance {
            id: endpoint.to_string(),
            infer_type: role,
            endpoint: cluster::api::Endpoint { host: host.to_owned(), port },
            aux_ip: host.to_owned(),
            aux_port: AUX_PORTS + i64::from(port),
            dp_size: 1,
            ..LlmInstance::default()
        };
        Self::at(endpoint, wire)
    }

    /// An instance that somebody told of.
    ///
    /// # Errors
    /// Where its endpoint is none.
    pub(crate) fn told(wire: LlmInstance) -> Result<Arc<Self>, EndpointError> {
        let endpoint = wire.endpoint.to_string().parse()?;
        Ok(Self::at(endpoint, wire))
    }

    fn at(endpoint: Endpoint, wire: LlmInstance) -> Arc<Self> {
        // An authority is made of characters that may stand in a header, so the fallback is never taken.
        let header = HeaderValue::from_str(endpoint.as_str()).unwrap_or_else(|_| HeaderValue::from_static(""));
        Arc::new(Self { endpoint, role: wire.infer_type, wire, header })
    }

    /// The same place under the name that somebody else has for it.
    fn renamed(&self, wire: LlmInstance) -> Arc<Self> {
        Arc::new(Self { endpoint: self.endpoint.clone(), role: wire.infer_type, wire, header: self.header.clone() })
    }
}

/// The engines there are, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    prefill: Arc<[Arc<Instance>]>,
    serving: Arc<[Arc<Instance>]>,
}

impl Roster {
    /// Prefill instances, and decode instances behind sidecars.
    pub fn disaggregated(prefill: Vec<Endpoint>, decode: Vec<Endpoint>) -> Self {
        Self { prefill: instances(prefill, Role::Prefill), serving: instances(decode, Role::Decode) }
    }

    /// Instances that do both.
    pub fn neutral(neutral: Vec<Endpoint>) -> Self {
        Self { prefill: Arc::default(), serving: instances(neutral, Role::Neutral) }
    }

    /// The instances that discovery knows; those that were known before stay the same ones. Where there are prefill and
    /// decode instances, requests go to those; without the one kind or the other, to whoever can serve a whole request.
    pub(crate) fn discovered(known: &[LlmInstance], before: &Self) -> Self {
        let of = |role| -> Arc<[Arc<Instance>]> {
            let wanted = known.iter().filter(|instance| instance.infer_type == role);
            wanted.filter_map(|instance| before.keep(instance)).collect()
        };
        let (prefill, decode, neutral) = (of(Role::Prefill), of(Role::Decode), of(Role::Neutral));
        match (prefill.is_empty(), decode.is_empty(), neutral.is_empty()) {
            (false, false, _) => Self { prefill, serving: decode },
            (_, _, false) => Self { prefill: Arc::default(), serving: neutral },
            (_, _, true) => Self { prefill: Arc::default(), serving: decode },
        }
    }

    fn keep(&self, known: &LlmInstance) -> Option<Arc<Instance>> {
        let same = self.all().find(|instance| instance.wire == *known).map(Arc::clone);
        same.or_else(|| {
            let told = Instance::told(known.clone());
            told.inspect_err(|error| {
                tracing::warn!(instance = known.id, "discovery names an instance without an address: {error}");
            })
            .ok()
        })
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.prefill.iter().chain(self.serving.iter())
    }

    /// The instance that a scheduler names, by the scheduler's name for it.
    ///
    /// # Errors
    /// Where its endpoint is none.
    pub(crate) fn resolve(&self, named: LlmInstance) -> Result<Arc<Instance>, EndpointError> {
        let place = |instance: &&Arc<Instance>| instance.wire.endpoint == named.endpoint;
        match self.all().find(place) {
            Some(known) if known.wire == named => Ok(Arc::clone(known)),
            Some(known) => Ok(known.renamed(named)),
            None => Instance::told(named),
        }
    }

    /// The instances that compute prompts for others; empty without disaggregation.
    pub fn prefill(&self) -> &[Arc<Instance>] {
        &self.prefill
    }

    /// The instances that requests are sent to: decode ones, or neutral ones.
    pub fn serving(&self) -> &[Arc<Instance>] {
        &self.serving
    }
}

/// The roster of the moment: read without a lock, replaced as a whole.
pub(crate) type CurrentRoster = Arc<ArcSwap<Roster>>;

fn instances(endpoints: Vec<Endpoint>, role: Role) -> Arc<[Arc<Instance>]> {
    endpoints.into_iter().map(|endpoint| Instance::bare(endpoint, role)).collect()
}

#[cfg(test)]
mod tests;
