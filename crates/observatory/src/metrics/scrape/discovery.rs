//! Targets from an HTTP endpoint, as Prometheus' `http_sd` asks for them.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use proxy::{Client, ClientConfig, Drain};
use serde::Deserialize;

use super::fetch::{get, split};
use super::target::{ScrapeTarget, TargetError, parts};
use super::targets::Targets;

/// How often the endpoint is asked.
const REFRESH: Duration = Duration::from_secs(15);
/// How long it may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An endpoint that lists targets, and labels for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    url: String,
    labels: Vec<(String, String)>,
}

impl FromStr for Discovery {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        // What a target's text must be holds here, too.
        text.parse::<ScrapeTarget>()?;
        let (url, labels) = parts(text).unwrap_or_default();
        let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Self { url: url.to_owned(), labels: labels.collect() })
    }
}

/// One entry of the list.
#[derive(Debug, Deserialize)]
struct Group {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Discovery {
    /// Keeps the targets as the endpoint lists them, until the drain begins. While it does not answer, the targets stay as
    /// they were.
    pub(crate) async fn run(self, targets: Arc<Targets>, drain: Drain) {
        let client = Client::new(ClientConfig::default());
        let mut tick = tokio::time::interval(REFRESH);
        loop {
            tokio::select! {
                biased;
                () = drain.begun() => return,
                _ = tick.tick() => {}
            }
            let found = tokio::time::timeout(TIMEOUT, self.ask(&client)).await;
            match found.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}"))) {
                Ok(found) => targets.set(&self.url, found),
                Err(error) => {
                    tracing::warn!(url = self.url, %error, "targets not refreshed; those known go on being scraped");
                }
            }
        }
    }

    async fn ask(&self, client: &Client) -> Result<Vec<ScrapeTarget>, String> {
        let (target, path) = split(&self.url);
        let list = get(client, target.as_ref(), &path, "application/json").await?;
        self.read(&list)
    }

    /// The targets of a list. One that makes no sense is left out and said.
    fn read(&self, list: &str) -> Result<Vec<ScrapeTarget>, String> {
        let groups: Vec<Group> = serde_json::from_str(list).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        for group in &groups {
            let special = |name: &str, default| group.labels.get(name).map_or(default, String::as_str);
            let (scheme, path) = (special("__scheme__", "http"), special("__metrics_path__", "/metrics"));
            let own = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let listed = group.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let labels: Vec<_> = own.chain(listed.filter(|(name, _)| !name.starts_with("__"))).collect();
            for address in &group.targets {
                match ScrapeTarget::new(&format!("{scheme}://{address}{path}"), labels.iter().copied()) {
                    Ok(target) => found.push(target),
                    Err(error) => tracing::warn!(url = self.url, %error, "a listed target was left out"),
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_prometheus_reads_it() {
        let discovery: Discovery = "http://sd/list;job=engines;zone=a".parse().unwrap();
        let list = r#"[{"targets": ["a:1", "b:2", "not a host"], "labels": {"zone": "b", "__metrics_path__": "/m", "__x": "y"}},
                       {"targets": ["c:3"]}]"#;
        let found = discovery.read(list).unwrap();
        let shown: Vec<_> = found.iter().map(|target| format!("{target} {}", target.labels())).collect();
        assert_eq!(
            shown,
            [
                r#"http://a:1/m {instance="a:1", job="engines", zone="b"}"#,
                r#"http://b:2/m {instance="b:2", job="engines", zone="b"}"#,
                r#"http://c:3/metrics {instance="c:3", job="engines", zone="a"}"#,
            ]
        );
        assert!(discovery.read("{").is_err());
    }
}
