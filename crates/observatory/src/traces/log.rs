//! Spans on disk, so that they outlive the process.
//!
//! What arrives is appended, as OTLP's own messages, to the newest of a few segment files; when all spans of the oldest
//! segment have left memory, it is deleted. A start reads the segments back in order. The format is so simple that a
//! segment can be read by anything that knows OTLP: a length of four bytes (big-endian), then an `ExportTraceServiceRequest`.
//! A process that dies in the middle of a record leaves a torn one at the end, which the next start cuts off.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use parking_lot::Mutex;
use prost::Message;
use telemetry::clock::Moment;

use super::store::SpanStore;

/// Bytes after which a new segment is begun.
const SEGMENT_BYTES: u64 = 8 << 20;

/// Longest record that is believed in; a longer one is damage.
const RECORD_BYTES: u32 = 256 << 20;

/// The data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep spans in {}: {source}; check --data-dir", path.display())]
pub struct LogError {
    path: PathBuf,
    source: io::Error,
}

/// The segments.
#[derive(Debug)]
pub struct SpanLog {
    folder: PathBuf,
    segments: Mutex<Segments>,
}

#[derive(Debug, Default)]
struct Segments {
    /// Oldest first; each with the number of the span that followed its last one.
    sealed: VecDeque<(PathBuf, u64)>,
    open: Option<Open>,
    next: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl SpanLog {
    /// Opens the folder, reads what is there into the store, and goes on in a new segment. Returns how many spans came back.
    ///
    /// # Errors
    /// Where the folder cannot be made, listed or read.
    pub fn open(folder: &Path, store: &SpanStore, now: Moment) -> Result<(Self, u64), LogError> {
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |source| LogError { path, source }
        };
        fs::create_dir_all(folder).map_err(fault(folder))?;
        let mut segments = Segments::default();
        let mut restored = 0;
        for (number, path) in listed(folder).map_err(fault(folder))? {
            restored += replay(&path, store, now).map_err(fault(&path))?;
            segments.sealed.push_back((path, store.range().1));
            segments.next = number + 1;
        }
        let log = Self { folder: folder.to_owned(), segments: Mutex::new(segments) };
        log.forget(store.range().0);
        Ok((log, restored))
    }

    /// Appends what has been added to the store.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn append(&self, request: &ExportTraceServiceRequest, store: &SpanStore) -> io::Result<()> {
        let message = request.encode_to_vec();
        let length = u32::try_from(message.len()).map_err(|_| io::Error::other("a record of more than 4 GiB"))?;
        let (oldest, next) = store.range();
        let mut segments = self.segments.lock();
        let open = segments.writable(&self.folder)?;
        open.file.write_all(&length.to_be_bytes())?;
        open.file.write_all(&message)?;
        open.bytes += u64::from(length) + 4;
        let full = open.bytes >= SEGMENT_BYTES;
        if full && let Some(open) = segments.open.take() {
            segments.sealed.push_back((open.path, next));
        }
        drop(segments);
        self.forget(oldest);
        Ok(())
    }

    /// Deletes the segments of which every span came before `oldest`.
    pub fn forget(&self, oldest: u64) {
        let mut segments = self.segments.lock();
        while segments.sealed.front().is_some_and(|(_, after)| *after <= oldest) {
            if let Some((path, _)) = segments.sealed.pop_front()
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(path = %path.display(), %error, "cannot delete a segment of old spans");
            }
        }
    }
}

impl Segments {
    fn writable(&mut self, folder: &Path) -> io::Result<&mut Open> {
        if let Some(ref mut open) = self.open {
            return Ok(open);
        }
        let path = folder.join(format!("spans-{:012}.otlp", self.next));
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        self.next += 1;
        Ok(self.open.insert(Open { file, path, bytes: 0 }))
    }
}

/// The segments of a folder, oldest first.
fn listed(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix("spans-").and_then(|name| name.strip_suffix(".otlp"));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a segment into the store, up to its end or to the first record that is damaged.
fn replay(path: &Path, store: &SpanStore, now: Moment) -> io::Result<u64> {
    let mut file = io::BufReader::new(File::open(path)?);
    let (mut restored, mut good) = (0, 0_u64);
    loop {
        let mut length = [0; 4];
        match file.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
        let length = u32::from_be_bytes(length);
        let mut record = Vec::new();
        if length <= RECORD_BYTES {
            file.by_ref().take(length.into()).read_to_end(&mut record)?;
        }
        let whole = record.len() == length as usize;
        let Some(request) = whole.then(|| ExportTraceServiceRequest::decode(record.as_slice()).ok()).flatten() else {
            break;
        };
        restored += store.insert(&request.resource_spans, now).spans;
        good += 4 + u64::from(length);
    }
    let size = fs::metadata(path)?.len();
    if size > good {
        tracing::warn!(path = %path.display(), bytes = size - good, "a segment of spans is damaged: its end is cut off");
        OpenOptions::new().write(true).open(path)?.set_len(good)?;
    }
    Ok(restored)
}
