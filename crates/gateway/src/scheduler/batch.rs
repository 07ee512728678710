//! Several requests to one scheduler in one exchange.
//!
//! To place a request and to give it back takes two exchanges of some microseconds each, which is more than the rest that a
//! gateway does for it. So what requests have for a scheduler that takes batches goes into its mailbox, and is carried away as
//! soon as the exchange before has been answered: at once and alone when nothing else comes, a dozen at a time under load.
//! Nobody waits for a batch to fill, and nobody for long for an exchange that hangs.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cluster::api::{BATCH_PATH, Batch, LlmInstance, SchedulingRequest, Verdict};
use http::StatusCode;
use parking_lot::Mutex;
use telemetry::clock;
use telemetry::gateway::{CallOutcome, SchedulerCall};
use tokio::sync::{Notify, Semaphore, oneshot};

use super::call::{Said, placed, unplaced};
use super::keepalive::over;
use super::lease::{Tracked, release};
use super::peer::Peer;
use super::{PATIENCE, Shared};

/// Exchanges with one scheduler at a time, where answers take longer than [`PROMPT`]: one that hangs holds up what it carries,
/// and little more.
pub(super) const EXCHANGES: usize = 4;

/// How long the next exchange waits for the answer to the one before.
const PROMPT: Duration = Duration::from_millis(1);

/// What is carried away at once at most: letters, and token ids in them.
const MOST_LETTERS: usize = 128;
const MOST_IDS: usize = 1 << 16;

/// One thing that a request has for the scheduler.
pub(super) enum Letter {
    /// It wants to be placed, and waits for what is said to that.
    Schedule(Box<SchedulingRequest>, oneshot::Sender<Said>),
    /// It gives these instances back.
    Release(Arc<Tracked>, Vec<LlmInstance>),
}

/// What waits for an exchange.
pub(super) struct Mailbox {
    waiting: Mutex<Waiting>,
    news: Notify,
    /// Whose exchange is next.
    turn: Semaphore,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self { waiting: Mutex::default(), news: Notify::new(), turn: Semaphore::new(1) }
    }
}

#[derive(Default)]
struct Waiting {
    letters: VecDeque<Letter>,
    open: bool,
    /// Nobody carries letters away any more.
    over: bool,
}

impl Mailbox {
    /// Takes letters from now on, or does not. What lies there is carried away in any case.
    pub(super) fn open(&self, open: bool) {
        let mut waiting = self.waiting.lock();
        waiting.open = open && !waiting.over;
    }

    /// Takes no letters any more, whoever connects.
    fn close(&self) {
        let mut waiting = self.waiting.lock();
        (waiting.open, waiting.over) = (false, true);
    }

    /// Leaves a letter; hands it back where the scheduler takes no batches.
    pub(super) fn put(&self, letter: Letter) -> Option<Letter> {
        let mut waiting = self.waiting.lock();
        if !waiting.open {
            return Some(letter);
        }
        waiting.letters.push_back(letter);
        drop(waiting);
        self.news.notify_one();
        None
    }

    /// Takes what fits into one exchange, and says whether something is left.
    fn take(&self) -> (Vec<Letter>, bool) {
        let mut waiting = self.waiting.lock();
        let (mut taken, mut ids) = (Vec::with_capacity(waiting.letters.len().min(MOST_LETTERS)), 0);
        while let Some(letter) = waiting.letters.front() {
            ids += match letter {
                // A hash is written with some three times the digits of a token.
                Letter::Schedule(request, _) => {
                    let hashes = request.prompt_text.as_ref().map_or(0, |text| text.hashes.len());
                    request.prompt_token_ids.len() + 3 * hashes
                }
                Letter::Release(..) => 0,
            };
            let fits = taken.is_empty() || (taken.len() < MOST_LETTERS && ids <= MOST_IDS);
            match fits.then(|| waiting.letters.pop_front()).flatten() {
                Some(letter) => taken.push(letter),
                None => break,
            }
        }
        (taken, !waiting.letters.is_empty())
    }

    /// Takes back the requests that wait to be placed; what is given back stays.
    fn withdraw(&self) -> Vec<oneshot::Sender<Said>> {
        let mut waiting = self.waiting.lock();
        let letters = std::mem::take(&mut waiting.letters);
        let mut withdrawn = Vec::new();
        for letter in letters {
            match letter {
                Letter::Schedule(_, answer) => withdrawn.push(answer),
                release @ Letter::Release(..) => waiting.letters.push_back(release),
            }
        }
        withdrawn
    }
}

/// Asks in the next batch; what is said comes by `answer`. Hands the request back where the scheduler takes no batches.
pub(super) fn ask(
    shared: &Shared,
    peer: &Peer,
    request: SchedulingRequest,
    answer: oneshot::Sender<Said>,
) -> Option<SchedulingRequest> {
    shared.asking.fetch_add(1, Ordering::Relaxed);
    let Letter::Schedule(request, _) = peer.mailbox.put(Letter::Schedule(Box::new(request), answer))? else {
        return None;
    };
    shared.asking.fetch_sub(1, Ordering::Relaxed);
    Some(*request)
}

