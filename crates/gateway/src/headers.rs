//! Which header fields go on, which stop here, and which are the gateway's own.
//!
//! A client's request goes on as it came: authorization, trace context, identifiers, whatever an engine may know that the
//! gateway does not. Three kinds of field stop: those of one connection ([`proxy::headers`]), those that the gateway says
//! itself, and those by which a client would choose hosts or make the answer unreadable to the gateway.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};
use telemetry::clock::Moment;
use telemetry::server_timing::SERVER_TIMING;

/// The name of a request, the same on every leg and in the answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// On an answer made by the gateway itself: the stage that failed.
pub(crate) const CANDOR_ERROR: HeaderName = HeaderName::from_static("x-candor-error");
/// To the coordinator: microseconds from the gateway's `received` to the dispatch.
pub(crate) const ELAPSED: HeaderName = HeaderName::from_static("x-candor-elapsed-us");
/// To the coordinator: where the prompt is to be computed.
pub(crate) const PREFILLER: HeaderName = HeaderName::from_static("x-prefiller-host-port");

/// The longest `x-request-id` that is taken over from a client.
const LONGEST_REQUEST_ID: usize = 128;

/// Fields of a client's request that stop here, beside the hop-by-hop ones.
const NOT_FORWARDED: [HeaderName; 9] = [
    // The upstream's own: `Host` names the gateway, the length is that of the edited body.
    header::HOST,
    header::CONTENT_LENGTH,
    // Answered by the gateway's own server when it reads the body.
    header::EXPECT,
    // A compressed stream could be neither measured nor ended with an error event.
    header::ACCEPT_ENCODING,
    // Routing is the gateway's business; these would let a client choose hosts inside the cluster.
    PREFILLER,
    HeaderName::from_static("x-encoder-hosts-ports"),
    HeaderName::from_static("x-data-parallel-host-port"),
    HeaderName::from_static("x-kv-cache-source-host-port"),
    // A measurement is made, not believed.
    ELAPSED,
];

/// The client's `x-request-id` when it is one printable value of at most 128 bytes, else a new UUIDv7.
pub(crate) fn request_id(headers: &HeaderMap, received: Moment) -> HeaderValue {
    let mut values = headers.get_all(REQUEST_ID).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if is_printable(value.as_bytes()) => value.clone(),
        _ => new_request_id(received),
    }
}

fn is_printable(value: &[u8]) -> bool {
    let fits = (1..=LONGEST_REQUEST_ID).contains(&value.len());
    fits && value.iter().all(|byte| (b' '..=b'~').contains(byte))
}

/// A UUIDv7 of the moment the request came: ids sort as the requests did.
fn new_request_id(received: Moment) -> HeaderValue {
    let millis = received.unix_nanos() / 1_000_000;
    let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid();
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text: &str = uuid.hyphenated().encode_lower(&mut text);
    // Hexadecimal digits and hyphens may stand in a header, so the fallback is never taken.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unnamed"))
}

/// Makes a client's request head fit to go on to an engine.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    proxy::headers::strip_hop_by_hop(headers);
    for name in &NOT_FORWARDED {
        headers.remove(name);
    }
}

/// Makes an engine's response head fit to go on to the client. The gateway says the timing and the id itself.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    proxy::headers::strip_hop_by_hop(headers);
    for name in [header::TRAILER, SERVER_TIMING, REQUEST_ID] {
        headers.remove(name);
    }
}

/// Says a request's timing, if there is any to say.
pub(crate) fn insert_timing(headers: &mut HeaderMap, timing: String) {
    if timing.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::try_from(timing) {
        headers.insert(SERVER_TIMING, value);
    }
}

/// Whether a response is an event stream that the gateway can read.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let wanted = b"text/event-stream";
    let matches = kind.get(..wanted.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(wanted));
    matches && is_plain(headers)
}

/// Whether a body comes as it is, not compressed.
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests;
