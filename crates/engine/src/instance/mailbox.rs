//! How a request learns of its tokens.
//!
//! A token's text follows from the request's seed and the token's index, so all that has to travel from the step loop
//! to the connection is *how many* there are. A mailbox is one number, the end's account and a waker: it cannot overflow
//! behind a slow client, costs no allocation per token, and several steps that pass before the reader looks are one wake.

use crate::core::Summary;
use parking_lot::Mutex;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// How far a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Tokens generated so far.
    pub(crate) tokens: u32,
    /// The account, once it has ended.
    pub(crate) finished: Option<Summary>,
}

/// Shared by the step loop, which writes, and one reader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mailbox(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    progress: Progress,
    /// News that the reader is not shown yet.
    staged: Option<Progress>,
    waker: Option<Waker>,
}

impl Mailbox {
    /// Replaces the progress and returns whom to wake, which is better done without holding any lock.
    pub(crate) fn put(&self, progress: Progress) -> Option<Waker> {
        let mut state = self.0.lock();
        state.progress = progress;
        state.waker.take()
    }

    /// Keeps the progress from the reader until [`Mailbox::publish`]; whether there was nothing to publish before.
    pub(crate) fn stage(&self, progress: Progress) -> bool {
        self.0.lock().staged.replace(progress).is_none()
    }

    /// Shows the reader what was staged, and returns whom to wake.
    pub(crate) fn publish(&self) -> Option<Waker> {
        let mut state = self.0.lock();
        state.progress = state.staged.take()?;
        state.waker.take()
    }

    /// The progress, as soon as it is past `seen` tokens or the request has ended.
    pub(crate) fn poll_past(&self, seen: u32, cx: &Context<'_>) -> Poll<Progress> {
        let mut state = self.0.lock();
        if state.progress.tokens > seen || state.progress.finished.is_some() {
            return Poll::Ready(state.progress);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}
