//! What request headers mean here: which are instructions to us, and the request's id.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use telemetry::clock;
use telemetry::coordinator::ELAPSED_US;
use uuid::Uuid;

use crate::target::PREFILLER;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const DATA_PARALLEL: HeaderName = HeaderName::from_static("x-data-parallel-host-port");

/// Headers that are instructions to us; an engine never sees them.
const ROUTING: [HeaderName; 5] = [
    PREFILLER,
    HeaderName::from_static("x-encoder-hosts-ports"),
    HeaderName::from_static("x-kv-cache-source-host-port"),
    DATA_PARALLEL,
    ELAPSED_US,
];

/// Longer ids are replaced: they end up in logs, spans and the engine's own bookkeeping.
const LONGEST_ID: usize = 128;

/// Removes the headers that are instructions to us.
pub(crate) fn strip_routing(headers: &mut HeaderMap) {
    for name in &ROUTING {
        headers.remove(name);
    }
}

/// Sees to it that the request has exactly one id, and returns it: the client's where that is a single printable value of
/// at most 128 bytes, else a new UUIDv7.
///
/// vLLM keys the KV transfer by this header, so two values (what a peer makes of a client's own) or two different ones on
/// the legs do harm.
pub(crate) fn settle_request_id(headers: &mut HeaderMap) -> HeaderValue {
    let mut values = headers.get_all(&REQUEST_ID).iter();
    if let (Some(only), None) = (values.next(), values.next())
        && is_id(only.as_bytes())
    {
        return only.clone();
    }
    let mut buffer = Uuid::encode_buffer();
    let text = new_id().hyphenated().encode_lower(&mut buffer);
    let id = HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"));
    headers.insert(REQUEST_ID, id.clone());
    id
}

/// A UUIDv7 by the process's own clock and its own generator: the crate's would ask the system for both every time.
fn new_id() -> Uuid {
    let millis = clock::now().unix_nanos() / 1_000_000;
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}

fn is_id(bytes: &[u8]) -> bool {
    (1..=LONGEST_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_good_id_is_kept_and_a_bad_one_replaced() {
        let mut headers = with(&REQUEST_ID, &["client-1"]);
        assert_eq!(settle_request_id(&mut headers), "client-1");
        for bad in [&["a", "b"][..], &[""], &["a b"], &["x".repeat(129).as_str()], &["é"], &[]] {
            let mut headers = with(&REQUEST_ID, bad);
            let id = settle_request_id(&mut headers);
            assert_eq!(Uuid::parse_str(id.to_str().unwrap()).unwrap().get_version_num(), 7, "{bad:?}");
            assert_eq!(headers.get_all(REQUEST_ID).iter().collect::<Vec<_>>(), [&id]);
        }
    }
}
