//! etcd, through the JSON form of its API (`/v3/…`), which every etcd serves beside gRPC on the same port.

use std::fmt;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use proxy::client::{Client, ClientConfig, TargetError, UpstreamBody};
use proxy::{Body, Target};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::redis::StoreError;

/// Longest answer that is read: hundreds of thousands of records.
const MAX_ANSWER: usize = 64 << 20;

/// The members of an etcd cluster, in the order in which they are tried.
#[derive(Clone, Debug)]
pub struct EtcdEndpoints {
    text: String,
    targets: Vec<Target>,
}

impl EtcdEndpoints {
    /// Reads `host:port` or URLs, separated by commas.
    ///
    /// # Errors
    /// When one of them is neither, or there is none.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let targets: Vec<_> = parts.map(Target::parse).collect::<Result<_, _>>()?;
        if targets.is_empty() {
            return Err(TargetError::Syntax(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), targets })
    }
}

/// Who we are to etcd.
#[derive(Clone, Default)]
pub struct Credentials {
    /// User name; none without authentication.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, ***)", self.username)
    }
}

/// A client. Every call ends within the time-out, or as long as it takes to be refused by each member.
#[derive(Debug)]
pub(crate) struct Etcd {
    endpoints: EtcdEndpoints,
    credentials: Credentials,
    timeout: Duration,
    client: Client,
    /// The member that answered last.
    current: usize,
    token: Option<HeaderValue>,
}

/// A key and what lies under it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
}

/// All keys with a prefix, at one revision.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) revision: i64,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct RangeAnswer {
    header: Header,
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(deserialize_with = "number")]
    revision: i64,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct Lease {
    #[serde(rename = "ID", deserialize_with = "number")]
    id: i64,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

impl Etcd {
    pub(crate) fn new(endpoints: EtcdEndpoints, credentials: Credentials, timeout: Duration) -> Self {
        let client = Client::new(ClientConfig {
            connect_timeout: timeout,
            response_timeout: Some(timeout),
            ..ClientConfig::default()
        });
        Self { endpoints, credentials, timeout, client, current: 0, token: None }
    }

    /// Every key with `prefix`.
    pub(crate) async fn range(&mut self, prefix: &str) -> Result<Range, StoreError> {
        let answer: RangeAnswer = self.call("/v3/kv/range", &span(prefix)).await?;
        let mut entries = Vec::with_capacity(answer.kvs.len());
        for entry in answer.kvs {
            let key = self.decoded(&entry.key)?;
            entries.push(Entry { key: String::from_utf8_lossy(&key).into_owned(), value: self.decoded(&entry.value)? });
        }
        Ok(Range { revision: answer.header.revision, entries })
    }

    /// Changes of keys with `prefix`, beginning with `revision`.
    pub(crate) async fn watch(&mut self, prefix: &str, revision: i64) -> Result<Watch, StoreError> {
        let mut create = span(prefix);
        create["start_revision"] = revision.into();
        let body = self.exchange("/v3/watch", &json!({ "create_request": create })).await?;
        Ok(Watch { body, pending: BytesMut::new() })
    }

    /// A lease that ends by itself after `ttl`.
    pub(crate) async fn grant(&mut self, ttl: Duration) -> Result<i64, StoreError> {
        let lease: Lease = self.call("/v3/lease/grant", &json!({ "TTL": ttl.as_secs().max(1) })).await?;
        Ok(lease.id)
    }

    /// Begins the lease anew; false when it has ended.
    pub(crate) async fn keep_alive(&mut self, lease: i64) -> Result<bool, StoreError> {
        let answer: Value = self.call("/v3/lease/keepalive", &json!({ "ID": lease })).await?;
        Ok(answer["result"]["TTL"].as_str().is_some_and(|ttl| ttl != "0"))
    }

    /// Puts `value` under `key` for as long as the lease runs.
    pub(crate) async fn put(&mut self, key: &str, value: &[u8], lease: i64) -> Result<(), StoreError> {
        let put = json!({"key": BASE64_STANDARD.encode(key), "value": BASE64_STANDARD.encode(value), "lease": lease});
        self.call::<Value>("/v3/kv/put", &put).await.map(drop)
    }

    /// Ends the lease, and with it what was put under it.
    pub(crate) async fn revoke(&mut self, lease: i64) -> Result<(), StoreError> {
        self.call::<Value>("/v3/lease/revoke", &json!({ "ID": lease })).await.map(drop)
    }

    async fn call<T: DeserializeOwned>(&mut self, path: &str, body: &Value) -> Result<T, StoreError> {
        let answer = self.exchange(path, body).await?;
        let text = self.whole(answer).await?;
        serde_json::from_slice(&text)
            .map_err(|error| self.problem(format!("answered what is no etcd's answer: {error}")))
    }

    /// Sends to the member that answered last, else to each of the others in turn.
    async fn exchange(&mut self, path: &str, body: &Value) -> Result<UpstreamBody, StoreError> {
        let mut outcome = Err(self.problem("has no members".to_owned()));
        for _ in 0..self.endpoints.targets.len() {
            outcome = self.authorized(path, body).await;
            if outcome.is_ok() {
                break;
            }
            self.current = (self.current + 1) % self.endpoints.targets.len();
            self.token = None;
        }
        outcome
    }

    /// Sends with a token, where there are credentials. Tokens expire; a refused one is replaced once.
    async fn authorized(&mut self, path: &str, body: &Value) -> Result<UpstreamBody, StoreError> {
        if self.credentials.username.is_empty() {
            return self.send(path, body).await;
        }
        if self.token.is_some()
            && let Ok(answer) = self.send(path, body).await
        {
            return Ok(answer);
        }
        self.token = None;
        let login = json!({"name": self.credentials.username, "password": self.credentials.password});
        let answer = self.send("/v3/auth/authenticate", &login).await?;
        let text = self.whole(answer).await?;
        let token: Token = serde_json::from_slice(&text)
            .map_err(|error| self.problem(format!("answered what is no token: {error}")))?;
        self.token = HeaderValue::from_str(&token.token).ok();
        self.send(path, body).await
    }

    async fn send(&mut self, path: &str, body: &Value) -> Result<UpstreamBody, StoreError> {
        let mut request = Request::new(Body::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().map_err(|_| self.problem(format!("has no path {path}")))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let target = &self.endpoints.targets[self.current];
        let answer =
            self.client.send(target, request).await.map_err(|error| self.problem(format!("failed: {error}")))?;
        let (head, body) = answer.into_parts();
        if head.status == StatusCode::OK {
            return Ok(body);
        }
        let text = self.whole(body).await?;
        Err(self.problem(format!("answered {}: {}", head.status, String::from_utf8_lossy(&text).trim())))
    }

    async fn whole(&self, body: UpstreamBody) -> Result<Bytes, StoreError> {
        match tokio::time::timeout(self.timeout, Limited::new(body, MAX_ANSWER).collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) => Err(self.problem(format!("broke its answer off: {error}"))),
            Err(_) => Err(self.problem(format!("did not finish its answer within {:?}", self.timeout))),
        }
    }

    fn decoded(&self, text: &str) -> Result<Vec<u8>, StoreError> {
        BASE64_STANDARD.decode(text).map_err(|error| self.problem(format!("answered what is no base64: {error}")))
    }

    fn problem(&self, problem: String) -> StoreError {
        StoreError { store: self.endpoints.to_string(), problem }
    }
}

impl fmt::Display for EtcdEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd://{}", self.text)
    }
}

