//! An endpoint outside the cluster that speaks the same API.

use std::fmt;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};
use openai::Body as Json;
use proxy::Target;

/// An endpoint outside the cluster.
pub(crate) struct External {
    /// As it is configured; in spans and logs.
    name: Box<str>,
    target: Target,
    /// The path of its base URL, without a slash at the end.
    base: Box<str>,
    /// Whether `base` ends with a version (`/v1`).
    versioned: bool,
    authorization: Option<HeaderValue>,
    /// The model that it is asked for, as JSON, whatever the client asked for.
    model: Option<Bytes>,
}

impl External {
    /// Reads what a route says of it. An empty key or model is none.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub(crate) fn parse(url: &str, api_key: &str, model: &str) -> Result<Self, String> {
        let no_url = || format!("`{url}` is no URL of the form http[s]://host[:port][/path]");
        let uri: Uri = url.parse().map_err(|_| no_url())?;
        if uri.query().is_some() || url.contains('#') {
            return Err(no_url());
        }
        let target = Target::parse(url).ok().filter(|_| uri.scheme().is_some()).ok_or_else(no_url)?;
        let base = uri.path().trim_end_matches('/');
        Ok(Self {
            name: url.trim_end_matches('/').into(),
            target,
            base: base.into(),
            versioned: base.rsplit_once('/').is_some_and(|(_, last)| is_version(last)),
            authorization: authorization(api_key)?,
            model: (!model.is_empty()).then(|| serde_json::Value::from(model).to_string().into()),
        })
    }

    /// Its base URL.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How a connection to it is made.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Whether a request to either would be the same request: the model may be rewritten in different ways.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        self.name == other.name && self.model == other.model
    }

    /// Whether it is asked with a key of the gateway's.
    pub(crate) fn has_key(&self) -> bool {
        self.authorization.is_some()
    }

    /// Whether the model that it is asked for is the gateway's choice.
    pub(crate) fn names_model(&self) -> bool {
        self.model.is_some()
    }

    /// Where a request that came for `path` goes: below the base URL, and with one version in it where both have one.
    pub(crate) fn uri(&self, path: &PathAndQuery) -> Uri {
        let path = match self.versioned {
            true => without_version(path.as_str()),
            false => path.as_str(),
        };
        // Both parts are what the URI grammar lets stand in a path, so the fallback is never taken.
        format!("{}{path}", self.base).parse().unwrap_or_else(|_| Uri::from_static("/"))
    }

    /// Puts the gateway's key for it in place of whatever the client sent.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap) {
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
    }

    /// The body that it gets.
    pub(crate) fn body(&self, body: &Bytes) -> Bytes {
        let Some(model) = &self.model else { return body.clone() };
        // It was read before, so it can be read again.
        Json::parse(body.clone()).map_or_else(|_| body.clone(), |json| json.edit().set("model", &model[..]).build())
    }
}

fn authorization(api_key: &str) -> Result<Option<HeaderValue>, String> {
    if api_key.is_empty() {
        return Ok(None);
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {api_key}"))
        .map_err(|_| "the api_key holds a character that cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// `v` and digits.
fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `/v1/chat/completions` without its `/v1`.
fn without_version(path: &str) -> &str {
    let Some(rest) = path.strip_prefix('/') else { return path };
    match rest.find(['/', '?']) {
        Some(end) if is_version(&rest[..end]) => &rest[end..],
        _ => path,
    }
}

impl fmt::Debug for External {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "External({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn external(url: &str) -> External {
        External::parse(url, "", "").unwrap()
    }

    #[test]
    fn paths_go_below_the_base_with_one_version() {
        for (base, path, expected) in [
            ("http://a", "/v1/chat/completions", "/v1/chat/completions"),
            ("http://a/", "/v1/chat/completions", "/v1/chat/completions"),
            ("http://a/v1", "/v1/chat/completions", "/v1/chat/completions"),
            ("http://a/v1/", "/v1/chat/completions", "/v1/chat/completions"),
            ("https://a/api/v3", "/v1/completions", "/api/v3/completions"),
            ("https://a/compatible-mode/v1", "/v1/completions?x=1", "/compatible-mode/v1/completions?x=1"),
            ("http://a/v1", "/tokenize", "/v1/tokenize"),
            ("http://a/v1", "/vision/x", "/v1/vision/x"),
            ("http://a/version", "/v1/completions", "/version/v1/completions"),
            ("http://a/v1beta", "/v1/completions", "/v1beta/v1/completions"),
        ] {
            assert_eq!(external(base).uri(&PathAndQuery::from_static(path)), *expected, "{base} {path}");
        }
    }

    #[test]
    fn what_is_no_url_of_an_endpoint_is_refused() {
        for bad in ["", "a", "a:80", "ftp://a", "http://", "http://a?x=1", "http://a/#x", "http://u:p@a", "http://a:0x"]
        {
            assert!(External::parse(bad, "", "").is_err(), "{bad}");
        }
    }

    #[test]
    fn the_key_replaces_the_clients_and_is_not_shown() {
        let keyed = External::parse("http://a", "sk-1", "").unwrap();
        let mut headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer client"))]);
        external("http://a").authorize(&mut headers);
        assert_eq!(headers[AUTHORIZATION], "Bearer client");
        keyed.authorize(&mut headers);
        assert_eq!(headers[AUTHORIZATION], "Bearer sk-1");
        assert!(headers[AUTHORIZATION].is_sensitive() && !format!("{keyed:?}").contains("sk-1"));
    }

    #[test]
    fn the_model_is_rewritten_in_place() {
        let body = Bytes::from_static(br#"{"model":"a", "prompt" : "p"}"#);
        assert_eq!(external("http://a").body(&body), body);
        let other = External::parse("http://a", "", r#"b"c"#).unwrap();
        assert_eq!(other.body(&body), r#"{"model":"b\"c", "prompt" : "p"}"#);
        assert_eq!(other.body(&Bytes::from_static(br#"{"prompt":"p"}"#)), r#"{"prompt":"p","model":"b\"c"}"#);
    }
}
