//! How a fleet's gateways choose instances.

use std::time::Duration;

use anyhow::Context as _;
use cluster::RedisConfig;
use cluster::cms::Store;

/// How long a Redis may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How instances are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placing {
    /// Each in turn; there is no scheduler.
    InTurn,
    /// By a scheduler in full mode, over a CMS in this process.
    InMemory,
    /// By a scheduler in full mode, over a CMS in Redis at this URL.
    InRedis(String),
}

impl Placing {
    /// The CMS of the `index`th group, if it has one. Groups speak different protocols and must not be mixed: in Redis each has
    /// a database of its own.
    pub(crate) fn store(&self, index: usize) -> anyhow::Result<Option<Store>> {
        match self {
            Self::InTurn => Ok(None),
            Self::InMemory => Ok(Some(Store::memory())),
            Self::InRedis(url) => {
                let url = format!("{}/{index}", url.trim_end_matches('/'));
                let config = RedisConfig::parse(&url, TIMEOUT).context("--cms")?;
                Ok(Some(Store::redis(config)))
            }
        }
    }
}
