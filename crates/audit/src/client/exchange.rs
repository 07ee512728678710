//! One request from its first byte out to the last byte in.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use openai::Usage;
use serde::Deserialize;

use super::connection::{Connection, ConnectionError, Pool};
use super::reading::{Reading, Tally};
use super::request::{Identity, build};
use crate::load::Target;
use crate::record::{End, Record};
use crate::stopwatch::{self, Stamp};
use crate::workload::{Cancel, Planned};

/// The longest answer that is kept to look for its usage or to quote; the rest is read and dropped.
const KEEP_BYTES: usize = 16 << 20;

/// A client of one server.
pub(crate) struct Client {
    pool: Pool,
    host: HeaderValue,
    model: String,
    nonce: u64,
    timeout: Duration,
    /// When the run began.
    began: Stamp,
}

/// What an exchange has brought so far; it outlives an exchange that is cut off.
#[derive(Default)]
struct Progress {
    start: Option<Stamp>,
    status: Option<StatusCode>,
    code: Option<String>,
    head: Option<Stamp>,
    reading: Reading,
    /// The usage of an answer that was no stream.
    usage: Option<Usage>,
}

/// Why an exchange was left before its end.
enum Cut {
    /// As planned.
    Left,
    /// Not as planned.
    Fault(ConnectionError),
}

impl From<ConnectionError> for Cut {
    fn from(error: ConnectionError) -> Self {
        Self::Fault(error)
    }
}

impl Client {
    /// A client in a run that began at `began`.
    pub(crate) fn new(target: Target, model: String, nonce: u64, timeout: Duration, began: Stamp) -> Self {
        Self { pool: Pool::new(target.addr), host: target.host, model, nonce, timeout, began }
    }

    /// Does what `planned` says and writes down what happened. `intended` is when an open loop wanted it to start.
    pub(crate) async fn perform(&self, planned: &Planned, intended: Option<Stamp>) -> Record {
        let identity = Identity::new(self.nonce, planned.index);
        let mut progress = Progress::default();
        let end = match build(&self.host, &self.model, planned, &identity) {
            Ok(request) => {
                let exchange = self.limited(planned, request, &mut progress);
                match exchange.await {
                    Ok(end) => end,
                    Err(Cut::Left) => End::Cancelled,
                    Err(Cut::Fault(error)) => progress.fault(error.to_string()),
                }
            }
            Err(error) => progress.fault(error.to_string()),
        };
        progress.into_record(planned, identity, (self.began, intended), end)
    }

    /// The exchange within its planned and its tolerated time.
    async fn limited(
        &self,
        planned: &Planned,
        request: http::Request<Full<Bytes>>,
        progress: &mut Progress,
    ) -> Result<End, Cut> {
        let (limit, cut) = match planned.cancel {
            Some(Cancel::BeforeFirst(after)) => (after, Cut::Left),
            _ => (self.timeout, Cut::Fault(ConnectionError::Timeout(self.timeout))),
        };
        // Before the limit starts: a client that leaves 0 ms after its start has still sent its request.
        let mut connection = self.pool.checkout().await?;
        let exchange = exchange(&mut connection, planned, request, progress);
        let end = match tokio::time::timeout(limit, exchange).await {
            Ok(end) => end?,
            // Dropping the connection here is how a client leaves.
            Err(_) => return Err(cut),
        };
        self.pool.give_back(connection);
        Ok(end)
    }
}

/// Sends, and reads the answer to its end; an `Err` leaves the connection unusable.
async fn exchange(
    connection: &mut Connection,
    planned: &Planned,
    request: http::Request<Full<Bytes>>,
    progress: &mut Progress,
) -> Result<End, Cut> {
    progress.start = Some(stopwatch::now());
    let response = connection.send(request).await?;
    progress.head = Some(stopwatch::now());
    progress.status = Some(response.status());
    if planned.stream && response.status().is_success() {
        return stream(connection, planned, response, progress).await;
    }
    let status = response.status();
    let body = whole(connection, response).await?;
    if !status.is_success() {
        progress.code = code(&body);
        return Ok(End::Refused);
    }
    progress.usage = Usage::from_response(&body);
    Ok(End::Completed)
}

async fn stream(
    connection: &mut Connection,
    planned: &Planned,
    response: Response<Incoming>,
    progress: &mut Progress,
) -> Result<End, Cut> {
    let mut body = response.into_body();
    let leave_after = match planned.cancel {
        Some(Cancel::AfterChunks(chunks)) => chunks as usize,
        Some(Cancel::BeforeFirst(_)) => 1,
        None => usize::MAX,
    };
    while let Some(data) = connection.data(&mut body).await? {
        progress.reading.bytes(&data, stopwatch::now());
        if progress.reading.chunks() >= leave_after {
            return Err(Cut::Left);
        }
    }
    Ok(progress.reading.end())
}

async fn whole(connection: &mut Connection, response: Response<Incoming>) -> Result<Vec<u8>, ConnectionError> {
    let mut body = response.into_body();
    let mut kept = Vec::new();
    while let Some(data) = connection.data(&mut body).await? {
        let room = KEEP_BYTES - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    Ok(kept)
}

/// The code of an error in the OpenAI shape.
fn code(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        code: Option<String>,
    }
    serde_json::from_slice::<Answer>(body).ok()?.error.code
}

/// One `GET` on a connection of its own: status, and body up to [`KEEP_BYTES`].
pub(crate) async fn get(target: &Target, path: &str) -> Result<(StatusCode, Vec<u8>), ConnectionError> {
    let mut connection = Connection::open(target.addr).await?;
    let mut request = http::Request::new(Full::default());
    *request.uri_mut() = path.parse().map_err(|_| ConnectionError::Path(path.to_owned()))?;
    request.headers_mut().insert(header::HOST, target.host.clone());
    let response = connection.send(request).await?;
    let status = response.status();
    Ok((status, whole(&mut connection, response).await?))
}

impl Progress {
    /// A fault before the head leaves the request unanswered, one after it breaks the answer off.
    fn fault(&self, why: String) -> End {
        match self.status {
            Some(status) if status.is_success() => End::Broken { why },
            Some(_) => End::Refused,
            None => End::Unanswered { why },
        }
    }

    fn into_record(
        self,
        planned: &Planned,
        identity: Identity,
        (began, intended): (Stamp, Option<Stamp>),
        end: End,
    ) -> Record {
        let ended = stopwatch::now();
        let start = self.start.unwrap_or(ended);
        let since = |stamp: Stamp| stamp.nanos_since(start);
        let tally: Tally = self.reading.finish();
        let usage = self.usage.or(tally.usage);
        Record {
            index: planned.index,
            request_id: identity.request_id,
            trace_id: identity.trace_id,
            span_id: identity.span_id,
            start_ns: start.nanos_since(began),
            path: planned.api.path().to_owned(),
            stream: planned.stream,
            leaving: planned.cancel.is_some(),
            late_ns: intended.map_or(0, |intended| start.nanos_since(intended)),
            status: self.status.map(|status| status.as_u16()),
            code: self.code,
            head_ns: self.head.map(since),
            first_ns: tally.first.map(since),
            last_ns: tally.last.map(since),
            end_ns: since(ended),
            gaps_ns: tally.gaps_ns,
            tokens: tally.tokens,
            tokens_after_first: tally.tokens_after_first,
            usage_tokens: usage.as_ref().map(|usage| usage.completion_tokens),
            prompt_tokens: usage.as_ref().map(|usage| usage.prompt_tokens),
            end,
        }
    }
}
