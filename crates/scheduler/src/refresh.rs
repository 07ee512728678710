//! The tasks that keep the snapshot true. They alone read stores, and no request waits for them.

use std::sync::Arc;
use std::time::Duration;

use cluster::StoreError;
use cluster::cms::Store;
use cluster::discovery::Discovery;
use telemetry::clock;
use telemetry::scheduler::{Predicted, Refreshed};
use tokio::time::{MissedTickBehavior, interval};

use crate::predict::Predictor;
use crate::state::State;
use crate::view::Roster;

/// How often requests that nobody speaks of are looked for, in lite mode.
const SWEEP: Duration = Duration::from_secs(5);

/// Reads the CMS again and again, until it is dropped.
pub(crate) struct CmsRefresh {
    pub(crate) state: Arc<State>,
    pub(crate) store: Store,
    pub(crate) status_interval: Duration,
    pub(crate) metadata_interval: Duration,
    pub(crate) account_patience: Duration,
    pub(crate) predictor: Option<Predictor>,
    pub(crate) usual_batch: u64,
}

impl CmsRefresh {
    pub(crate) async fn run(mut self) {
        let mut roster = Roster::new(self.predictor.take(), self.usual_batch);
        let mut tick = interval(self.status_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut metadata_due = clock::now();
        loop {
            tick.tick().await;
            self.state.recorder.aged(roster.expire(clock::now(), self.account_patience));
            let now = clock::now();
            if now >= metadata_due {
                if let Err(error) = self.metadata(&mut roster).await {
                    self.failed(&mut roster, Refreshed::Metadata, &error);
                    continue;
                }
                metadata_due = now + self.metadata_interval;
            }
            match self.statuses(&mut roster).await {
                Ok(false) => {}
                // What they are now is in their metadata.
                Ok(true) => metadata_due = now,
                Err(error) => {
                    self.failed(&mut roster, Refreshed::Status, &error);
                    // A store that comes back may have forgotten who there is.
                    metadata_due = now;
                }
            }
        }
    }

    async fn metadata(&self, roster: &mut Roster) -> Result<(), StoreError> {
        let began = clock::now();
        let read = self.store.metadata().await?;
        let now = clock::now();
        for gone in roster.metadata(read.records.iter().map(Arc::as_ref), now) {
            tracing::info!(instance = %gone, "instance gone, or begun anew");
        }
        self.publish(roster);
        self.state.recorder.refreshed(Refreshed::Metadata, clock::now() - began, read.bad.len());
        for bad in &read.bad {
            tracing::warn!("CMS: {bad}");
        }
        Ok(())
    }

    async fn statuses(&self, roster: &mut Roster) -> Result<bool, StoreError> {
        let began = clock::now();
        let ids: Vec<Arc<str>> = roster.ids().cloned().collect();
        let read = self.store.statuses(ids.iter().map(|id| &**id)).await?;
        let changed = roster.statuses(read.records.iter().map(Arc::as_ref), clock::now());
        for error in roster.take_progress() {
            self.state.recorder.predicted(Predicted::PrefillProgress, error);
        }
        self.publish(roster);
        self.state.recorder.refreshed(Refreshed::Status, clock::now() - began, read.bad.len());
        self.state.well();
        Ok(changed)
    }

    fn failed(&self, roster: &mut Roster, what: Refreshed, error: &StoreError) {
        roster.lose();
        self.state.recorder.refresh_failed(what);
        self.state.unwell(&error.to_string(), clock::now());
    }

    fn publish(&self, roster: &Roster) {
        self.state.view.store(Arc::new(roster.view()));
    }
}

/// Follows discovery, and takes off requests that nobody will release.
pub(crate) async fn follow(state: Arc<State>, mut discovery: Discovery, patience: Duration) {
    let mut roster = Roster::default();
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = clock::now();
        for gone in roster.discovered(discovery.roster().instances().iter().cloned(), now) {
            state.recorder.reclaimed(state.lrs.lose_instance(&gone));
        }
        state.view.store(Arc::new(roster.view()));
        let health = discovery.health();
        match &health.failure {
            Some(failure) => state.unwell(&failure.problem, now),
            None if health.loaded => state.well(),
            None => {}
        }
        tokio::select! {
            () = discovery.changed() => {}
            _ = sweep.tick() => state.recorder.reclaimed(state.lrs.expire(clock::now(), patience)),
        }
    }
}
