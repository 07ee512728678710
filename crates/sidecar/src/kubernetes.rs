//! The pods of an InferencePool, asked of the Kubernetes API.
//!
//! A whole client library for two GET requests would be most of this binary. The pods are polled, not watched: every two
//! seconds the pool's selector and the pods it selects are read from the API server's cache (`resourceVersion=0`), which
//! costs it no more than a watch that is re-established, and there is no window in which a resync leaves half a list.
//! Whatever goes wrong, the last list stays in force: an API server that is away must not stop traffic.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use http::{Request, StatusCode};
use proxy::body::{CollectError, collect};
use proxy::client::{TargetError, TlsPolicy};
use proxy::{Body, Client, ClientConfig, ClientError, Target};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

use crate::allow::Pods;

/// How often the pods are read.
pub(crate) const PERIOD: Duration = Duration::from_secs(2);
/// A list of ten thousand pods is some 100 MB of JSON; nobody's pool is that large.
const LARGEST_ANSWER: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The API group of an InferencePool, which decides how its selector is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolGroup {
    /// `inference.networking.k8s.io/v1`: `spec.selector.matchLabels`.
    Stable,
    /// `inference.networking.x-k8s.io/v1alpha2`: `spec.selector` is the labels.
    Alpha,
}

impl PoolGroup {
    fn path(self) -> &'static str {
        match self {
            Self::Stable => "inference.networking.k8s.io/v1",
            Self::Alpha => "inference.networking.x-k8s.io/v1alpha2",
        }
    }
}

impl FromStr for PoolGroup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "inference.networking.k8s.io" => Ok(Self::Stable),
            "inference.networking.x-k8s.io" => Ok(Self::Alpha),
            _ => Err("expected inference.networking.k8s.io or inference.networking.x-k8s.io".to_owned()),
        }
    }
}

/// An InferencePool by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRef {
    namespace: String,
    name: String,
    group: PoolGroup,
}

impl PoolRef {
    /// Reads `namespace/name`, or `name` in the namespace `default`.
    ///
    /// # Errors
    /// A sentence when a part is empty, there are too many, or one is no Kubernetes name.
    pub fn parse(text: &str, group: PoolGroup) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let (namespace, name) = match parts[..] {
            [name] => ("default", name),
            [namespace, name] => (namespace, name),
            _ => return Err(format!("`{text}` is neither namespace/name nor name")),
        };
        if [namespace, name].into_iter().all(is_name) {
            Ok(Self { namespace: namespace.to_owned(), name: name.to_owned(), group })
        } else {
            Err(format!("`{text}` is neither namespace/name nor name"))
        }
    }
}

/// RFC 1123 subdomain, as Kubernetes names things; also what makes the name safe in a path.
fn is_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}

/// How to reach the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `https://host:port`, or `http://…` for a `kubectl proxy`.
    pub url: String,
    /// File with the bearer token, read for every request since Kubernetes rotates it.
    pub token: Option<PathBuf>,
    /// File with the certificate authority of the server.
    pub authority: Option<PathBuf>,
}

impl Access {
    /// The access that every pod has, from the variables and files that Kubernetes provides; `None` outside a cluster.
    #[must_use]
    pub fn in_cluster(environment: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let host = environment("KUBERNETES_SERVICE_HOST")?;
        let port = environment("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let file = |name: &str| Some(PathBuf::from(SERVICE_ACCOUNT).join(name));
        Some(Self { url: format!("https://{host}:{port}"), token: file("token"), authority: file("ca.crt") })
    }

    /// Access by URL alone.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), token: None, authority: None }
    }
}

