//! What is scraped.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;

use crate::metrics::Labels;

/// The job of a target that does not say which it is.
const JOB: &str = "candor";

/// A page of metrics, and the labels that its series get.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScrapeTarget {
    url: String,
    labels: Labels,
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no target: it should be URL or URL;label=value;… ({why})")]
pub struct TargetError {
    text: String,
    why: &'static str,
}

/// How a target is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// When it was last scraped, in Unix milliseconds, and how long that took.
    pub last: Option<(i64, Duration)>,
    /// Why that failed, if it did.
    pub error: Option<String>,
}

impl ScrapeTarget {
    /// The page at `url`, with labels for all its series. `instance` is the URL's host and port unless the labels say another.
    ///
    /// # Errors
    /// When the URL is none that can be scraped, or a label's name is no name.
    pub fn new<'a>(url: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, TargetError> {
        let wrong = |why| TargetError { text: url.to_owned(), why };
        let uri: Uri = url.parse().map_err(|_| wrong("that is no URL"))?;
        let authority = uri.authority().ok_or_else(|| wrong("the URL names no host"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("its scheme is neither http nor https"));
        }
        let mut pairs = vec![("job", JOB), ("instance", authority.as_str())];
        for (name, value) in labels {
            let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !legal || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(wrong("a label's name is no name"));
            }
            pairs.push((name, value));
        }
        let path = if matches!(uri.path(), "" | "/") && uri.query().is_none() { "/metrics" } else { "" };
        Ok(Self { url: format!("{}{path}", url.trim_end_matches('/')), labels: Labels::new(pairs) })
    }

    /// Where the page is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The labels of all its series.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl FromStr for ScrapeTarget {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (url, labels) = parts(text).map_err(|why| TargetError { text: text.to_owned(), why })?;
        Self::new(url, labels)
    }
}

/// A URL, and labels.
type Parts<'a> = (&'a str, Vec<(&'a str, &'a str)>);

/// URL and labels of `URL;label=value;…`.
pub(super) fn parts(text: &str) -> Result<Parts<'_>, &'static str> {
    let mut parts = text.split(';');
    let url = parts.next().unwrap_or_default().trim();
    let labels = parts.map(|part| part.split_once('=').ok_or("a label has no value"));
    Ok((url, labels.collect::<Result<_, _>>()?))
}

impl fmt::Display for ScrapeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}
