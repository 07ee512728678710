//! The loops, one for each target.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use proxy::{Client, ClientConfig, Drain};
use telemetry::clock;
use telemetry::observatory::Observatory;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::fetch::Fetch;
use super::page::Pages;
use super::target::{Health, ScrapeTarget};
use crate::metrics::store::Store;
use crate::time::unix_millis;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two scrapes of a target.
    pub interval: Duration,
    /// How long a target may take.
    pub timeout: Duration,
}

/// The targets, and how they are.
pub struct Targets {
    /// What is to be scraped, by who says so.
    wanted: watch::Sender<BTreeMap<String, Vec<ScrapeTarget>>>,
    health: RwLock<BTreeMap<ScrapeTarget, Health>>,
    timing: Timing,
    telemetry: Observatory,
}

impl Targets {
    /// No targets yet.
    #[must_use]
    pub fn new(timing: Timing, telemetry: Observatory) -> Self {
        Self { wanted: watch::Sender::default(), health: RwLock::default(), timing, telemetry }
    }

    /// Sets the targets that `source` knows of, in place of those it named before.
    pub fn set(&self, source: &str, targets: Vec<ScrapeTarget>) {
        self.wanted.send_modify(|wanted| drop(wanted.insert(source.to_owned(), targets)));
    }

    /// Every target and what became of its last scrape.
    #[must_use]
    pub fn health(&self) -> Vec<(ScrapeTarget, Health)> {
        self.health.read().iter().map(|(target, health)| (target.clone(), health.clone())).collect()
    }

    /// How long and how often.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Scrapes until the drain begins.
    pub(crate) async fn run(self: Arc<Self>, store: Arc<Store>, drain: Drain) {
        let client = Client::new(ClientConfig {
            connect_timeout: self.timing.timeout,
            idle_timeout: self.timing.interval + self.timing.timeout,
            ..ClientConfig::default()
        });
        let mut wanted = self.wanted.subscribe();
        let mut loops: BTreeMap<ScrapeTarget, CancellationToken> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        loop {
            let now: BTreeSet<ScrapeTarget> = wanted.borrow_and_update().values().flatten().cloned().collect();
            loops.retain(|target, stop| {
                let stays = now.contains(target);
                if !stays {
                    stop.cancel();
                }
                stays
            });
            for target in now {
                loops.entry(target).or_insert_with_key(|target| {
                    let stop = CancellationToken::new();
                    let fetch = Fetch::new(target, client.clone());
                    let pages = Pages::new(target.clone(), Arc::clone(&store));
                    tasks.spawn(Arc::clone(&self).keep_scraping(fetch, pages, stop.clone()));
                    stop
                });
            }
            tokio::select! {
                () = drain.begun() => break,
                changed = wanted.changed() => if changed.is_err() { break },
                Some(_) = tasks.join_next() => {}
            }
        }
        loops.values().for_each(CancellationToken::cancel);
        while tasks.join_next().await.is_some() {}
    }

    /// Scrapes one target until it is told to stop.
    async fn keep_scraping(self: Arc<Self>, fetch: Fetch, mut pages: Pages, stop: CancellationToken) {
        let target = pages.target().clone();
        self.health.write().insert(target.clone(), Health::default());
        let Timing { interval, timeout } = self.timing;
        let mut tick = tokio::time::interval(interval);
        // Late is late: no two scrapes in a row to make up for it.
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // At once for who has just started us and looks; from then on when it has its turn.
        let mut turn = Some(offset(&target, interval));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
            }
            if let Some(turn) = turn.take() {
                tick.reset_after(turn);
            }
            let (began, at) = (clock::now(), unix_millis());
            let page = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                page = tokio::time::timeout(timeout, fetch.page()) => page,
            };
            let page = page.unwrap_or_else(|_| Err(format!("no complete answer within {timeout:?}")));
            let took = clock::now() - began;
            // A page may be large; whoever else is served here does not wait for it.
            let taken = tokio::task::spawn_blocking(move || (pages.take(page, at, took), pages)).await;
            let error = match taken {
                Ok((error, back)) => {
                    pages = back;
                    error
                }
                Err(error) => return tracing::error!(url = target.url(), %error, "a target is not scraped any more"),
            };
            self.telemetry.scraped(error.is_none());
            let health = Health { last: Some((at, took)), error };
            let before = self.health.write().insert(target.clone(), health.clone());
            said(target.url(), before.unwrap_or_default().error.as_deref(), health.error.as_deref());
        }
        pages.end(unix_millis());
        self.health.write().remove(&target);
    }
}

/// When in each interval a target has its turn, the same one after a restart. All of them at once would be a load that comes
/// and goes, on us and on a machine that has several of them.
fn offset(target: &ScrapeTarget, interval: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    target.url().hash(&mut hasher);
    interval.mul_f64(hasher.finish() as f64 / u64::MAX as f64)
}

/// Says when a target begins to fail, and when it answers again; what it fails of in between is in `/api/v1/targets`.
fn said(url: &str, before: Option<&str>, error: Option<&str>) {
    match (before, error) {
        (None, Some(error)) => tracing::warn!(url, error, "a target cannot be scraped; others are not affected"),
        (Some(_), None) => tracing::info!(url, "a target is scraped again"),
        _ => {}
    }
}
