//! Where a request goes: scheme, host, port, and how the connection is made.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use thiserror::Error;

use super::pool::Host;

/// How the upstream's certificate is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsPolicy {
    /// Against the system's roots and [`super::ClientConfig::extra_roots`].
    Verify,
    /// Not at all: encrypts against onlookers, not against impostors.
    SkipVerify,
}

/// An upstream. Cheap to clone; keep one per upstream rather than parsing it per request, since it also remembers its
/// connection pool.
#[derive(Clone)]
pub struct Target(Arc<Inner>);

struct Inner {
    key: Key,
    authority: Authority,
    host_header: HeaderValue,
    /// The pool that the first client to use this target keeps for it.
    pool: OnceLock<Arc<Host>>,
}

/// What makes two targets share connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<TlsPolicy>,
    pub(super) http2: bool,
    pub(super) address: Option<IpAddr>,
}

/// Why a text is not a target.
#[derive(Debug, Error)]
pub enum TargetError {
    /// Not an authority or a URL.
    #[error("not a host:port or URL: {0}")]
    Syntax(String),
    /// A scheme other than `http` and `https`.
    #[error("unsupported scheme {0:?}: http or https")]
    Scheme(String),
}

impl Target {
    /// Parses `host:port`, `host` (port 80), or an `http://` or `https://` URL, whose path is ignored.
    ///
    /// # Errors
    /// [`TargetError`] saying what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let syntax = || TargetError::Syntax(text.to_owned());
        let (tls, authority) = if text.contains("://") {
            let uri: Uri = text.parse().map_err(|_| syntax())?;
            (uri_tls(&uri)?, uri.into_parts().authority.ok_or_else(syntax)?)
        } else {
            (None, text.parse::<Authority>().map_err(|_| syntax())?)
        };
        Self::new(&authority, tls).ok_or_else(syntax)
    }

    /// The target at a socket address, without TLS.
    #[must_use]
    pub fn from_addr(addr: std::net::SocketAddr) -> Self {
        let text = addr.to_string();
        #[expect(clippy::expect_used, reason = "a socket address is a valid authority")]
        let target = Self::parse(&text).expect("socket address as authority");
        target
    }

    /// The same upstream over TLS, judged by `policy`.
    #[must_use]
    pub fn with_tls(&self, policy: TlsPolicy) -> Self {
        self.rebuilt(|key| key.tls = Some(policy))
    }

    /// The same upstream spoken to in HTTP/2 (by prior knowledge; over TLS also offered by ALPN).
    #[must_use]
    pub fn with_http2(&self) -> Self {
        self.rebuilt(|key| key.http2 = true)
    }

    /// The same upstream, reached at `address` whatever its name resolves to. The name still goes into `Host` and into the
    /// check of its certificate. For callers that judge a name by what it resolves to: a second answer of the resolver
    /// changes nothing then.
    #[must_use]
    pub fn with_address(&self, address: IpAddr) -> Self {
        self.rebuilt(|key| key.address = Some(address))
    }

    /// Another service of the same host: at `port`, at the same address, without TLS.
    #[must_use]
    pub fn sibling(&self, port: u16) -> Self {
        let host = self.0.authority.host();
        #[expect(clippy::expect_used, reason = "the host of an authority and a port are an authority")]
        let authority: Authority = format!("{host}:{port}").parse().expect("host and port as authority");
        let sibling = Self::new(&authority, None);
        let address = self.0.key.address;
        sibling.map_or_else(|| self.clone(), |sibling| sibling.rebuilt(|key| key.address = address))
    }

    fn new(authority: &Authority, tls: Option<TlsPolicy>) -> Option<Self> {
        let default_port = if tls.is_some() { 443 } else { 80 };
        // `user@` in an authority is never meant; `host()` would drop it silently.
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() == authority.host() => default_port,
            // A port that is not a number of 16 bits reads as none at all.
            None => return None,
        };
        let key = Key {
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            tls,
            http2: false,
            address: None,
        };
        let host_header = HeaderValue::from_str(authority.as_str()).ok()?;
        Some(Self(Arc::new(Inner { key, authority: authority.clone(), host_header, pool: OnceLock::new() })))
    }

    fn rebuilt(&self, change: impl FnOnce(&mut Key)) -> Self {
        let mut key = self.0.key.clone();
        change(&mut key);
        Self(Arc::new(Inner {
            key,
            authority: self.0.authority.clone(),
            host_header: self.0.host_header.clone(),
            pool: OnceLock::new(),
        }))
    }

    /// Host name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.key.host
    }

    /// Port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.key.port
    }

    /// The host as an address, where it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// `host:port` as it was given; also what `Host` says when a request has none.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority.as_str()
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.key.tls.is_some()
    }

    pub(super) fn key(&self) -> &Key {
        &self.0.key
    }

    pub(super) fn host_header(&self) -> &HeaderValue {
        &self.0.host_header
    }

    pub(super) fn pool(&self) -> &OnceLock<Arc<Host>> {
        &self.0.pool
    }

    /// The absolute URI that HTTP/2 needs.
    pub(super) fn absolute(&self, uri: Uri) -> Result<Uri, http::Error> {
        let mut parts = uri.into_parts();
        parts.scheme = Some(if self.is_tls() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.0.authority.clone());
        Uri::from_parts(parts).map_err(Into::into)
    }
}

/// What the scheme of a URL says about TLS.
fn uri_tls(uri: &Uri) -> Result<Option<TlsPolicy>, TargetError> {
    match uri.scheme_str() {
        Some("http") => Ok(None),
        Some("https") => Ok(Some(TlsPolicy::Verify)),
        other => Err(TargetError::Scheme(other.unwrap_or_default().to_owned())),
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Target {}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.0.authority)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}
