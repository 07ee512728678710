//! From a candidate's name to a connection target that the allow-list has judged.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proxy::Target;
use proxy::client::TlsPolicy;
use telemetry::clock::{self, Moment};

use crate::allow::{AllowList, Refusal};
use crate::config::StageTls;
use crate::target::Candidate;

/// Targets remembered; each is some hundred bytes and, while in use, the connections to one engine.
const MOST: usize = 1024;
/// How long a resolver's answer is used again. Pods keep their address for life; this is for everything else.
const FRESH: Duration = Duration::from_secs(5);

/// Prefill targets by `host:port`.
///
/// A target remembers its pool of connections, so it is made once and not for every request; the allow-list is asked every
/// time all the same, since pods come and go.
#[derive(Debug)]
pub(crate) struct Targets {
    allow: AllowList,
    tls: StageTls,
    patience: Duration,
    known: Mutex<HashMap<Arc<str>, Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    target: Target,
    addresses: Arc<[IpAddr]>,
    resolved: Moment,
}

impl Targets {
    /// `patience` bounds name resolution.
    pub(crate) fn new(allow: AllowList, tls: StageTls, patience: Duration) -> Self {
        Self { allow, tls, patience, known: Mutex::default() }
    }

    /// The allow-list, for whoever keeps its pods up to date.
    pub(crate) fn allow(&self) -> &AllowList {
        &self.allow
    }

    /// The target of `candidate`.
    ///
    /// # Errors
    /// When the allow-list refuses it, or its name does not resolve.
    pub(crate) async fn judged(&self, candidate: &Candidate) -> Result<Target, Refusal> {
        match candidate.address() {
            Some(address) => {
                self.allow.address(address)?;
                Ok(self
                    .recall(candidate)
                    .unwrap_or_else(|| self.remember(candidate, address, Arc::from([address])))
                    .target)
            }
            None => self.judged_name(candidate).await,
        }
    }

    async fn judged_name(&self, candidate: &Candidate) -> Result<Target, Refusal> {
        if let Some(known) = self.recall(candidate)
            && clock::now() - known.resolved < FRESH
        {
            self.allow.resolved(candidate.host(), &known.addresses)?;
            return Ok(known.target);
        }
        let addresses: Arc<[IpAddr]> = self.resolve(candidate).await.into();
        let address = self.allow.resolved(candidate.host(), &addresses)?;
        Ok(self.remember(candidate, address, addresses).target)
    }

    async fn resolve(&self, candidate: &Candidate) -> Vec<IpAddr> {
        let lookup = tokio::net::lookup_host((candidate.host(), candidate.port));
        match tokio::time::timeout(self.patience, lookup).await {
            Ok(Ok(addresses)) => addresses.map(|address| address.ip()).collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    fn recall(&self, candidate: &Candidate) -> Option<Known> {
        self.known.lock().get(candidate.authority()).cloned()
    }

    fn remember(&self, candidate: &Candidate, address: IpAddr, addresses: Arc<[IpAddr]>) -> Known {
        let target = candidate.target(address);
        let target = match self.tls {
            StageTls { enabled: false, .. } => target,
            StageTls { skip_verify: true, .. } => target.with_tls(TlsPolicy::SkipVerify),
            StageTls { .. } => target.with_tls(TlsPolicy::Verify),
        };
        let known = Known { target, addresses, resolved: clock::now() };
        let mut all = self.known.lock();
        if all.len() >= MOST {
            // Which one to forget does not matter: its pool lives on in the client, and it is soon made again.
            all.clear();
        }
        all.insert(candidate.shared_authority(), known.clone());
        known
    }
}
