//! Sleeping to within a tenth of a millisecond.
//!
//! tokio's timer wheel has slots of one millisecond and rounds up, which is a tenth of a decode step. A `timerfd` is
//! precise to the scheduler's wake-up latency and costs one system call to arm; its readiness comes through the same
//! epoll as everything else. Where tokio's time is paused (tests), the wheel is exact and the kernel's timer would not
//! follow it, so [`Clockwork::Tokio`] remains.

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use telemetry::clock::{self, Moment};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Which mechanism measures out durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clockwork {
    /// The kernel's high-resolution timers.
    #[default]
    Precise,
    /// tokio's timer wheel, which follows paused time.
    Tokio,
}

/// One sleeper. Reused from sleep to sleep.
#[derive(Debug)]
pub(crate) enum Timer {
    Precise(AsyncFd<OwnedFd>),
    Tokio,
}

impl Timer {
    /// A timer of the given kind; the wheel where the kernel has no timer to give.
    pub(crate) fn new(clockwork: Clockwork) -> Self {
        match clockwork {
            Clockwork::Tokio => Self::Tokio,
            Clockwork::Precise => Self::precise().unwrap_or_else(|error| {
                tracing::warn!(%error, "no timerfd: durations are rounded up to milliseconds");
                Self::Tokio
            }),
        }
    }

    #[expect(
        deprecated,
        reason = "its successor is unsafe; an OwnedFd names one descriptor for life, which is what is asked"
    )]
    fn precise() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self::Precise(AsyncFd::with_interest(fd, Interest::READABLE)?))
    }

    /// Sleeps until `deadline`; returns at once, without yielding, when it has passed.
    pub(crate) async fn until(&self, deadline: Moment) {
        let left = deadline - clock::now();
        if left.is_zero() {
            return;
        }
        match self {
            Self::Tokio => tokio::time::sleep(left).await,
            Self::Precise(fd) => {
                if let Err(error) = sleep(fd, left).await {
                    tracing::warn!(%error, "timerfd failed");
                    tokio::time::sleep(deadline - clock::now()).await;
                }
            }
        }
    }
}

async fn sleep(fd: &AsyncFd<OwnedFd>, left: Duration) -> io::Result<()> {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let value = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
    let once = Itimerspec { it_interval: zero, it_value: value };
    rustix::time::timerfd_settime(fd.get_ref(), TimerfdTimerFlags::empty(), &once)?;
    loop {
        let mut ready = fd.readable().await?;
        let mut expirations = [0; 8];
        match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut expirations)?)) {
            Ok(read) => return read.map(drop),
            // Readiness left over from a sleep that was cancelled; arming again has cleared its count.
            Err(_would_block) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deadline_is_never_early_and_a_timer_can_be_reused_after_a_cancelled_sleep() {
        let timer = Timer::new(Clockwork::Precise);
        assert!(matches!(timer, Timer::Precise(_)));
        let cancelled = timer.until(clock::now() + Duration::from_secs(60));
        assert!(tokio::time::timeout(Duration::ZERO, cancelled).await.is_err());
        for _ in 0..20 {
            let deadline = clock::now() + Duration::from_micros(300);
            timer.until(deadline).await;
            assert!(clock::now() >= deadline);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn paused_time_is_followed() {
        let timer = Timer::new(Clockwork::Tokio);
        let deadline = clock::now() + Duration::from_secs(3600);
        timer.until(deadline).await;
        assert_eq!(clock::now(), deadline);
    }
}
