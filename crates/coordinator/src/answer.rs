//! Reading a decoder's answer where it has to be read before it can be relayed.

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TRAILER};
use openai::usage::HideUsage;
use pd::{CachedTokens, Probe, Verdict};
use proxy::body::next_frame;
use proxy::client::UpstreamBody;
use telemetry::coordinator::Request as Record;
use telemetry::server_timing::SERVER_TIMING;

use crate::asked::Wishes;
use crate::failure::Failure;

/// A document larger than this is relayed as it comes; smaller ones are read first, so that one that breaks off can still
/// become an error.
const WHOLE: usize = 8 << 20;

/// Reads the opening of a decode-first response: what was read, or `None` when the decoder wants a prefill.
pub(crate) async fn probed(response: &mut Response<UpstreamBody>) -> Result<Option<Vec<Bytes>>, Failure> {
    if !response.status().is_success() {
        return Ok(Some(Vec::new()));
    }
    let mut probe = Probe::new(is_event_stream(response.headers()));
    loop {
        let frame = next_frame(response.body_mut()).await.transpose().map_err(|error| Failure::decoder(&error))?;
        let last = frame.is_none();
        let bytes = frame.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
        match probe.feed(bytes, last) {
            Verdict::Undecided => {}
            Verdict::Serve => return Ok(Some(probe.into_held())),
            Verdict::Disaggregate => return Ok(None),
        }
    }
}

/// Reads a document to its end, so that one that breaks off becomes an error, and corrects its cached tokens. One that is
/// too large is left to be relayed as it comes: its body is returned again.
pub(crate) async fn whole(
    upstream: Option<UpstreamBody>,
    held: &mut Vec<Bytes>,
    headers: &mut HeaderMap,
    cached: Option<CachedTokens>,
) -> Result<Option<UpstreamBody>, Failure> {
    let Some(mut upstream) = upstream else { return Ok(None) };
    let mut size: usize = held.iter().map(Bytes::len).sum();
    while size <= WHOLE {
        match next_frame(&mut upstream).await {
            Some(Ok(frame)) => {
                let bytes = frame.into_data().unwrap_or_default();
                size += bytes.len();
                held.push(bytes);
            }
            Some(Err(error)) => return Err(Failure::decoder(&error)),
            None => {
                correct(held, headers, cached);
                return Ok(None);
            }
        }
    }
    Ok(Some(upstream))
}

fn correct(held: &mut Vec<Bytes>, headers: &mut HeaderMap, cached: Option<CachedTokens>) {
    let Some(cached) = cached else { return };
    let json = match held.as_slice() {
        [only] => only.clone(),
        several => several.concat().into(),
    };
    if let Some(corrected) = cached.correct(&json) {
        headers.remove(CONTENT_LENGTH);
        *held = vec![corrected];
    }
}

/// `Server-Timing` as far as it is known, and the announcement of the rest.
pub(crate) fn timing(headers: &mut HeaderMap, record: &Record, trailers: bool) {
    if let Ok(value) = HeaderValue::try_from(record.server_timing_header()) {
        headers.insert(SERVER_TIMING, value);
    }
    if trailers {
        headers.insert(TRAILER, HeaderValue::from_static("server-timing"));
    }
}

/// What was asked of vLLM beyond the client's wishes has to go again.
pub(crate) fn hide(counted: bool, wishes: Wishes) -> HideUsage {
    HideUsage { last: counted && !wishes.include_usage, continuous: counted && !wishes.continuous_usage }
}

pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}
