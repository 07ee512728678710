//! Requests that a fallback answered with 429, and that wait to be tried there again.
//!
//! The wait is the request's own: its future sleeps here, so a client that leaves leaves the queue at the same moment. Two
//! bounds keep a limited endpoint from being hammered and this process from piling up: how many requests may wait
//! altogether, and how many of them may be asking at once.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// How requests are tried again after a 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BacklogConfig {
    /// Requests that may wait.
    pub size: usize,
    /// Requests that may ask at the same time.
    pub workers: usize,
    /// Attempts for each; `None` is without end.
    pub attempts: Option<u32>,
    /// The wait before the first of them; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
}

/// The waiting requests.
#[derive(Debug)]
pub(crate) struct Backlog {
    config: BacklogConfig,
    places: Semaphore,
    workers: Semaphore,
}

/// A request in the queue. It leaves the queue when this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    backlog: &'a Backlog,
    made: u32,
    _place: SemaphorePermit<'a>,
}

/// A request's turn to ask; over when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a>(#[expect(dead_code, reason = "held for its drop")] SemaphorePermit<'a>);

impl Backlog {
    /// An empty queue.
    pub(crate) fn new(config: BacklogConfig) -> Self {
        Self { config, places: Semaphore::new(config.size), workers: Semaphore::new(config.workers) }
    }

    /// A place in the queue; `None` when it is full.
    pub(crate) fn enter(&self) -> Option<Waiting<'_>> {
        let place = self.places.try_acquire().ok()?;
        Some(Waiting { backlog: self, made: 0, _place: place })
    }

    /// The wait before attempt number `made` (from 0): what is usual, or what the endpoint asked for, but never longer than
    /// the longest.
    fn wait(&self, made: u32, asked: Option<Duration>) -> Duration {
        let BacklogConfig { first_wait, longest_wait, .. } = self.config;
        let usual = first_wait.saturating_mul(1_u32.checked_shl(made).unwrap_or(u32::MAX));
        usual.max(asked.unwrap_or_default()).min(longest_wait)
    }
}

impl<'a> Waiting<'a> {
    /// Waits for the next turn to ask, each wait longer than the one before; `None` when all turns are used up. `asked` is
    /// the patience that the endpoint asked for in its last answer.
    pub(crate) async fn turn(&mut self, asked: Option<Duration>) -> Option<Turn<'a>> {
        if self.backlog.config.attempts.is_some_and(|most| self.made >= most) {
            return None;
        }
        tokio::time::sleep(self.backlog.wait(self.made, asked)).await;
        self.made = self.made.saturating_add(1);
        // The semaphore is never closed, so there is always a turn in the end.
        self.backlog.workers.acquire().await.ok().map(Turn)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;
    use telemetry::clock;

    use super::*;

    const CONFIG: BacklogConfig = BacklogConfig {
        size: 100,
        workers: 10,
        attempts: Some(3),
        first_wait: Duration::from_millis(500),
        longest_wait: Duration::from_secs(5),
    };

    /// When a request that is limited over and over is asked again, in milliseconds, until it has made `most` attempts.
    async fn asked_at(config: BacklogConfig, most: usize, patience: Option<Duration>) -> Vec<u128> {
        let backlog = Backlog::new(config);
        let begun = clock::now();
        let mut waiting = backlog.enter().unwrap();
        let mut times = Vec::new();
        while times.len() < most && waiting.turn(patience).await.is_some() {
            times.push((clock::now() - begun).as_millis());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_until_the_turns_are_used_up() {
        assert_eq!(asked_at(CONFIG, 9, None).await, [500, 1500, 3500]);
        assert_eq!(asked_at(BacklogConfig { attempts: Some(1), ..CONFIG }, 9, None).await, [500]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_waits_stop_growing_and_turns_do_not_end() {
        let times = asked_at(BacklogConfig { attempts: None, ..CONFIG }, 40, None).await;
        assert_eq!(&times[..5], [500, 1500, 3500, 7500, 12500]);
        assert_eq!((times.len(), times[39] - times[38]), (40, 5000));
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoints_own_wish_counts_up_to_the_longest_wait() {
        for (asked, expected) in [(2, 2000), (0, 500), (3600, 5000)] {
            assert_eq!(asked_at(CONFIG, 1, Some(Duration::from_secs(asked))).await, [expected]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_turns_away_at_once_and_a_leaver_makes_room() {
        let backlog = Backlog::new(BacklogConfig { size: 1, ..CONFIG });
        let mut first = backlog.enter().unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(100), first.turn(None)).await.is_err());
        assert!(backlog.enter().is_none());
        drop(first);
        assert!(backlog.enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_ask_at_once_while_the_others_wait() {
        let backlog = Backlog::new(BacklogConfig { workers: 2, ..CONFIG });
        let (asking, most) = (Cell::new(0), Cell::new(0));
        let one = || async {
            let _turn = backlog.enter().unwrap().turn(None).await.unwrap();
            asking.set(asking.get() + 1);
            most.set(most.get().max(asking.get()));
            tokio::time::sleep(Duration::from_secs(1)).await;
            asking.set(asking.get() - 1);
        };
        let begun = clock::now();
        tokio::join!(one(), one(), one(), one(), one());
        assert_eq!((most.get(), (clock::now() - begun).as_millis()), (2, 3500));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_waits_does_not_hold_up_another() {
        // One worker; a request between its turns does not occupy it.
        let backlog = Backlog::new(BacklogConfig { workers: 1, ..CONFIG });
        let one = || async {
            let mut waiting = backlog.enter().unwrap();
            drop(waiting.turn(None).await.unwrap());
            drop(waiting.turn(None).await.unwrap());
        };
        let begun = clock::now();
        tokio::join!(one(), one(), one(), one());
        assert_eq!((clock::now() - begun).as_millis(), 1500);
    }

    proptest! {
        #[test]
        fn waits_grow_and_stay_within_their_bounds(made in 0..200_u32, asked in proptest::option::of(0..10_000_u64)) {
            let backlog = Backlog::new(CONFIG);
            let asked = asked.map(Duration::from_millis);
            let wait = backlog.wait(made, asked);
            prop_assert!(wait >= CONFIG.first_wait && wait <= CONFIG.longest_wait);
            prop_assert!(backlog.wait(made + 1, asked) >= wait);
        }
    }
}
