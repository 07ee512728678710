//! Web pages of other origins: none is let near, unless `--cors-allow-origin` names it.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use proxy::Body;

use crate::routes::Route;

/// What a page's script may read of an answer, beside what it always may.
const EXPOSED: &str = "x-request-id, server-timing, retry-after, x-candor-error, x-ratelimit-limit-requests, \
                       x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, \
                       x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

/// How long a browser may remember a preflight's answer.
const MAX_AGE: &str = "600";

/// The origins whose pages may use the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cors {
    /// `*`: every page.
    any: bool,
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// Reads a comma-separated list of origins, or `*`.
    ///
    /// # Errors
    /// Each item that is no origin.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let items: Vec<_> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
        if items == ["*"] {
            return Ok(Self { any: true, origins: Vec::new() });
        }
        let (mut origins, mut faults) = (Vec::new(), Vec::new());
        for item in items {
            match HeaderValue::from_str(item) {
                Ok(origin) if is_origin(item) => origins.push(origin),
                _ => faults.push(format!("`{item}` is no origin, as `https://example.com` is")),
            }
        }
        if faults.is_empty() { Ok(Self { any: false, origins }) } else { Err(faults.join("; ")) }
    }

    /// What an answer says of the origin; `None` where the page is not let near.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        self.origins.iter().find(|known| *known == origin).cloned()
    }

    /// The answer to a browser that asks whether it may; `None` where that is not the question, or the answer is no.
    pub(crate) fn preflight(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response<Body>> {
        let asks = method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let route = Route::of(uri.path()).filter(|_| asks)?;
        self.allowed(headers.get(ORIGIN)?)?;
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(route.allow()));
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        Some(response)
    }

    /// Says on an answer that the page of `origin` may read it.
    pub(crate) fn mark(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let Some(allowed) = origin.and_then(|origin| self.allowed(origin)) else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        if !self.any {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
    }
}

/// Scheme and authority, and nothing behind: what browsers send, but for the opaque origin `null`, which names nobody.
fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_and_others_are_faults() {
        let cors = Cors::parse("https://a.example, http://b:81").unwrap();
        assert_eq!(cors.origins.len(), 2);
        assert!(Cors::parse("*").unwrap().any);
        assert_eq!(Cors::parse(" , ").unwrap(), Cors::default());
        for wrong in ["a.example", "https://a/", "null", "*, https://a", "ftp://a", "https://"] {
            assert!(Cors::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_a_named_origin_is_marked() {
        let cors = Cors::parse("https://a.example").unwrap();
        let marked = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            cors.mark(origin.map(HeaderValue::from_static).as_ref(), &mut headers);
            headers
        };
        assert_eq!(marked(Some("https://a.example"))[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert!(marked(Some("https://b.example")).is_empty());
        assert!(marked(None).is_empty());
    }
}
