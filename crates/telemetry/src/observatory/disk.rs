//! What is kept on the disk.

use crate::Telemetry;
use crate::catalogue::observatory as catalogue;

/// What the files of one store say of themselves. Without a data directory there are none, and all is 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskLevels {
    /// Bytes of the files.
    pub bytes: u64,
    /// Batches that could not be written.
    pub failures: u64,
    /// What could not be read back.
    pub damaged: u64,
}

/// Says where the levels of samples and of spans are read when somebody scrapes.
pub fn watch_disk(
    telemetry: &Telemetry,
    samples: impl Fn() -> DiskLevels + Clone + Send + Sync + 'static,
    spans: impl Fn() -> DiskLevels + Clone + Send + Sync + 'static,
) {
    watch(telemetry, "metrics", samples);
    watch(telemetry, "spans", spans);
}

fn watch(telemetry: &Telemetry, store: &'static str, levels: impl Fn() -> DiskLevels + Clone + Send + Sync + 'static) {
    let read = |metric, of: fn(DiskLevels) -> u64| {
        let levels = levels.clone();
        telemetry.registry().read(metric, [store], move || Some(of(levels()) as f64));
    };
    read(&catalogue::DISK_BYTES, |levels| levels.bytes);
    read(&catalogue::DISK_FAILURES_TOTAL, |levels| levels.failures);
    read(&catalogue::DISK_DAMAGED_TOTAL, |levels| levels.damaged);
}
