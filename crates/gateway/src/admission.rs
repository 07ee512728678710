//! Admission: who may be placed now, who waits for it, and who is turned away.
//!
//! At most so many requests are being placed at once, each holding a [`Slot`]. Those that come later wait in a bounded queue,
//! the urgent ones first and otherwise in the order in which they came; they hold memory, but neither a thread nor a slot.
//! A request that is waiting for a busy cluster gives its slot to the next one meanwhile, who may want another model, and
//! keeps its place in the queue ([`Slot::aside`]).
//!
//! Nothing here can leak: a slot or a place is given back when its [`Slot`] is dropped, which is what happens when the client
//! leaves.

use std::collections::BTreeMap;
use std::future::Future;

use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How a client says that its request is urgent.
const PRIORITY: HeaderName = HeaderName::from_static("x-priority");

/// How urgent a request is; the more urgent one is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// Before all normal ones.
    High,
    /// What nobody said anything of.
    Normal,
}

impl Priority {
    /// What `x-priority` says: `high`, or anything else.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match headers.get(PRIORITY) {
            Some(value) if value.as_bytes().eq_ignore_ascii_case(b"high") => Self::High,
            _ => Self::Normal,
        }
    }
}

/// Where a request stands in the queue.
type Place = (Priority, u64);

/// The queue has no place left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// The slots, and the queue before them.
#[derive(Debug)]
pub(crate) struct Admission {
    places: usize,
    queue: Mutex<Queue>,
}

/// Slots are free only while nobody waits for one.
#[derive(Debug)]
struct Queue {
    free: usize,
    waiting: BTreeMap<Place, oneshot::Sender<()>>,
    /// Requests that stand aside; each keeps a place.
    aside: usize,
    /// The number of the next request.
    next: u64,
}

impl Queue {
    fn taken(&self) -> usize {
        self.waiting.len() + self.aside
    }

    /// A slot is there again: for the first who waits, or for whoever comes.
    fn release(&mut self) {
        while let Some((_, waiter)) = self.waiting.pop_first() {
            if waiter.send(()).is_ok() {
                return;
            }
        }
        self.free += 1;
    }

    /// A slot at once, or a place in the queue whether or not there is room.
    fn join(&mut self, place: Place) -> Standing {
        if self.free > 0 {
            self.free -= 1;
            return Standing::Admitted;
        }
        let (waiter, turn) = oneshot::channel();
        self.waiting.insert(place, waiter);
        Standing::Waiting(turn)
    }
}

impl Admission {
    /// `slots` requests at once, and a queue of `places`.
    pub(crate) fn new(slots: usize, places: usize) -> Self {
        let queue = Queue { free: slots, waiting: BTreeMap::new(), aside: 0, next: 0 };
        Self { places, queue: Mutex::new(queue) }
    }

    /// A slot where one is free, else a place in the queue.
    ///
    /// # Errors
    /// Where the queue is full.
    pub(crate) fn enter(&self, priority: Priority) -> Result<Slot<'_>, Full> {
        let mut queue = self.queue.lock();
        if queue.free == 0 && queue.taken() >= self.places {
            return Err(Full);
        }
        let place = (priority, queue.next);
        queue.next += 1;
        let standing = queue.join(place);
        drop(queue);
        Ok(Slot { admission: self, place, standing })
    }
}

/// What a request has of the admission.
#[derive(Debug)]
enum Standing {
    /// A slot.
    Admitted,
    /// A place in the queue, and word when its turn comes.
    Waiting(oneshot::Receiver<()>),
    /// A place, but it does not want a slot now.
    Aside,
}

/// A request's slot, or its place in the queue.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    admission: &'a Admission,
    place: Place,
    standing: Standing,
}

impl Slot<'_> {
    /// Whether it is a slot already.
    pub(crate) fn is_admitted(&self) -> bool {
        matches!(self.standing, Standing::Admitted)
    }

    /// Waits until it is a slot.
    pub(crate) async fn admitted(&mut self) {
        if let Standing::Waiting(turn) = &mut self.standing {
            // An error is impossible: the sender is kept until the turn comes or this is dropped.
            let _ = turn.await;
            self.standing = Standing::Admitted;
        }
    }

    /// Lets others have the slot until `wait` is over, then takes one again, before all that came later. Where the queue is
    /// full there is no place to keep, so the slot is kept.
    pub(crate) async fn aside<F: Future>(&mut self, wait: F) -> F::Output {
        if !self.step_aside() {
            return wait.await;
        }
        let output = wait.await;
        self.come_back();
        self.admitted().await;
        output
    }

    fn step_aside(&mut self) -> bool {
        let mut queue = self.admission.queue.lock();
        if !self.is_admitted() || queue.taken() >= self.admission.places {
            return false;
        }
        queue.aside += 1;
        queue.release();
        self.standing = Standing::Aside;
        true
    }

    fn come_back(&mut self) {
        let mut queue = self.admission.queue.lock();
        queue.aside -= 1;
        self.standing = queue.join(self.place);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut queue = self.admission.queue.lock();
        match self.standing {
            Standing::Aside => queue.aside -= 1,
            Standing::Admitted => queue.release(),
            // Where its turn came while it was being dropped, it has a slot to give back.
            Standing::Waiting(_) => {
                if queue.waiting.remove(&self.place).is_none() {
                    queue.release();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
