//! `--prometheus-url` and `--tempo-url`: the page and the APIs of this port, over somebody else's stores.
//!
//! The page asks the server it came from and nobody else, so requests are handed on here rather than made by the browser.

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use proxy::Body;
use proxy::client::{Client, ClientConfig, Target};
use serde_json::json;

use crate::reply::json;

/// Servers of the same APIs; where there is none, the stores here answer.
pub(crate) struct Elsewhere {
    client: Client,
    prometheus: Option<Backend>,
    tempo: Option<Backend>,
}

/// A server, and the path below which its API begins.
#[derive(Clone)]
pub struct Backend {
    name: String,
    target: Target,
    prefix: String,
}

impl Backend {
    /// Reads a URL such as `http://prometheus:9090` or `https://monitoring/tempo`.
    ///
    /// # Errors
    /// With what is wrong with the text.
    pub fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| format!("{url:?} is not a URL"))?;
        if uri.scheme().is_none() || uri.query().is_some() {
            return Err(format!("{url:?} must be http:// or https://, a host, and at most a path"));
        }
        let target = Target::parse(url).map_err(|fault| fault.to_string())?;
        Ok(Self { name: url.to_owned(), target, prefix: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Elsewhere {
    pub(crate) fn new(prometheus: Option<Backend>, tempo: Option<Backend>) -> Self {
        Self { client: Client::new(ClientConfig::default()), prometheus, tempo }
    }

    /// Whether any of the stores is not here.
    pub(crate) const fn is_anywhere(&self) -> bool {
        self.prometheus.is_some() || self.tempo.is_some()
    }

    /// Whether samples are stored here.
    pub(crate) const fn has_samples_here(&self) -> bool {
        self.prometheus.is_none()
    }

    pub(crate) fn prometheus_name(&self) -> &str {
        self.prometheus.as_ref().map_or("this observatory", |backend| &backend.name)
    }

    pub(crate) fn tempo_name(&self) -> &str {
        self.tempo.as_ref().map_or("this observatory", |backend| &backend.name)
    }

    /// Who answers a path: Prometheus all below `/api/v1/`, Tempo the rest of `/api/`.
    pub(crate) fn backend(&self, path: &str) -> Option<&Backend> {
        match path.strip_prefix("/api/")? {
            rest if rest.starts_with("v1/") => self.prometheus.as_ref(),
            _ => self.tempo.as_ref(),
        }
    }

    /// Hands a request on, and the answer back as it comes.
    pub(crate) async fn ask(&self, backend: &Backend, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path: Result<PathAndQuery, _> = format!("{}{}{query}", backend.prefix, parts.uri.path()).parse();
        let Ok(path) = path else {
            return json(StatusCode::BAD_REQUEST, json!({"error": "the path cannot be handed on"}).to_string());
        };
        let mut onward = Request::new(Body::wrap(body));
        *onward.method_mut() = parts.method;
        *onward.uri_mut() = path.into();
        keep(&parts.headers, onward.headers_mut(), &[ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE]);
        match self.client.send(&backend.target, onward).await {
            Ok(answer) => {
                let (parts, body) = answer.into_parts();
                let mut response = Response::new(Body::wrap(body));
                *response.status_mut() = parts.status;
                keep(&parts.headers, response.headers_mut(), &[CONTENT_TYPE, CONTENT_ENCODING]);
                response
            }
            Err(fault) => {
                let error = format!("{} does not answer: {fault}", backend.name);
                json(
                    StatusCode::BAD_GATEWAY,
                    json!({"status": "error", "errorType": "unavailable", "error": error}).to_string(),
                )
            }
        }
    }
}

/// Copies the fields that are about the content.
fn keep(from: &HeaderMap, to: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        to.extend(from.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    }
}
