//! Names of requests that came lately.
//!
//! A scheduler counts a request that it placed here until a status mentions it. One that is admitted between two statuses
//! never waits in either, so it is listed as recent. Several statuses in a row list it, since readers look at the latest only.

use std::collections::VecDeque;
use std::time::Duration;

/// How long a request is recent: several times the interval at which readers look.
const WINDOW: Duration = Duration::from_secs(2);

/// Names kept at most.
const LIMIT: usize = 4096;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(Duration, String)>);

impl Recent {
    pub(super) fn add(&mut self, now: Duration, name: String) {
        self.forget(now);
        if self.0.len() == LIMIT {
            self.0.pop_front();
        }
        self.0.push_back((now, name));
    }

    pub(super) fn names(&mut self, now: Duration) -> Vec<String> {
        self.forget(now);
        self.0.iter().map(|(_, name)| name.clone()).collect()
    }

    fn forget(&mut self, now: Duration) {
        while self.0.front().is_some_and(|(came, _)| now.saturating_sub(*came) > WINDOW) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_for_the_window_and_never_more_than_the_limit() {
        let mut recent = Recent::default();
        recent.add(Duration::ZERO, "a".to_owned());
        recent.add(WINDOW, "b".to_owned());
        assert_eq!(recent.names(WINDOW), ["a", "b"]);
        assert_eq!(recent.names(WINDOW + Duration::from_nanos(1)), ["b"]);
        for _ in 0..2 * LIMIT {
            recent.add(WINDOW, "c".to_owned());
        }
        assert_eq!(recent.names(WINDOW).len(), LIMIT);
    }
}
