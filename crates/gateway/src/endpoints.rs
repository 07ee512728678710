//! The engines the gateway knows, and what each is for.
//!
//! A [`Roster`] is a plain snapshot: discovery replaces it as a whole ([`CurrentRoster`]), and an attempt works on the one it
//! began with. It is the seam between *learning* of engines (so far: three lists on the command line) and *choosing* among
//! them (`routing`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderValue;
use http::uri::Authority;
use proxy::Target;

/// The port of an endpoint that names none; Llumnix's choice.
const DEFAULT_PORT: u16 = 80;

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

/// What an instance does for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Computes prompts; reached by the decode instance's sidecar, never by the gateway.
    Prefill,
    /// Generates, behind a sidecar that fetches the prompt's KV cache from a prefill instance.
    Decode,
    /// Does both.
    Neutral,
}

/// One engine, as the gateway addresses it.
#[derive(Debug)]
pub struct Instance {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What it does.
    pub role: Role,
    /// The endpoint as a header value: made once, cloned per request.
    pub(crate) header: HeaderValue,
}

impl Instance {
    fn new(endpoint: Endpoint, role: Role) -> Arc<Self> {
        // An authority is made of characters that may stand in a header, so the fallback is never taken.
        let header = HeaderValue::from_str(endpoint.as_str()).unwrap_or_else(|_| HeaderValue::from_static(""));
        Arc::new(Self { endpoint, role, header })
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
    endpoints.into_iter().map(|endpoint| Instance::new(endpoint, role)).collect()
}

#[cfg(test)]
mod tests;