/// A stream of changes.
#[derive(Debug)]
pub(crate) struct Watch {
    body: UpstreamBody,
    pending: BytesMut,
}

#[derive(Deserialize)]
struct WatchAnswer {
    result: Option<WatchResult>,
}

#[derive(Deserialize)]
struct WatchResult {
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    events: Vec<serde::de::IgnoredAny>,
}

impl Watch {
    /// Resolves at the next change; false when the stream has ended and must be opened again.
    pub(crate) async fn next(&mut self) -> bool {
        loop {
            while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line = self.pending.split_to(end + 1);
                match serde_json::from_slice::<WatchAnswer>(&line) {
                    Ok(WatchAnswer { result: Some(result) }) if result.canceled => return false,
                    Ok(WatchAnswer { result: Some(result) }) if !result.events.is_empty() => return true,
                    Ok(WatchAnswer { result: Some(_) }) => {}
                    Ok(WatchAnswer { result: None }) | Err(_) => return false,
                }
            }
            match self.body.frame().await {
                Some(Ok(frame)) if self.pending.len() < MAX_ANSWER => {
                    if let Ok(data) = frame.into_data() {
                        self.pending.extend_from_slice(&data);
                    }
                }
                _ => return false,
            }
        }
    }
}

/// The keys with a prefix, as etcd asks for them: up to the prefix with its last byte raised.
fn span(prefix: &str) -> Value {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    json!({"key": BASE64_STANDARD.encode(prefix), "range_end": BASE64_STANDARD.encode(end)})
}

/// etcd writes 64-bit numbers as text.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
