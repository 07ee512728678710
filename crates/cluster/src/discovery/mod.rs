//! Discovery: which instances there are, as gateways (and a scheduler without a CMS) learn it.
//!
//! [`Discovery::start`] follows a [`Source`] in a task of its own and publishes immutable [`Roster`]s; readers take the current
//! one and never wait. A source that is away, slow, or back without its memory takes nobody off the roster: an instance
//! leaves when its record is taken away while we watch, or when nothing was heard of it for its time to live. A record that
//! cannot be read costs itself only. What is wrong is in the log and in [`Health`].

mod announce;
mod etcd;
mod redis;
mod roster;
mod source;
mod table;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use proxy::Drain;
use telemetry::clock::{self, Moment};
use tokio::sync::watch;

use crate::records::{BadRecord, PodDiscoveryInfo};
use crate::redis::StoreError;
use source::Follower;
use table::Table;

pub use announce::{Announcer, Registry};
pub use etcd::EtcdConfig;
pub use roster::{Health, Roster};
pub use source::Source;

/// What a source answered: every record there is, and what could not be read.
#[derive(Debug, Default)]
struct Found {
    records: Vec<(String, PodDiscoveryInfo)>,
    bad: Vec<BadRecord>,
}

impl Found {
    fn take(&mut self, key: String, value: &[u8]) {
        match crate::records::decode(&key, value) {
            Ok(record) => self.records.push((key, record)),
            Err(bad) => self.bad.push(bad),
        }
    }
}

/// A view of a source. Clones share it.
#[derive(Clone, Debug)]
pub struct Discovery {
    shared: Arc<Shared>,
    changes: watch::Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    roster: ArcSwap<Roster>,
    health: ArcSwap<Health>,
}

impl Discovery {
    /// Follows `source` until `drain` begins.
    #[must_use]
    pub fn start(source: Source, drain: &Drain) -> Self {
        let (changed, changes) = watch::channel(());
        let shared = Arc::new(Shared {
            roster: ArcSwap::from_pointee(Roster::default()),
            health: ArcSwap::from_pointee(Health::new(source.to_string())),
        });
        match source.follower() {
            Ok(follower) => {
                let pursuit = Pursuit { shared: Arc::clone(&shared), changed, failing: false };
                let end = drain.clone();
                drain.spawn(async move {
                    tokio::select! {
                        () = end.begun() => {}
                        () = pursuit.run(follower) => {}
                    }
                });
            }
            Err(instances) => {
                shared.health.store(Arc::new(Health { loaded: true, ..Health::new("endpoints".to_owned()) }));
                shared.roster.store(Arc::new(Roster::new(instances)));
            }
        }
        Self { shared, changes }
    }

    /// The current roster. Never waits.
    #[must_use]
    pub fn roster(&self) -> Arc<Roster> {
        self.shared.roster.load_full()
    }

    /// How the source is. Never waits.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        self.shared.health.load_full()
    }

    /// Resolves when the roster is another than at the last call; never again once following has ended.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Following one source.
struct Pursuit {
    shared: Arc<Shared>,
    changed: watch::Sender<()>,
    failing: bool,
}

impl Pursuit {
    async fn run(mut self, mut follower: Follower) {
        let mut table = Table::new(follower.time_to_live(), follower.alive());
        loop {
            let outcome = follower.load().await;
            let now = clock::now();
            match outcome {
                Ok(found) => {
                    let mut bad = found.bad;
                    bad.extend(table.load(found.records, now, wall_ms(now)));
                    self.publish(table.roster(now));
                    self.answered(bad);
                    self.tidy(&mut follower, table.abandoned(now)).await;
                }
                Err(error) => {
                    table.lost();
                    self.publish(table.roster(now));
                    self.failed(&error);
                }
            }
            follower.pause().await;
        }
    }

    /// The source answered; says what it says that cannot be used, once.
    fn answered(&mut self, bad: Vec<BadRecord>) {
        let before = self.shared.health.load();
        for record in bad.iter().filter(|record| !before.ignored.contains(record)) {
            tracing::warn!("discovery: {record}");
        }
        if std::mem::take(&mut self.failing) {
            tracing::info!(source = before.source, "discovery answers again");
        }
        let health = Health { loaded: true, failure: None, ignored: bad, source: before.source.clone() };
        self.shared.health.store(Arc::new(health));
    }

    /// Takes records out of the source that their writers have abandoned; upstream's gateway does, and so does not even look
    /// whether somebody still writes them.
    async fn tidy(&self, follower: &mut Follower, abandoned: Vec<String>) {
        if abandoned.is_empty() {
            return;
        }
        match follower.forget(&abandoned).await {
            Ok(()) => tracing::info!(keys = ?abandoned, "discovery records removed that nobody has renewed for long"),
            Err(error) => tracing::debug!(%error, "abandoned discovery records not removed"),
        }
    }

    /// The source did not answer.
    fn failed(&mut self, error: &StoreError) {
        let before = self.shared.health.load();
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "discovery does not answer; the roster stays until its entries expire");
        }
        let since = before.failure.as_ref().map_or_else(clock::now, |failure| failure.since);
        let failure = Some(roster::Failure { since, problem: error.to_string() });
        self.shared.health.store(Arc::new(Health { failure, ..Health::clone(&before) }));
    }

    fn publish(&self, roster: Roster) {
        let before = self.shared.roster.load();
        if **before == roster {
            return;
        }
        for change in roster.changes_since(&before) {
            tracing::info!("discovery: {change}");
        }
        self.shared.roster.store(Arc::new(roster));
        let _ = self.changed.send(());
    }
}

/// Milliseconds since 1970.
fn wall_ms(now: Moment) -> i64 {
    i64::try_from(now.unix_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// How long a pause between two looks at a source is at least, so that many changes at once cost one look.
const BREATH: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
