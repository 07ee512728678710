//! Looking again and again, and carrying out what should be moved.

use std::sync::Arc;

use parking_lot::Mutex;
use telemetry::clock;
use telemetry::scheduler::{Migrated, Rescheduling};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::plan::{Busy, Move, Party, plan};
use super::{Selection, Settings};
use crate::view::ClusterView;

/// With how many destinations a migration is tried before the next round decides anew.
const ATTEMPTS: usize = 3;

/// Why an instance did not hand over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Its llumlet cannot be talked to; another destination does not help.
    #[error("its llumlet is not reached: {0}")]
    Unreachable(String),
    /// It says that it did not, and why.
    #[error("{0}")]
    Refused(String),
}

/// Those who move requests.
pub(crate) trait Llumlet: Send + Sync + 'static {
    /// Has an instance hand requests over; what it says of it.
    fn migrate(&self, moved: &Move, to: &Party) -> impl Future<Output = Result<String, Failure>> + Send;
}

/// The rounds of a process.
pub(crate) struct Rounds<L> {
    pub(crate) settings: Settings,
    pub(crate) llumlet: L,
    pub(crate) recorder: Rescheduling,
}

impl<L: Llumlet> Rounds<L> {
    /// Makes rounds until it is dropped. What `view` gives is looked at; where it gives nothing, it is not for this process to
    /// move anything.
    pub(crate) async fn run(self, view: impl Fn() -> Option<Arc<ClusterView>>) {
        // Its series are there before anything is counted in them: what begins with a 1 has no rate.
        let everything = Selection::EVERYTHING;
        self.recorder.selecting(everything.amount.rule(), everything.order);
        let rounds = Arc::new(self);
        let busy = Arc::new(Mutex::new(Busy::default()));
        let mut tick = interval(rounds.settings.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Never more than there are instances: each hands over once at a time.
        let mut moving = JoinSet::new();
        for turn in 0.. {
            tick.tick().await;
            while moving.try_join_next().is_some() {}
            let Some(view) = view() else { continue };
            let now_busy = busy.lock().clone();
            for moved in plan(&view, &rounds.settings, &now_busy, clock::now(), turn) {
                let taking_part = TakingPart::begin(&busy, &moved);
                let rounds = Arc::clone(&rounds);
                moving.spawn(async move {
                    rounds.carry_out(&moved).await;
                    drop(taking_part);
                });
            }
        }
    }

    /// Tries one destination after the other.
    async fn carry_out(&self, moved: &Move) {
        let recorder = self.recorder.selecting(moved.selection.amount.rule(), moved.selection.order);
        let from = &*moved.from.id;
        for to in moved.to.iter().take(ATTEMPTS) {
            recorder.asked();
            let answer = timeout(self.settings.timeout, self.llumlet.migrate(moved, to)).await;
            let (outcome, problem) = match answer {
                Ok(Ok(message)) => {
                    recorder.ended(Migrated::Done);
                    tracing::info!(from, to = &*to.id, trigger = moved.trigger, message, "requests moved");
                    return;
                }
                Ok(Err(failure @ Failure::Unreachable(_))) => (Migrated::Unreachable, failure.to_string()),
                Ok(Err(failure @ Failure::Refused(_))) => (Migrated::Refused, failure.to_string()),
                Err(_) => (Migrated::Timeout, format!("no answer within {:?}", self.settings.timeout)),
            };
            recorder.ended(outcome);
            tracing::warn!(from, to = &*to.id, trigger = moved.trigger, problem, "requests not moved");
            if outcome == Migrated::Unreachable {
                return;
            }
        }
    }
}

/// Two instances that are busy with a migration, for as long as this is there.
struct TakingPart {
    busy: Arc<Mutex<Busy>>,
    from: Arc<str>,
    to: Option<Arc<str>>,
}

impl TakingPart {
    fn begin(busy: &Arc<Mutex<Busy>>, moved: &Move) -> Self {
        let from = Arc::clone(&moved.from.id);
        let mut now = busy.lock();
        now.from.insert(Arc::clone(&from));
        // Several may fail over to one; who marked it takes the mark away.
        let to = moved.to.first().map(|to| Arc::clone(&to.id)).filter(|to| now.to.insert(Arc::clone(to)));
        drop(now);
        Self { busy: Arc::clone(busy), from, to }
    }
}

impl Drop for TakingPart {
    fn drop(&mut self) {
        let mut busy = self.busy.lock();
        busy.from.remove(&self.from);
        if let Some(to) = &self.to {
            busy.to.remove(to);
        }
    }
}
