//! What the metrics of the audited processes grew by over a run.

use std::collections::{BTreeMap, BTreeSet};

use std::net::SocketAddr;

use http::Uri;
use telemetry::exposition;

use crate::client::get;
use crate::load::{Fault, Target};

/// A metric endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The server.
    pub target: Target,
    /// The path, usually `/metrics`.
    pub path: String,
}

/// Why an endpoint could not be scraped.
#[derive(Debug, thiserror::Error)]
#[error("cannot scrape {endpoint}: {why}")]
pub struct ScrapeError {
    endpoint: String,
    why: String,
}

/// One sample's identity: its name and its labels in order.
type Series = (String, BTreeMap<String, String>);

/// All samples of some endpoints at one moment, added up over the endpoints.
#[derive(Clone, Debug, Default)]
pub struct Scrape(BTreeMap<Series, f64>);

/// The growth between two scrapes.
#[derive(Clone, Debug, Default)]
pub struct Delta(BTreeMap<Series, f64>);

impl Endpoint {
    /// `/metrics` at an address.
    pub fn metrics(addr: SocketAddr) -> Self {
        Self { target: Target::of(addr), path: "/metrics".to_owned() }
    }

    /// The endpoint at a URL; `/metrics` where it names no path.
    ///
    /// # Errors
    /// When it is no usable `http` URL.
    pub fn at(url: &str) -> Result<Self, Fault> {
        let target = Target::at(url)?;
        let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
        let path = match uri.path() {
            "" | "/" => "/metrics".to_owned(),
            path => path.to_owned(),
        };
        Ok(Self { target, path })
    }

    /// Fetches the page as text.
    ///
    /// # Errors
    /// When there is no answer, or one other than 2xx.
    pub async fn text(&self) -> Result<String, ScrapeError> {
        let page = get(&self.target, &self.path).await;
        let (status, body) = page.map_err(|error| self.failed(&error))?;
        if !status.is_success() {
            return Err(self.failed(&format!("status {status}")));
        }
        String::from_utf8(body).map_err(|error| self.failed(&error))
    }

    async fn scrape(&self) -> Result<exposition::Scrape, ScrapeError> {
        exposition::parse(&self.text().await?).map_err(|error| self.failed(&error))
    }

    fn failed(&self, why: &dyn std::fmt::Display) -> ScrapeError {
        ScrapeError { endpoint: format!("http://{}{}", self.target.addr, self.path), why: why.to_string() }
    }
}

impl Scrape {
    /// Scrapes every endpoint, one after the other.
    ///
    /// # Errors
    /// When one of them does not answer with metrics in the text format.
    pub async fn of(endpoints: &[Endpoint]) -> Result<Self, ScrapeError> {
        let mut series = Self::default();
        for endpoint in endpoints {
            series.add(endpoint.scrape().await?);
        }
        Ok(series)
    }

    pub(crate) fn add(&mut self, page: exposition::Scrape) {
        for sample in page.samples {
            let labels = sample.labels.into_iter().collect();
            *self.0.entry((sample.name, labels)).or_insert(0.0) += sample.value;
        }
    }

    /// What has been added since `before`; a series that was not there then started at 0.
    pub fn since(&self, before: &Self) -> Delta {
        let growth = |(series, value): (&Series, &f64)| {
            let earlier = before.0.get(series).copied().unwrap_or(0.0);
            (series.clone(), value - earlier)
        };
        Delta(self.0.iter().map(growth).collect())
    }
}

impl Delta {
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a BTreeMap<String, String>, f64)> {
        let series = self.0.iter().filter(move |((found, _), _)| found == name);
        series.map(|((_, labels), value)| (labels, *value))
    }

    /// The sum of all series of `name` with these labels; `None` when the metric itself is not exposed.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut all = self.named(name).peekable();
        all.peek()?;
        let has = |found: &BTreeMap<String, String>| {
            let mut wanted = labels.iter();
            wanted.all(|(key, value)| found.get(*key).is_some_and(|v| v == value))
        };
        Some(all.filter(|(found, _)| has(found)).map(|(_, value)| value).sum())
    }

    /// Sum and count of a histogram over all its label sets; `None` when it is not exposed.
    pub fn histogram(&self, name: &str) -> Option<(f64, f64)> {
        let sum = self.counter(&format!("{name}_sum"), &[])?;
        Some((sum, self.counter(&format!("{name}_count"), &[])?))
    }

    /// The values of a label over the series of a metric that have grown.
    pub fn values_of(&self, name: &str, label: &str) -> BTreeSet<String> {
        let grown = self.named(name).filter(|(_, value)| *value != 0.0);
        grown.filter_map(|(labels, _)| labels.get(label).cloned()).collect()
    }
}

#[cfg(test)]
mod tests;
