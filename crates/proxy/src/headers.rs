//! Which header fields belong to one connection, and must not travel on when a message is forwarded (RFC 9110, 7.6.1).

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

#[cfg(test)]
mod tests;

/// Fields that always speak about one hop. `trailer` is not among them: it announces fields that do travel on.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    // Our own server has answered it already.
    header::EXPECT,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that a `Connection` header may not talk an intermediary into dropping: the message would change its meaning.
const KEPT: [HeaderName; 4] = [header::HOST, header::CONTENT_LENGTH, header::AUTHORIZATION, header::CONTENT_TYPE];

/// Removes what concerns only the connection a message came by: the fixed list and whatever `Connection` names. The same
/// for request and response heads.
///
/// `Content-Length` stays (the body keeps its size hint), `Transfer-Encoding` goes (each hop frames for itself).
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for name in connection_options(headers) {
        if !KEPT.contains(&name) {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Whether the sender of this head accepts trailers (`TE: trailers`).
#[must_use]
pub fn accepts_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(header::TE).iter().any(|value| tokens(value).any(|token| token.eq_ignore_ascii_case("trailers")))
}

/// Whether `Connection` lists `option`.
pub(crate) fn connection_says(headers: &HeaderMap, option: &str) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .any(|value| tokens(value).any(|token| token.eq_ignore_ascii_case(option)))
}

/// The field names that `Connection` lists. Empty, without an allocation, for the usual `keep-alive` and `close`.
fn connection_options(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(tokens)
        .filter(|token| !token.eq_ignore_ascii_case("close") && !token.eq_ignore_ascii_case("keep-alive"))
        .filter_map(|token| token.parse().ok())
        .collect()
}

/// The comma-separated members of a field value; none where it is not text.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}
