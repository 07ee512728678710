//! Parameters: of the query and of a form in the body, which count together.

use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use promql_parser::label::Matcher;
use promql_parser::parser::{self, Expr};
use proxy::body;

use super::answer::ApiError;
use crate::promql;

/// Longest form.
const MAX_FORM: usize = 1 << 20;

/// All parameters in order, decoded.
pub(super) struct Params(Vec<(String, String)>);

type Result<T> = std::result::Result<T, ApiError>;

impl Params {
    pub(super) async fn read(request: Request<Incoming>) -> Result<Self> {
        let mut params = decode(request.uri().query().unwrap_or_default().as_bytes());
        if request.method() == Method::POST {
            let form = body::collect(request.into_body().boxed_unsync(), MAX_FORM).await;
            let form = form.map_err(|error| ApiError::bad_data(format!("error parsing form values: {error}")))?;
            // As in Go's `http.Request.Form`, the body's come first.
            let query = std::mem::replace(&mut params, decode(&form));
            params.extend(query);
        }
        Ok(Self(params))
    }

    /// The first value of a parameter, unless it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.1.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A time in Unix milliseconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let millis = parse_time(text)
            .ok_or_else(|| ApiError::parameter(name, format!("cannot parse {text:?} to a valid timestamp")))?;
        Ok(Some(millis))
    }

    /// A duration in milliseconds: seconds with decimals, or as PromQL spells it.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let wrong = || ApiError::parameter(name, format!("cannot parse {text:?} to a valid duration"));
        parse_duration(text).ok_or_else(wrong).map(Some)
    }

    /// `start` and `end`, everything where they are not given.
    pub(super) fn range(&self) -> Result<(i64, i64)> {
        let (start, end) = (self.time("start")?.unwrap_or(i64::MIN), self.time("end")?.unwrap_or(i64::MAX));
        if end < start {
            return Err(ApiError::bad_data("end timestamp must not be before start time"));
        }
        Ok((start, end))
    }

    /// A whole number.
    pub(super) fn count(&self, name: &str) -> Result<Option<usize>> {
        let number = self.text(name).map(str::parse).transpose();
        number.map_err(|_| ApiError::bad_data(format!("{name} must be a number")))
    }

    /// The selectors of `match[]`.
    pub(super) fn selectors(&self) -> Result<Vec<Vec<Matcher>>> {
        self.all("match[]").map(selector).collect()
    }
}

fn decode(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// Seconds with decimals, or RFC 3339.
fn parse_time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let millis = (seconds * 1000.0).round();
        return (millis.abs() < 9.2e18).then_some(millis as i64);
    }
    let time = humantime::parse_rfc3339_weak(text.trim_end_matches("+00:00")).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

/// Seconds with decimals, or as PromQL spells it.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let millis = (seconds * 1000.0).round();
        return (millis.abs() < 9.2e18).then_some(millis as i64);
    }
    let duration = promql_parser::util::parse_duration(text).ok()?;
    i64::try_from(duration.as_millis()).ok()
}

/// The matchers of one selector.
fn selector(text: &str) -> Result<Vec<Matcher>> {
    let wrong = |what: String| ApiError::parameter("match[]", what);
    match parser::parse(text).map_err(wrong)? {
        Expr::VectorSelector(selector) => promql::matchers(&selector).map_err(|error| wrong(error.to_string())),
        _ => Err(wrong(format!("{text} is no selector"))),
    }
}
