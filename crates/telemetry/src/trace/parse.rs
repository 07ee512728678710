//! Strict reading of `traceparent` and `tracestate`.

use http::{HeaderMap, HeaderValue};

use super::{SpanId, TRACESTATE, TraceFlags, TraceId};

/// Length of a version 00 `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
const LENGTH: usize = 55;
/// The recommendation's bound on `tracestate` members.
const MAX_STATE_MEMBERS: usize = 32;

/// Parses a `traceparent`. Version ff is invalid; version 00 has exactly 55 bytes; a later version may have more after a
/// hyphen, of which nothing is assumed.
pub(super) fn traceparent(value: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let value = value.trim_ascii();
    let (head, rest) = value.split_at_checked(LENGTH)?;
    let version = hex::<1>(&head[..2])?[0];
    let rest_is_legal = match version {
        0xff => false,
        0 => rest.is_empty(),
        _ => rest.is_empty() || rest[0] == b'-',
    };
    let hyphens = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
    if !rest_is_legal || !hyphens {
        return None;
    }
    let trace_id = TraceId::from_bytes(hex(&head[3..35])?)?;
    let span_id = SpanId::from_bytes(hex(&head[36..52])?)?;
    Some((trace_id, span_id, TraceFlags::from_byte(hex::<1>(&head[53..])?[0])))
}

/// Joins the `tracestate` headers; `None` where there are none or where a member is malformed or there are too many.
pub(super) fn tracestate(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(TRACESTATE).iter();
    let first = values.next()?;
    let joined = values.try_fold(first.to_str().ok()?.to_owned(), |joined, next| {
        let next = next.to_str().ok()?;
        Some(if joined.is_empty() { next.to_owned() } else { format!("{joined},{next}") })
    })?;
    let members = joined.split(',').map(str::trim).filter(|member| !member.is_empty());
    let (count, legal) = members.fold((0, true), |(count, legal), member| (count + 1, legal && is_member(member)));
    (legal && (1..=MAX_STATE_MEMBERS).contains(&count)).then(|| HeaderValue::try_from(joined).ok())?
}

/// `key=value`, the key of the legal characters. The value is opaque; an ill-formed one is its owner's affair.
fn is_member(member: &str) -> bool {
    let legal_key = |key: &str| {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
        !key.is_empty() && key.len() <= 256 && key.bytes().all(legal)
    };
    member.split_once('=').is_some_and(|(key, value)| legal_key(key) && !value.is_empty() && value.len() <= 256)
}

/// Lower-case hexadecimal digits into bytes; upper case is invalid here.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
