//! The members of a request that a proxy has to understand.

use std::borrow::Cow;

use crate::api::Api;
use crate::body::{Body, BodyError};
use crate::json::{self, Cursor};

/// What a proxy reads of a request. A member that is absent or `null` has its API's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'a> {
    /// `model`.
    pub model: Option<Cow<'a, str>>,
    /// `stream`: whether the client wants an event stream.
    pub stream: bool,
    /// `stream_options.include_usage`: whether the client wants a last chunk with usage.
    pub include_usage: bool,
    /// `stream_options.continuous_usage_stats`: whether the client wants usage on every chunk (vLLM, SGLang).
    pub continuous_usage_stats: bool,
    /// The upper bound on generated tokens that the API's engine would use; `None` where the client sets none.
    pub max_tokens: Option<u64>,
    /// `n`, the number of choices.
    pub n: Option<u64>,
}

impl<'a> Head<'a> {
    pub(crate) fn read(body: &'a Body, api: Api) -> Result<Self, BodyError> {
        let members = Members(body);
        members.object("stream_options", body.get("stream_options"))?;
        let option = |param, name| members.flag(param, body.get_in("stream_options", name));
        Ok(Self {
            model: members.string("model")?,
            stream: members.flag("stream", body.get("stream"))?,
            include_usage: option("stream_options.include_usage", "include_usage")?,
            continuous_usage_stats: option("stream_options.continuous_usage_stats", "continuous_usage_stats")?,
            max_tokens: members.max_tokens(api)?,
            n: members.count("n", body.get("n"))?,
        })
    }
}

/// Typed reads of one body's members.
struct Members<'a>(&'a Body);

impl<'a> Members<'a> {
    fn string(&self, param: &'static str) -> Result<Option<Cow<'a, str>>, BodyError> {
        match present(self.0.get(param)) {
            None => Ok(None),
            Some(raw) => match Cursor::new(raw).string() {
                Ok(text) => Ok(Some(text.decode())),
                Err(_) => Err(self.wrong(param, raw, "a string")),
            },
        }
    }

    fn flag(&self, param: &'static str, raw: Option<&[u8]>) -> Result<bool, BodyError> {
        match present(raw) {
            None | Some(b"false") => Ok(false),
            Some(b"true") => Ok(true),
            Some(raw) => Err(self.wrong(param, raw, "a boolean")),
        }
    }

    fn count(&self, param: &'static str, raw: Option<&[u8]>) -> Result<Option<u64>, BodyError> {
        match present(raw) {
            None => Ok(None),
            Some(raw) => match whole_number(raw) {
                Some(count) => Ok(Some(count)),
                None => Err(self.wrong(param, raw, "a non-negative integer")),
            },
        }
    }

    fn object(&self, param: &'static str, raw: Option<&[u8]>) -> Result<(), BodyError> {
        match present(raw) {
            Some(raw) if raw.first() != Some(&b'{') => Err(self.wrong(param, raw, "an object")),
            _ => Ok(()),
        }
    }

    /// The first upper bound that is set, all of them checked.
    fn max_tokens(&self, api: Api) -> Result<Option<u64>, BodyError> {
        let mut effective = None;
        for limit in api.token_limits() {
            let count = self.count(limit.name, self.0.get_at(*limit))?;
            if limit.name != "min_tokens" {
                effective = effective.or(count);
            }
        }
        Ok(effective)
    }

    fn wrong(&self, param: &'static str, raw: &[u8], expected: &str) -> BodyError {
        let found = match raw.first() {
            Some(b'-' | b'0'..=b'9') => String::from_utf8_lossy(&raw[..raw.len().min(40)]).into_owned(),
            _ => json::kind(raw).to_owned(),
        };
        BodyError {
            offset: self.0.offset_of(raw),
            what: format!("expected {expected}, found {found}"),
            param: Some(param),
        }
    }
}

/// A member that is `null` counts as absent, as it does to engines.
fn present(raw: Option<&[u8]>) -> Option<&[u8]> {
    raw.filter(|raw| *raw != b"null")
}

/// A count, also where it is written as a whole float (`16.0`), which engines accept.
fn whole_number(raw: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(raw).ok()?;
    if let Ok(count) = text.parse() {
        return Some(count);
    }
    let float: f64 = text.parse().ok()?;
    /// Above this a double no longer holds every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (float.fract() == 0.0 && (0.0..=EXACT).contains(&float) && raw.first() != Some(&b'"')).then_some(float as u64)
}
