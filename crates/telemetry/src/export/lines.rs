//! JSON lines: one OTLP/JSON export request per line, in a file or on standard output.

use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::ExportError;
use crate::otlp::{Resource, encode_json};
use crate::span::SpanRecord;

/// A text stream that takes lines.
pub(crate) struct Lines {
    path: PathBuf,
    out: Box<dyn AsyncWrite + Send + Unpin>,
    resource: Resource,
}

impl Lines {
    /// Appends to a file; several processes (or components) may share one.
    pub(crate) fn file(path: &Path, resource: Resource) -> Result<Self, ExportError> {
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let file = opened.map_err(|error| ExportError::file(path, error))?;
        Ok(Self { path: path.to_owned(), out: Box::new(File::from_std(file)), resource })
    }

    /// Standard output.
    pub(crate) fn console(resource: Resource) -> Self {
        Self { path: PathBuf::from("standard output"), out: Box::new(tokio::io::stdout()), resource }
    }

    /// Writes one line. The line goes out in one write wherever the system lets it, so that lines of several writers do
    /// not mix.
    pub(crate) async fn write(&mut self, spans: &[SpanRecord]) -> Result<(), ExportError> {
        let mut line = encode_json(&self.resource, spans);
        line.push(b'\n');
        let written = async {
            self.out.write_all(&line).await?;
            self.out.flush().await
        };
        written.await.map_err(|error| ExportError::file(&self.path, error))
    }
}
