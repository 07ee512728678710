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
    /// By a scheduler in full mode, over a CMS in this process, and in the next group by one in lite mode: both are seen.
    Alternating,
}

/// How the instances of one group are chosen.
#[derive(Clone, Debug)]
pub(crate) enum Chooser {
    /// The gateway takes each in turn.
    Nobody,
    /// A scheduler in full mode, over this CMS.
    Full(Store),
    /// A scheduler in lite mode, which knows of instances what gateways tell it.
    Lite,
}

impl Placing {
    /// Who chooses in the `index`th group. Groups speak different protocols and must not be mixed: in Redis each has a database
    /// of its own.
    pub(crate) fn chooser(&self, index: usize) -> anyhow::Result<Chooser> {
        match self {
            Self::InTurn => Ok(Chooser::Nobody),
            Self::Alternating if index % 2 == 1 => Ok(Chooser::Lite),
            Self::InMemory | Self::Alternating => Ok(Chooser::Full(Store::memory())),
            Self::InRedis(url) => {
                let url = format!("{}/{index}", url.trim_end_matches('/'));
                let config = RedisConfig::parse(&url, TIMEOUT).context("--cms")?;
                Ok(Chooser::Full(Store::redis(config)))
            }
        }
    }
}