/// Carries letters to `peer` as long as there are requests.
pub(super) async fn carry(shared: Arc<Shared>, peer: Arc<Peer>) {
    tokio::select! {
        () = over(&shared) => {}
        () = carry_for_ever(&shared, &peer) => {}
    }
    // Nothing was under way a moment ago; from here on nothing is put any more.
    peer.mailbox.close();
    exchange(&shared, &peer).await;
}

async fn carry_for_ever(shared: &Arc<Shared>, peer: &Arc<Peer>) {
    loop {
        peer.mailbox.news.notified().await;
        // Never closed.
        let turn = peer.mailbox.turn.acquire().await.ok();
        let mut exchanging = pin!(exchange(shared, peer));
        if tokio::time::timeout(PROMPT, exchanging.as_mut()).await.is_err() {
            drop(turn);
            exchanging.await;
        }
    }
}

/// One exchange with what waits, if anything does.
async fn exchange(shared: &Arc<Shared>, peer: &Arc<Peer>) {
    let (letters, more) = peer.mailbox.take();
    if more {
        peer.mailbox.news.notify_one();
    }
    if letters.is_empty() {
        return;
    }
    let (mut asked, mut given_back) = (Vec::new(), Vec::new());
    for letter in letters {
        match letter {
            Letter::Schedule(request, answer) => asked.push((*request, answer)),
            // With the keepalive connection of that time the scheduler forgot what we had.
            Letter::Release(tracked, _) if !shared.config.full_mode && !tracked.is_known() => {
                released(shared, CallOutcome::Ok);
            }
            Letter::Release(tracked, instances) => given_back.push((tracked, instances)),
        }
    }
    if asked.is_empty() && given_back.is_empty() {
        return;
    }
    let verdicts = post(shared, peer, &asked, &given_back).await;
    if matches!(verdicts, Err((None, _))) {
        // Whoever waits for the next exchange need not wait for that to fail as well: there are other schedulers.
        for answer in peer.mailbox.withdraw() {
            shared.asking.fetch_sub(1, Ordering::Relaxed);
            drop(answer.send(Said::Failed));
        }
    }
    tell(shared, peer, asked, &verdicts);
    let refused = verdicts.as_ref().is_err_and(|(status, _)| status.is_some_and(|status| status.is_client_error()));
    for (tracked, instances) in given_back {
        match &verdicts {
            Ok(_) => released(shared, CallOutcome::Ok),
            Err(_) if refused => released(shared, CallOutcome::Refused),
            // By itself, and again where that fails, too.
            Err(_) => drop(shared.drain.spawn(release(Arc::clone(shared), tracked, instances))),
        }
    }
}

fn released(shared: &Shared, outcome: CallOutcome) {
    shared.releasing.fetch_sub(1, Ordering::Relaxed);
    shared.telemetry.scheduler_call(SchedulerCall::Release, outcome);
}

/// A status other than 200, where there was one, and why.
type Unheard = (Option<StatusCode>, String);

/// Posts the batch and reads what is said to each request in it.
async fn post(
    shared: &Shared,
    peer: &Peer,
    asked: &[(SchedulingRequest, oneshot::Sender<Said>)],
    given_back: &[(Arc<Tracked>, Vec<LlmInstance>)],
) -> Result<Vec<Verdict>, Unheard> {
    let batch = Batch {
        release: given_back.iter().map(|(tracked, instances)| tracked.to_release(instances.clone())).collect(),
        schedule: asked.iter().map(|(request, _)| request).collect(),
    };
    let (status, body) = shared.post(peer, BATCH_PATH, &batch, PATIENCE).await.map_err(|why| (None, why))?;
    if status != StatusCode::OK {
        return Err((Some(status), String::from_utf8_lossy(&body).into_owned()));
    }
    let unreadable = |why: String| (None, format!("its answer cannot be read: {why}"));
    let verdicts: Vec<Verdict> = serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))?;
    if verdicts.len() != asked.len() {
        return Err(unreadable(format!("{} verdicts on {} requests", verdicts.len(), asked.len())));
    }
    Ok(verdicts)
}

/// Tells each request what was said to it. A placement that nobody waits for any more is given back by being dropped.
fn tell(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    asked: Vec<(SchedulingRequest, oneshot::Sender<Said>)>,
    verdicts: &Result<Vec<Verdict>, Unheard>,
) {
    let mut each = verdicts.as_ref().ok().into_iter().flatten();
    for (request, answer) in asked {
        let said = match (each.next(), verdicts) {
            (Some(verdict), _) => weigh(shared, peer, request, verdict),
            (None, Err((Some(status), why))) => unplaced(peer, *status, why),
            (None, Err((None, why))) => {
                peer.failed(clock::now(), why);
                Said::Failed
            }
            (None, Ok(_)) => Said::Failed,
        };
        shared.asking.fetch_sub(1, Ordering::Relaxed);
        drop(answer.send(said));
    }
}

fn weigh(shared: &Arc<Shared>, peer: &Arc<Peer>, request: SchedulingRequest, verdict: &Verdict) -> Said {
    match StatusCode::from_u16(verdict.status) {
        Ok(StatusCode::OK) => placed(shared, peer, request, (verdict.scheduling_result.clone(), verdict.expected)),
        Ok(status) => unplaced(peer, status, &verdict.why),
        Err(_) => unplaced(peer, StatusCode::BAD_GATEWAY, &format!("{} is no status", verdict.status)),
    }
}
