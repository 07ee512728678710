//! Unary gRPC over HTTP/2: one message each way. Messages are bytes here; their meaning is the caller's.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};

use crate::{Body, BoxError, Client, ClientError, Target};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// gRPC's numbers for what became of a call, as far as they are used here.
pub mod code {
    /// The request cannot be meant so; sending it again does not help.
    pub const INVALID_ARGUMENT: i32 = 3;
    /// Too much of something.
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    /// There is no such method.
    pub const UNIMPLEMENTED: i32 = 12;
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The other side could not be talked to.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Its answer broke off, or is too long.
    #[error("the answer cannot be read: {0}")]
    Answer(BoxError),
    /// It answered with something that is no gRPC.
    #[error("no gRPC answer: {0}")]
    Protocol(String),
    /// It refused.
    #[error("refused with gRPC status {code}: {message}")]
    Refused {
        /// gRPC's number for why.
        code: i32,
        /// What it said.
        message: String,
    },
}

/// A message behind its prefix, uncompressed.
#[must_use]
pub fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// The one message of a body, and whether it is compressed.
///
/// # Errors
/// What is wrong with it, in words.
pub fn unframed(mut body: Bytes) -> Result<(bool, Bytes), &'static str> {
    if body.len() < PREFIX {
        return Err("shorter than its own prefix");
    }
    let prefix = body.split_to(PREFIX);
    let length = prefix[1..].iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    match prefix[0] {
        _ if length != body.len() => Err("its length is not what its prefix says"),
        0 => Ok((false, body)),
        1 => Ok((true, body)),
        _ => Err("its prefix is none"),
    }
}

/// An answer to a call.
#[must_use]
pub fn answer(message: &[u8]) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body = Full::new(framed(message)).with_trailers(std::future::ready(Some(Ok(trailers))));
    response(Body::wrap(body))
}

/// An answer without a message: its trailers are in its head.
#[must_use]
pub fn refusal(code: i32, message: &str) -> Response<Body> {
    let mut response = response(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(STATUS, HeaderValue::from(code));
    if let Ok(message) = HeaderValue::from_str(&escaped(message)) {
        headers.insert(MESSAGE, message);
    }
    response
}

/// Calls `method` (`/package.Service/Method`) and reads an answer of at most `limit` bytes. Without a time-out: the caller knows
/// its own.
///
/// # Errors
/// When the other side cannot be talked to, or refuses.
pub async fn call(
    client: &Client,
    target: &Target,
    method: &'static str,
    message: &[u8],
    limit: usize,
) -> Result<Bytes, CallError> {
    let mut request = Request::new(Body::from(framed(message)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(method);
    request.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    let (head, body) = client.send(&target.with_http2(), request).await?.into_parts();
    if head.status != StatusCode::OK {
        return Err(CallError::Protocol(format!("HTTP status {}", head.status)));
    }
    let collected = Limited::new(body, limit + PREFIX).collect().await.map_err(CallError::Answer)?;
    let status = |headers: &HeaderMap| headers.contains_key(STATUS).then(|| headers.clone());
    let status = collected.trailers().and_then(status).or_else(|| status(&head.headers)).unwrap_or_default();
    let text = |name| status.get(name).and_then(|value| value.to_str().ok());
    match text(&STATUS).and_then(|code| code.parse().ok()) {
        Some(0) => match unframed(collected.to_bytes()) {
            Ok((false, message)) => Ok(message),
            Ok((true, _)) => Err(CallError::Protocol("compressed, though nobody asked for that".to_owned())),
            Err(why) => Err(CallError::Protocol(why.to_owned())),
        },
        Some(code) => Err(CallError::Refused { code, message: text(&MESSAGE).unwrap_or_default().to_owned() }),
        None => Err(CallError::Protocol("it says no status".to_owned())),
    }
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    response
}

/// A text as gRPC writes it into a header: what is not printable ASCII, and the percent sign, by its number.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_out_of_its_frame_as_it_went_in() {
        assert_eq!(unframed(framed(b"")), Ok((false, Bytes::new())));
        assert_eq!(unframed(framed(b"abc")), Ok((false, Bytes::from_static(b"abc"))));
        assert_eq!(unframed(Bytes::from_static(b"\x01\0\0\0\x01z")), Ok((true, Bytes::from_static(b"z"))));
    }

    #[test]
    fn what_is_no_message_is_said_to_be_none() {
        for body in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x02a", b"\0\0\0\0\x01ab", b"\x07\0\0\0\0"] {
            assert!(unframed(Bytes::copy_from_slice(body)).is_err(), "{body:?}");
        }
    }

    #[test]
    fn a_refusal_is_a_header() {
        let refusal = refusal(code::UNIMPLEMENTED, "naïve 100%");
        assert_eq!(refusal.headers()[STATUS], "12");
        assert_eq!(refusal.headers()[MESSAGE], "na%C3%AFve 100%25");
    }
}
