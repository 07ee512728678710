//! Response heads: where they end, what they say, and how the body behind them is delimited (RFC 9112, 6.3).
//!
//! Of two readings of a length neither is taken: a proxy that picks one while its neighbour picks the other lets an upstream
//! forge the next response. Such heads are refused.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};
use httparse::{ParserConfig, Status};

use super::chunked::Chunked;
use super::inbox::{Framing, Inbox};
use super::malformed::Malformed;
use crate::headers::connection_says;

/// Most header fields in a response.
const MAX_FIELDS: usize = 100;

/// A response head, understood.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    /// The upstream will take another request on this connection.
    pub(super) keep_alive: bool,
}

/// Finds heads in what is read, and the end of the informational ones before the one that counts.
#[derive(Debug)]
pub(super) struct HeadReader {
    /// What has come of a head that is not whole yet.
    held: Vec<u8>,
    limit: usize,
    /// The request asked for a head only.
    to_head: bool,
}

/// What a read brought.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made once per response, and taken apart at once")]
pub(super) enum Scanned {
    /// Nothing: the upstream has closed.
    Closed,
    Partial,
    Bad(Malformed),
    /// The head of the final response, and the body with what has come of it.
    Whole(Head, Inbox),
}

impl HeadReader {
    /// Reads heads of up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { held: Vec::new(), limit, to_head: false }
    }

    /// Begins with the answer to a new request; `to_head` says that its body is left out.
    pub(super) fn expect(&mut self, to_head: bool) {
        (self.held, self.to_head) = (Vec::new(), to_head);
    }

    /// Takes what was read.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> Scanned {
        if bytes.is_empty() {
            return Scanned::Closed;
        }
        if self.held.is_empty() {
            return self.scan(bytes);
        }
        // The line end before a blank line may be one that has been looked at.
        let from = self.held.len().saturating_sub(2);
        self.held.extend_from_slice(bytes);
        match find_end(&self.held, from, self.limit) {
            Ok(None) => Scanned::Partial,
            Ok(Some(_)) => {
                let mut joined = std::mem::take(&mut self.held);
                self.scan(&mut joined)
            }
            Err(fault) => Scanned::Bad(fault),
        }
    }

    /// Parses heads from the beginning of `bytes` on, up to that of the final response.
    fn scan(&mut self, mut bytes: &mut [u8]) -> Scanned {
        loop {
            let end = match find_end(bytes, 0, self.limit) {
                Ok(Some(end)) => end,
                Ok(None) => {
                    self.held = bytes.to_vec();
                    return Scanned::Partial;
                }
                Err(fault) => return Scanned::Bad(fault),
            };
            let (head, framing) = match parse(&Bytes::copy_from_slice(&bytes[..end]), self.to_head) {
                Ok(parsed) => parsed,
                Err(fault) => return Scanned::Bad(fault),
            };
            bytes = &mut bytes[end..];
            match head.response.status() {
                StatusCode::SWITCHING_PROTOCOLS => return Scanned::Bad(Malformed::Upgrade),
                status if status.is_informational() => {}
                _ => {
                    let mut inbox = Inbox::new(framing);
                    inbox.feed(bytes);
                    return Scanned::Whole(head, inbox);
                }
            }
        }
    }
}

/// Where the head at the beginning of `bytes` ends, looking only at line ends from `from` on. Refuses at once what can never
/// become a head.
fn find_end(bytes: &[u8], from: usize, limit: usize) -> Result<Option<usize>, Malformed> {
    const BEGINNING: &[u8] = b"HTTP/1.";
    let known = bytes.len().min(BEGINNING.len());
    if bytes[..known] != BEGINNING[..known] {
        return Err(Malformed::NotHttp);
    }
    let mut line_ends = memchr::memchr_iter(b'\n', &bytes[from..]).map(|at| from + at + 1);
    let end = line_ends.find_map(|next| match &bytes[next..] {
        [b'\n', ..] => Some(next + 1),
        [b'\r', b'\n', ..] => Some(next + 2),
        _ => None,
    });
    if end.unwrap_or(bytes.len()) > limit {
        return Err(Malformed::HeadTooLong { limit });
    }
    Ok(end)
}

/// Parses a whole head; `to_head` says that it answers a `HEAD` request. The fields' values share `bytes`.
fn parse(bytes: &Bytes, to_head: bool) -> Result<(Head, Framing), Malformed> {
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut raw = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut raw, bytes, &mut slots)?;
    let (Status::Complete(used), Some(minor), Some(code)) = (parsed, raw.version, raw.code) else {
        return Err(Malformed::NotHttp);
    };
    // Both readings of where the head ends must be one.
    if used != bytes.len() {
        return Err(Malformed::NotHttp);
    }
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(code).map_err(|_| Malformed::NotHttp)?;
    *response.version_mut() = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    *response.headers_mut() = fields(bytes, raw.headers)?;
    let framing = framing(&mut response, to_head)?;
    let keep_alive = keeps_alive(response.version(), response.headers());
    Ok((Head { response, keep_alive }, framing))
}

fn fields(bytes: &Bytes, raw: &[httparse::Header<'_>]) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::with_capacity(raw.len());
    for field in raw {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed::Field)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value)).map_err(|_| Malformed::Field)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// How the body is delimited. Leaves a repeated `Content-Length` as one.
fn framing(response: &mut Response<()>, to_head: bool) -> Result<Framing, Malformed> {
    let (status, version) = (response.status(), response.version());
    let headers = response.headers_mut();
    let length = content_length(headers)?;
    let chunked = is_chunked(headers)?;
    if length.is_some() && chunked {
        return Err(Malformed::TwoLengths);
    }
    if chunked && version == Version::HTTP_10 {
        return Err(Malformed::TransferEncoding);
    }
    let bodiless = to_head || status.is_informational();
    if bodiless || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Length(0));
    }
    Ok(match length {
        Some(length) => Framing::Length(length),
        None if chunked => Framing::Chunked(Chunked::default()),
        None => Framing::UntilClose,
    })
}

/// The declared length. Several equal ones count as one.
fn content_length(headers: &mut HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut length = None;
    let mut count = 0;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for text in value.to_str().map_err(|_| Malformed::ContentLength)?.split(',').map(str::trim) {
            // `parse` alone would take a sign.
            if !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Malformed::ContentLength);
            }
            let this: u64 = text.parse().map_err(|_| Malformed::ContentLength)?;
            if length.is_some_and(|other| other != this) {
                return Err(Malformed::ContentLength);
            }
            length = Some(this);
            count += 1;
        }
    }
    if let Some(length) = length.filter(|_| count > 1) {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(length)
}

/// Whether the body is chunked. Any other coding is one that we did not say we can undo.
fn is_chunked(headers: &HeaderMap) -> Result<bool, Malformed> {
    let mut values = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(Malformed::TransferEncoding),
    }
}

fn keeps_alive(version: Version, headers: &HeaderMap) -> bool {
    !connection_says(headers, "close") && (version == Version::HTTP_11 || connection_says(headers, "keep-alive"))
}
