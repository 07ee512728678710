//! Readings of the tokio runtime, and the loop lag.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::catalogue::process as catalogue;
use crate::clock::{self, Moment};
use crate::metrics::Registry;

/// How often the lag is measured, and over how many measurements the worst is told.
const LAG_PERIOD: Duration = Duration::from_secs(1);
const LAG_WINDOW: usize = 10;

pub(super) fn register(registry: &Registry) {
    let Ok(handle) = Handle::try_current() else { return };
    let metrics = handle.metrics();
    let alive = move || Some(metrics.num_alive_tasks() as f64);
    registry.read(&catalogue::ALIVE_TASKS, [], alive.clone());
    registry.read(&catalogue::GO_GOROUTINES, [], alive);
    let before = Mutex::new((clock::now(), busy(&handle)));
    registry.read(&catalogue::WORKER_BUSY, [], move || {
        let mut before = before.lock();
        let current = (clock::now(), busy(&handle));
        let ratio = ratio(*before, current, handle.metrics().num_workers());
        *before = current;
        ratio
    });
}

fn busy(handle: &Handle) -> Duration {
    let metrics = handle.metrics();
    (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).sum()
}

fn ratio(before: (Moment, Duration), after: (Moment, Duration), workers: usize) -> Option<f64> {
    let elapsed = (after.0 - before.0).as_secs_f64() * workers as f64;
    let busy = after.1.saturating_sub(before.1).as_secs_f64();
    (elapsed > 0.0).then(|| (busy / elapsed).min(1.0))
}

/// Sets a timer once a second and measures how late it fires.
pub(crate) async fn watch_loop_lag(registry: Registry, stop: CancellationToken) {
    let gauge = registry.gauge(&catalogue::LOOP_LAG).with([]);
    let mut window = [Duration::ZERO; LAG_WINDOW];
    for at in (0..LAG_WINDOW).cycle() {
        let due = clock::now() + LAG_PERIOD;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LAG_PERIOD) => {}
        }
        window[at] = clock::now() - due;
        gauge.set(window.iter().max().map_or(0.0, Duration::as_secs_f64));
    }
}
