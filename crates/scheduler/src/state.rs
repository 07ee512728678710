//! What all requests of a scheduler share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use proxy::Drain;
use telemetry::Telemetry;
use telemetry::clock::Moment;
use telemetry::scheduler::Scheduler as Recorder;

use crate::election::Leadership;
use crate::gateways::Gateways;
use crate::locality::{PrefixConfig, Prefixes};
use crate::lrs::Lrs;
use crate::policy::{Mode, Policy};
use crate::view::ClusterView;

/// The shared parts. Decisions read them; nothing that a decision reads is behind a lock.
pub(crate) struct State {
    pub(crate) policy: Policy,
    pub(crate) view: ArcSwap<ClusterView>,
    pub(crate) health: ArcSwap<Health>,
    pub(crate) lrs: Lrs,
    pub(crate) prefixes: Option<Prefixes>,
    pub(crate) gateways: Gateways,
    pub(crate) leadership: Leadership,
    pub(crate) recorder: Recorder,
    pub(crate) drain: Drain,
    pub(crate) keeps_account: bool,
    pub(crate) max_body_bytes: usize,
    /// Whether requests are placed here, or only moved.
    pub(crate) places: bool,
    turns: AtomicU64,
}

/// How the source of instances is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// It has answered at least once.
    pub(crate) loaded: bool,
    /// Since when it does not answer, and why.
    pub(crate) failure: Option<(Moment, String)>,
}

impl State {
    pub(crate) fn new(
        policy: Policy,
        leadership: Leadership,
        telemetry: &Arc<Telemetry>,
        drain: Drain,
        prefix: Option<PrefixConfig>,
        (keeps_account, max_body_bytes): (bool, usize),
        places: bool,
    ) -> Self {
        let recorder = Recorder::new(telemetry, policy.mode() == Mode::Full);
        recorder.leads(leadership.leads());
        if prefix.is_some() {
            recorder.looks_up_prefixes();
        }
        Self {
            policy,
            view: ArcSwap::default(),
            health: ArcSwap::default(),
            lrs: Lrs::default(),
            prefixes: prefix.map(Prefixes::new),
            gateways: Gateways::default(),
            leadership,
            recorder,
            drain,
            keeps_account,
            max_body_bytes,
            places,
            turns: AtomicU64::new(0),
        }
    }

    /// The number of the next choice.
    pub(crate) fn next_turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The source answered.
    pub(crate) fn well(&self) {
        let before = self.health.load();
        if before.failure.is_some() {
            tracing::info!("instances are read again");
        }
        if before.failure.is_some() || !before.loaded {
            self.health.store(Arc::new(Health { loaded: true, failure: None }));
        }
    }

    /// The source did not answer.
    pub(crate) fn unwell(&self, problem: &str, now: Moment) {
        let before = self.health.load();
        let since = before.failure.as_ref().map(|(since, _)| *since);
        if since.is_none() {
            tracing::warn!(problem, "instances cannot be read; decisions go on from what is known until it is stale");
        }
        let failure = Some((since.unwrap_or(now), problem.to_owned()));
        self.health.store(Arc::new(Health { loaded: before.loaded, failure }));
    }
}
