//! Asking prefill servers' bootstrap services, and remembering for a moment what they said.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Uri};
use parking_lot::Mutex;
use pd::Meeting;
use pd::bootstrap::{Engines, QUERY_PATH};
use proxy::body::collect;
use proxy::{Body, Client, Target};
use telemetry::clock::{self, Moment};

use crate::prefill::{Failed, Prefiller};

/// How long a service may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer is used again. An engine that was started anew has another id, and a decoder that is given the old
/// one finds nothing; so the answer is dropped at the first failure as well.
const FRESH: Duration = Duration::from_secs(5);
/// An answer is a line per rank.
const LONGEST: usize = 1 << 20;
/// Services remembered.
const MOST: usize = 1024;

/// What the bootstrap services said lately.
#[derive(Debug, Default)]
pub(crate) struct Bootstraps {
    known: Mutex<HashMap<Box<str>, Known>>,
}

#[derive(Debug)]
struct Known {
    engines: Arc<Engines>,
    asked: Moment,
}

impl Bootstraps {
    /// Where the two legs of an attempt meet whose prefill runs on `prefiller`; the service listens at its `port`.
    pub(crate) async fn meeting(&self, client: &Client, prefiller: &Prefiller, port: u16) -> Result<Meeting, Failed> {
        let target = prefiller.target.sibling(port);
        let engines = match self.recall(target.authority()) {
            Some(engines) => engines,
            None => self.ask(client, &target).await?,
        };
        Ok(Meeting::Transfer(engines.transfer(target.authority())))
    }

    /// Something went wrong with `prefiller`: what was known of it may be out of date.
    pub(crate) fn forget(&self, prefiller: &Prefiller, port: u16) {
        self.known.lock().remove(prefiller.target.sibling(port).authority());
    }

    fn recall(&self, authority: &str) -> Option<Arc<Engines>> {
        let known = self.known.lock();
        let found = known.get(authority)?;
        (clock::now() - found.asked < FRESH).then(|| Arc::clone(&found.engines))
    }

    async fn ask(&self, client: &Client, target: &Target) -> Result<Arc<Engines>, Failed> {
        let failed = |message: String| {
            Failed::bootstrap(format!("the bootstrap service at {} cannot be used: {message}", target.authority()))
        };
        let answer = tokio::time::timeout(PATIENCE, query(client, target)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))).map_err(failed)?;
        let engines = Arc::new(Engines::parse(&answer).map_err(|error| failed(error.to_string()))?);
        let mut known = self.known.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(target.authority().into(), Known { engines: Arc::clone(&engines), asked: clock::now() });
        Ok(engines)
    }
}

async fn query(client: &Client, target: &Target) -> Result<bytes::Bytes, String> {
    let mut request = Request::new(Body::Empty);
    *request.uri_mut() = Uri::from_static(QUERY_PATH);
    let response = client.send(target, request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("it answered {status}"));
    }
    collect(response.into_body(), LONGEST).await.map_err(|error| error.to_string())
}
