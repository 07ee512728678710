//! JSON lines: one OTLP/JSON export request per line, in a file or on standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ExportError, aside};
use crate::otlp::{Resource, encode_json};
use crate::span::SpanRecord;

/// A text stream that takes lines.
pub(crate) struct Lines {
    path: PathBuf,
    out: Arc<Out>,
    resource: Arc<Resource>,
}

/// Where lines go.
enum Out {
    File(File),
    Console,
}

impl Lines {
    /// Appends to a file; several processes (or components) may share one.
    pub(crate) fn file(path: &Path, resource: Resource) -> Result<Self, ExportError> {
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let file = opened.map_err(|error| ExportError::file(path, error))?;
        Ok(Self { path: path.to_owned(), out: Arc::new(Out::File(file)), resource: Arc::new(resource) })
    }

    /// Standard output.
    pub(crate) fn console(resource: Resource) -> Self {
        Self { path: PathBuf::from("standard output"), out: Arc::new(Out::Console), resource: Arc::new(resource) }
    }

    /// Writes one line. The line goes out in one write wherever the system lets it, so that lines of several writers do
    /// not mix.
    pub(crate) async fn write(&mut self, spans: Vec<SpanRecord>) -> Result<(), ExportError> {
        let (out, resource) = (Arc::clone(&self.out), Arc::clone(&self.resource));
        let written = aside(move || {
            let mut line = encode_json(&resource, &spans);
            line.push(b'\n');
            out.write(&line)
        });
        written.await?.map_err(|error| ExportError::file(&self.path, error))
    }
}

impl Out {
    fn write(&self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => (&*file).write_all(line),
            Self::Console => {
                let mut console = io::stdout().lock();
                console.write_all(line)?;
                console.flush()
            }
        }
    }
}
