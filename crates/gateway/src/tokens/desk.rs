//! Where prompts are left to be cut, and the few threads that cut them.
//!
//! A thread that is cutting takes the next prompt itself: to wake one for every prompt costs the thread that serves
//! connections more than a short prompt is worth.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use openai::Api;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::model::{CutError, Model};

/// Requests that may wait for each thread. More are not worth the delay.
const WAITING: usize = 16;

/// A prompt to be cut.
struct Job {
    api: Api,
    body: Bytes,
    cut: oneshot::Sender<Result<Vec<u32>, CutError>>,
}

/// The desk of one model.
pub(super) struct Desk {
    shared: Arc<Shared>,
}

struct Shared {
    model: Arc<Model>,
    threads: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Threads that cut.
    cutting: usize,
}

impl Desk {
    /// A desk with so many threads.
    pub(super) fn new(model: Arc<Model>, threads: usize) -> Self {
        Self { shared: Arc::new(Shared { model, threads, state: Mutex::default() }) }
    }

    /// Cuts a prompt; `None` where too many wait already. A client that leaves gives its place up, unless its prompt is being
    /// cut.
    pub(super) async fn cut(&self, api: Api, body: Bytes) -> Option<Result<Vec<u32>, CutError>> {
        let (cut, done) = oneshot::channel();
        let another = self.shared.leave(Job { api, body, cut })?;
        if another {
            let shared = Arc::clone(&self.shared);
            // Nobody waits for the thread itself: whoever has left a prompt is told by its channel.
            drop(tokio::task::spawn_blocking(move || shared.work()));
        }
        done.await.ok()
    }
}

#[cfg(test)]
impl Desk {
    /// How many may wait.
    pub(super) fn room(&self) -> usize {
        self.shared.room()
    }
}

impl Shared {
    /// Leaves a job and says whether another thread is to work; `None` where the desk is full.
    fn leave(&self, job: Job) -> Option<bool> {
        let mut state = self.state.lock();
        if state.waiting.len() >= self.room() {
            state.waiting.retain(|job| !job.cut.is_closed());
        }
        if state.waiting.len() >= self.room() {
            return None;
        }
        state.waiting.push_back(job);
        let another = state.cutting < self.threads;
        state.cutting += usize::from(another);
        Some(another)
    }

    /// How many may wait.
    fn room(&self) -> usize {
        self.threads * WAITING
    }

    /// Cuts until nothing waits.
    fn work(&self) {
        let mut seat = Seat { state: &self.state, taken: true };
        while let Some(job) = seat.next() {
            if !job.cut.is_closed() {
                // Whoever has left in the meantime does not want to know.
                drop(job.cut.send(self.model.cut(job.api, &job.body)));
            }
        }
    }
}

/// One of the threads that may cut; given up when nothing waits, or by a tokenizer that panics.
struct Seat<'a> {
    state: &'a Mutex<State>,
    taken: bool,
}

impl Seat<'_> {
    /// The next job. To find none and to give the seat up is one step: a job that is left after it finds the seat free.
    fn next(&mut self) -> Option<Job> {
        let mut state = self.state.lock();
        let job = state.waiting.pop_front();
        if job.is_none() {
            state.cutting -= 1;
            self.taken = false;
        }
        job
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if self.taken {
            self.state.lock().cutting -= 1;
        }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("threads", &self.shared.threads).finish_non_exhaustive()
    }
}
