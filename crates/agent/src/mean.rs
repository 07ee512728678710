//! A mean per request, from counters that only ever grow.

use std::time::Duration;

use telemetry::clock::Moment;

/// How far back it looks: long enough for a steady mean, short enough to follow a change of load.
const WINDOW: Duration = Duration::from_secs(60);

/// The mean of a sum over a count, of what was added to both within the last one to two windows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    /// What is subtracted: the counters a while ago …
    base: Point,
    /// … and what will be next.
    next: Point,
    next_at: Option<Moment>,
    last: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    count: f64,
    sum: f64,
}

impl Mean {
    /// The counters are now so.
    pub(crate) fn add(&mut self, now: Moment, count: f64, sum: f64) {
        let point = Point { count, sum };
        if count < self.next.count || sum < self.next.sum {
            // The engine was started anew.
            *self = Self { last: self.last, ..Self::default() };
        }
        match self.next_at {
            Some(at) if now - at < WINDOW => {}
            _ => {
                self.base = if self.next_at.is_some() { self.next } else { Point::default() };
                self.next = point;
                self.next_at = Some(now);
            }
        }
        let (count, sum) = (count - self.base.count, sum - self.base.sum);
        if count > 0.0 {
            self.last = Some(sum / count);
        }
    }

    /// The mean; nothing while there was no request.
    pub(crate) fn get(&self) -> Option<f64> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(1 << 50) + Duration::from_secs(seconds)
    }

    #[test]
    fn it_follows_a_change_within_two_windows_and_survives_silence_and_restarts() {
        let mut mean = Mean::default();
        mean.add(at(0), 0.0, 0.0);
        assert_eq!(mean.get(), None);
        mean.add(at(1), 10.0, 1000.0);
        assert_eq!(mean.get(), Some(100.0));
        for second in (2..200).step_by(10) {
            let more = second as f64;
            mean.add(at(second), 10.0 + more, 1000.0 + more * 20.0);
        }
        assert_eq!(mean.get(), Some(20.0));
        for second in 200..400 {
            mean.add(at(second), 202.0, 4840.0);
        }
        assert_eq!(mean.get(), Some(20.0), "nothing came, nothing changed");
        mean.add(at(400), 2.0, 10.0);
        assert_eq!(mean.get(), Some(5.0), "started anew");
    }
}
