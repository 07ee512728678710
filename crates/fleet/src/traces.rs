//! Where the spans of a fleet go.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use telemetry::{Batch, ExportError, SpanExport, Telemetry, TelemetryConfig};

/// How long a span waits at most for its export.
pub(crate) const EXPORT_EVERY: Duration = Duration::from_millis(500);

/// Spans that may wait for export. A component of a fleet sends all spans of a hundred streams through one queue, and
/// an audit misses every one that is dropped.
const QUEUE: usize = 65_536;

/// Spans encoded in one go: a large batch would keep one of two cores from everything else for milliseconds.
const SMALL: usize = 64;

/// JSON lines in a directory, a file for each component.
#[derive(Clone, Debug)]
pub(crate) struct Traces(PathBuf);

impl Traces {
    pub(crate) fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Where they lie.
    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    /// The telemetry of one component; must be called on its runtime.
    pub(crate) fn telemetry(&self, service: &str, instance: &str) -> Result<Arc<Telemetry>, ExportError> {
        let mut config = TelemetryConfig::new(service);
        config.resource = vec![("service.instance.id".to_owned(), instance.to_owned())];
        config.batch = Batch {
            schedule_delay: EXPORT_EVERY,
            max_queue_size: QUEUE,
            max_export_batch_size: SMALL,
            ..Batch::default()
        };
        config.export = SpanExport::File(self.0.join(format!("{instance}.jsonl")));
        Telemetry::new(config)
    }

    /// The files that have been written.
    pub(crate) fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = std::fs::read_dir(&self.0)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort();
        Ok(files)
    }
}
