//! A log of records in files.
//!
//! A record is its length and its checksum (CRC-32), four bytes each, big-endian, and then its bytes. A file that has grown
//! long enough is ended, and another begun. Each start begins another one, too, so no file is written to by two processes.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Crc;

use super::error::DiskError;
use super::health::Health;

/// Bytes before a record.
const PREFIX: usize = 8;

/// The files, and the one that is written to.
#[derive(Debug)]
pub(crate) struct Log {
    folder: PathBuf,
    /// Bytes after which a file is ended.
    file_bytes: u64,
    /// Oldest first.
    ended: VecDeque<Ended>,
    open: Option<Open>,
    next: u64,
    health: Arc<Health>,
    failing: bool,
}

/// A file that is not written to any more.
#[derive(Debug)]
struct Ended {
    path: PathBuf,
    bytes: u64,
    /// The greatest mark of its records.
    mark: u64,
}

#[derive(Debug)]
struct Open {
    file: Arc<File>,
    path: PathBuf,
    bytes: u64,
    mark: u64,
}

/// What a start found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// Records read.
    pub(crate) records: u64,
    /// Records, ends of files and whole files passed over.
    pub(crate) damaged: u64,
}

impl Log {
    /// Opens the folder and gives `each` every record that is there: the number of its file, and its bytes. It answers with
    /// the record's mark, or with `None` where it cannot make sense of it.
    pub(crate) fn open(
        folder: &Path,
        file_bytes: u64,
        mut each: impl FnMut(u64, &[u8]) -> Option<u64>,
    ) -> Result<(Self, Replayed), DiskError> {
        fs::create_dir_all(folder).map_err(DiskError::unusable(folder))?;
        let mut log = Self {
            folder: folder.to_owned(),
            file_bytes,
            ended: VecDeque::new(),
            open: None,
            next: 0,
            health: Arc::default(),
            failing: false,
        };
        let mut replayed = Replayed::default();
        for (number, path) in listed(folder).map_err(DiskError::unusable(folder))? {
            log.next = number + 1;
            match fs::read(&path) {
                Ok(bytes) => {
                    let (ended, found) = replay(&path, &bytes, |record| each(number, record));
                    replayed.records += found.records;
                    replayed.damaged += found.damaged;
                    log.health.grown(ended.bytes);
                    log.ended.push_back(ended);
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a file of the data directory is passed over");
                    replayed.damaged += 1;
                }
            }
        }
        log.health.lost(replayed.damaged);
        Ok((log, replayed))
    }

    /// Writes to `file` from here on, in place of one in the folder.
    #[cfg(test)]
    pub(super) fn write_to(&mut self, file: File) {
        let path = self.folder.join("elsewhere");
        self.open = Some(Open { file: Arc::new(file), path, bytes: 0, mark: 0 });
        self.next += 1;
    }

    /// How it fares.
    pub(crate) fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// The number of the file that the next record goes to.
    pub(crate) fn file(&self) -> u64 {
        if self.open.is_some() { self.next - 1 } else { self.next }
    }

    /// Appends a record. Where that fails it is counted and said, and the next record goes to another file.
    pub(crate) fn append(&mut self, record: &[u8], mark: u64) {
        match self.write(record, mark) {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!(folder = %self.folder.display(), "the data directory can be written to again");
            }
            Ok(()) => {}
            Err(error) => {
                self.health.failed();
                if !self.failing {
                    let folder = self.folder.display();
                    tracing::warn!(%folder, %error, "the data directory cannot be written to: what comes is in memory only");
                }
                self.failing = true;
                self.end();
            }
        }
    }

    fn write(&mut self, record: &[u8], mark: u64) -> io::Result<()> {
        let length = u32::try_from(record.len()).map_err(|_| io::Error::other("a record of more than 4 GiB"))?;
        let mut whole = Vec::with_capacity(PREFIX + record.len());
        let length = length.to_be_bytes();
        whole.extend_from_slice(&length);
        whole.extend_from_slice(&checksum(length, record).to_be_bytes());
        whole.extend_from_slice(record);
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(Open::create(&self.folder, &mut self.next)?),
        };
        let mut file = &*open.file;
        if let Err(error) = file.write_all(&whole) {
            // What was written of it is taken back, so that the records before it can be read on.
            open.file.set_len(open.bytes)?;
            return Err(error);
        }
        open.bytes += whole.len() as u64;
        open.mark = open.mark.max(mark);
        self.health.grown(whole.len() as u64);
        if open.bytes >= self.file_bytes {
            self.end();
        }
        Ok(())
    }

    /// Ends the file that is written to.
    fn end(&mut self) {
        let Some(Open { path, bytes, mark, file }) = self.open.take() else { return };
        if bytes == 0 {
            remove(&path);
            return;
        }
        if let Err(error) = file.sync_data() {
            tracing::warn!(path = %path.display(), %error, "a file of the data directory may be lost in a power cut");
        }
        self.ended.push_back(Ended { path, bytes, mark });
    }

    /// The file that is written to, to be brought onto the disk while others go on writing.
    pub(crate) fn current(&self) -> Option<Arc<File>> {
        self.open.as_ref().map(|open| Arc::clone(&open.file))
    }

    /// Deletes the files of which no mark reaches `mark`.
    pub(crate) fn forget(&mut self, mark: u64) {
        while let Some(oldest) = self.ended.pop_front_if(|oldest| oldest.mark < mark) {
            remove(&oldest.path);
            self.health.shrunk(oldest.bytes);
        }
    }
}

impl Open {
    fn create(folder: &Path, next: &mut u64) -> io::Result<Self> {
        let path = folder.join(format!("{next:012}.log"));
        let file = File::options().create_new(true).append(true).open(&path)?;
        *next += 1;
        Ok(Self { file: Arc::new(file), path, bytes: 0, mark: 0 })
    }
}

/// Over the length as well, so that zeros, which a power cut may leave, are no record.
fn checksum(length: [u8; 4], record: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&length);
    crc.update(record);
    crc.sum()
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "cannot delete a file of old data");
    }
}

/// The files of a folder, oldest first.
fn listed(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(number) = name.strip_suffix(".log").and_then(|number| number.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Gives every sound record of a file to `each`, and cuts off an end that is no record.
fn replay(path: &Path, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Option<u64>) -> (Ended, Replayed) {
    let (mut replayed, mut mark, mut rest) = (Replayed::default(), 0, bytes);
    while let Some((prefix, after)) = rest.split_first_chunk::<PREFIX>() {
        let [a, b, c, d, sum @ ..] = *prefix;
        let length = [a, b, c, d];
        let Some((record, next)) = after.split_at_checked(u32::from_be_bytes(length) as usize) else { break };
        let sound = checksum(length, record) == u32::from_be_bytes(sum);
        match sound.then(|| each(record)).flatten() {
            Some(of_record) => {
                replayed.records += 1;
                mark = mark.max(of_record);
            }
            None => replayed.damaged += 1,
        }
        rest = next;
    }
    let good = bytes.len() - rest.len();
    if replayed.damaged > 0 {
        tracing::warn!(path = %path.display(), records = replayed.damaged, "damaged records are passed over");
    }
    if !rest.is_empty() {
        replayed.damaged += 1;
        let cut = File::options().write(true).open(path).and_then(|file| file.set_len(good as u64));
        let said = cut.map_or_else(|error| error.to_string(), |()| "cut off".to_owned());
        tracing::warn!(path = %path.display(), bytes = rest.len(), said, "the end of a file is no record");
    }
    (Ended { path: path.to_owned(), bytes: good as u64, mark }, replayed)
}
