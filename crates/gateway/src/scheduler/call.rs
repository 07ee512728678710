//! One `/schedule` call, which is finished even when nobody waits for it any more.
//!
//! A client that leaves while the scheduler is thinking drops the call; but the scheduler will have put the request on its
//! account all the same. So the call goes on in a task of its own, and what it placed is given back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use cluster::api::{InferType, LlmInstance, SchedulingRequest, SchedulingStage, Times};
use http::StatusCode;
use proxy::Drain;
use telemetry::clock;
use telemetry::gateway::CallOutcome;
use tokio::sync::oneshot;

use super::lease::Lease;
use super::peer::Peer;
use super::{Answer, PATIENCE, Shared, batch};

/// What came of a call.
pub(super) enum Said {
    Placed(Lease),
    Busy,
    Refused,
    Failed,
}

impl Said {
    pub(super) fn outcome(&self) -> CallOutcome {
        match self {
            Self::Placed(_) => CallOutcome::Ok,
            Self::Busy => CallOutcome::Busy,
            Self::Refused => CallOutcome::Refused,
            Self::Failed => CallOutcome::Failed,
        }
    }

    /// What it is to the request; `None` where the next scheduler is to be asked.
    pub(super) fn answer(self) -> Option<Answer> {
        match self {
            Self::Placed(lease) => Some(Answer::Placed(lease)),
            Self::Busy => Some(Answer::Busy),
            Self::Refused => Some(Answer::Nothing),
            Self::Failed => None,
        }
    }
}

/// A call under way.
pub(super) struct Call {
    drain: Drain,
    /// None once it has ended.
    running: Option<Pin<Box<dyn Future<Output = Said> + Send>>>,
}

impl Call {
    pub(super) fn begin(shared: &Arc<Shared>, peer: &Arc<Peer>, request: SchedulingRequest) -> Self {
        let (answer, said) = oneshot::channel();
        let running: Pin<Box<dyn Future<Output = Said> + Send>> = match batch::ask(shared, peer, request, answer) {
            None => Box::pin(async move { said.await.unwrap_or(Said::Failed) }),
            Some(request) => Box::pin(schedule(Arc::clone(shared), Arc::clone(peer), request)),
        };
        Self { drain: shared.drain.clone(), running: Some(running) }
    }
}

impl Future for Call {
    type Output = Said;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Said> {
        let Some(running) = &mut self.running else { return Poll::Ready(Said::Failed) };
        let said = ready!(running.as_mut().poll(cx));
        self.running = None;
        Poll::Ready(said)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // A lease that nobody takes is released by being dropped.
            self.drain.spawn(async move { drop(running.await) });
        }
    }
}

async fn schedule(shared: Arc<Shared>, peer: Arc<Peer>, request: SchedulingRequest) -> Said {
    let (status, body) = match shared.post(&peer, "/schedule", &request, PATIENCE).await {
        Ok(answer) => answer,
        Err(why) => {
            peer.failed(clock::now(), &why);
            return Said::Failed;
        }
    };
    if status != StatusCode::OK {
        return unplaced(&peer, status, &String::from_utf8_lossy(&body));
    }
    match serde_json::from_slice::<SchedulingRequest>(&body) {
        Ok(answer) => placed(&shared, &peer, request, (answer.scheduling_result, answer.expected)),
        Err(error) => {
            peer.failed(clock::now(), &format!("its answer cannot be read: {error}"));
            Said::Failed
        }
    }
}

/// What any answer but 200 means.
pub(super) fn unplaced(peer: &Peer, status: StatusCode, why: &str) -> Said {
    if status == StatusCode::TOO_MANY_REQUESTS {
        Said::Busy
    } else if status.is_server_error() {
        peer.failed(clock::now(), why);
        Said::Failed
    } else {
        tracing::debug!(scheduler = %peer.endpoint, %status, "not placed: {why}");
        Said::Refused
    }
}

/// Takes a placement. One without an instance to send the request to is as good as none.
pub(super) fn placed(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    request: SchedulingRequest,
    (result, expected): (Vec<LlmInstance>, Option<Times>),
) -> Said {
    let placed = SchedulingRequest { scheduling_result: result, expected, ..request };
    let wanted = |kind| placed.placed_on(kind).is_some();
    let enough = match placed.scheduling_stage {
        Some(SchedulingStage::Prefill) => wanted(InferType::Prefill),
        _ => wanted(InferType::Decode) || wanted(InferType::Neutral),
    };
    let lease = Lease::new(shared, peer, placed);
    if enough { Said::Placed(lease) } else { Said::Busy }
}