/// Why the pods could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PodsError {
    #[error("the API server's address: {0}")]
    Target(#[from] TargetError),
    #[error("{0}")]
    File(String),
    #[error("the API server cannot be reached: {0}")]
    Send(#[from] ClientError),
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    Slow,
    #[error("GET {path} answered {status}")]
    Status { path: String, status: StatusCode },
    #[error("the answer to GET {path}: {source}")]
    Json { path: String, source: serde_json::Error },
    #[error("the answer: {0}")]
    Body(#[from] CollectError),
    #[error("the request: {0}")]
    Request(#[from] http::Error),
}

/// Reads the pods of one pool.
#[derive(Debug)]
pub(crate) struct PodReader {
    client: Client,
    target: Target,
    token: Option<PathBuf>,
    pool: PoolRef,
}

impl PodReader {
    pub(crate) fn new(access: &Access, pool: PoolRef) -> Result<Self, PodsError> {
        let extra_roots = match &access.authority {
            Some(path) => certificates(path)?,
            None => Vec::new(),
        };
        let client = Client::new(ClientConfig { extra_roots, ..ClientConfig::default() });
        let target = Target::parse(&access.url)?;
        let target = if target.is_tls() { target.with_tls(TlsPolicy::Verify) } else { target };
        Ok(Self { client, target, token: access.token.clone(), pool })
    }

    /// The pods that the pool selects now.
    pub(crate) async fn read(&self) -> Result<Pods, PodsError> {
        tokio::time::timeout(PATIENCE, self.read_all()).await.map_err(|_| PodsError::Slow)?
    }

    async fn read_all(&self) -> Result<Pods, PodsError> {
        let PoolRef { namespace, name, group } = &self.pool;
        let path = format!("/apis/{}/namespaces/{namespace}/inferencepools/{name}?resourceVersion=0", group.path());
        let pool: Pool = self.get(path).await?;
        let labels = pool.spec.selector.labels();
        if labels.is_empty() {
            // An empty selector selects every pod of the namespace, which is nobody's intention here.
            return Ok(Pods::default());
        }
        let selector = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let selector: String = byte_serialize(selector.as_bytes()).collect();
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}&resourceVersion=0");
        let list: PodList = self.get(path).await?;
        Ok(list.pods())
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, path: String) -> Result<T, PodsError> {
        let mut request = Request::get(&path).body(Body::Empty)?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = self.token().await? {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        let response = self.client.send(&self.target, request).await?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(PodsError::Status { path, status });
        }
        let answer: Bytes = collect(response.into_body(), LARGEST_ANSWER).await?;
        serde_json::from_slice(&answer).map_err(|source| PodsError::Json { path, source })
    }

    async fn token(&self) -> Result<Option<HeaderValue>, PodsError> {
        let Some(path) = &self.token else { return Ok(None) };
        let fault = |what: String| PodsError::File(format!("{}: {what}", path.display()));
        let token = tokio::fs::read_to_string(path).await.map_err(|error| fault(error.to_string()))?;
        let mut value =
            HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|error| fault(error.to_string()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PodsError> {
    let fault = |error| PodsError::File(format!("{}: {error}", path.display()));
    CertificateDer::pem_file_iter(path).map_err(fault)?.collect::<Result<_, _>>().map_err(fault)
}

#[derive(Deserialize)]
struct Pool {
    spec: PoolSpec,
}

#[derive(Deserialize)]
struct PoolSpec {
    selector: Selector,
}

/// The selector in either shape; the stable one is tried first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Selector {
    Stable {
        #[serde(rename = "matchLabels")]
        match_labels: BTreeMap<String, String>,
    },
    Alpha(BTreeMap<String, String>),
}

impl Selector {
    fn labels(self) -> BTreeMap<String, String> {
        match self {
            Self::Stable { match_labels: labels } | Self::Alpha(labels) => labels,
        }
    }
}

#[derive(Deserialize)]
struct PodList {
    #[serde(default)]
    items: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: Option<IpAddr>,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
}

#[derive(Deserialize)]
struct PodIp {
    ip: IpAddr,
}

impl PodList {
    /// Names and addresses of the pods that have not ended: an address of one that has may be somebody else's by now.
    fn pods(self) -> Pods {
        let mut pods = Pods::default();
        for pod in self.items.into_iter().filter(|pod| !matches!(&*pod.status.phase, "Succeeded" | "Failed")) {
            pods.names.insert(pod.metadata.name);
            let several = pod.status.pod_ips.iter().map(|entry| entry.ip);
            pods.addresses.extend(several.chain(pod.status.pod_ip).map(|address| address.to_canonical()));
        }
        pods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_named_with_or_without_a_namespace() {
        let pool = |text| PoolRef::parse(text, PoolGroup::Stable).map(|pool| (pool.namespace, pool.name));
        assert_eq!(pool("a/b"), Ok(("a".to_owned(), "b".to_owned())));
        assert_eq!(pool("b"), Ok(("default".to_owned(), "b".to_owned())));
        for bad in ["", "/", "a/", "/b", "a/b/c", "a/../b", "A/b"] {
            assert!(pool(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn both_selector_shapes_are_read() {
        for text in [r#"{"spec":{"selector":{"matchLabels":{"a":"b"}}}}"#, r#"{"spec":{"selector":{"a":"b"}}}"#] {
            let pool: Pool = serde_json::from_str(text).unwrap();
            assert_eq!(pool.spec.selector.labels(), BTreeMap::from([("a".to_owned(), "b".to_owned())]));
        }
    }

    #[test]
    fn pods_that_have_ended_or_have_no_address_do_not_count() {
        let list: PodList = serde_json::from_str(
            r#"{"items":[
              {"metadata":{"name":"one"},"status":{"phase":"Running","podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]}},
              {"metadata":{"name":"two"},"status":{"phase":"Pending"}},
              {"metadata":{"name":"old"},"status":{"phase":"Failed","podIP":"10.0.0.9"}}]}"#,
        )
        .unwrap();
        let pods = list.pods();
        assert_eq!(pods.addresses, ["10.0.0.1", "fd00::1"].map(|ip| ip.parse().unwrap()).into());
        assert_eq!(pods.names, ["one", "two"].map(str::to_owned).into());
    }

    #[test]
    fn a_pod_knows_its_api_server() {
        let inside = |name: &str| match name {
            "KUBERNETES_SERVICE_HOST" => Some("fd00::1".to_owned()),
            _ => None,
        };
        assert_eq!(Access::in_cluster(&inside).unwrap().url, "https://[fd00::1]:443");
        assert_eq!(Access::in_cluster(&|_| None), None);
    }
}
