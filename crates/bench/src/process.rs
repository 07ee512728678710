//! Processes under test: started pinned, watched through `/proc`, killed on every way out.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::stopwatch::{SECOND, now};
use crate::wire::{Message, Role};

/// Longest time a process may take to serve its first request.
const START_LIMIT: u64 = 20 * SECOND;
const PROBE_PAUSE: Duration = Duration::from_micros(500);

/// A process could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The kernel said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// It ended, or never answered.
    #[error("{name} {how}; the end of its output:\n{output}")]
    Unwell {
        /// The process's name in the bench.
        name: String,
        /// What became of it.
        how: String,
        /// Its last lines.
        output: String,
    },
}

impl ProcessError {
    /// Says what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// How to start a process.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// Its name in messages, and of its log file.
    pub(crate) name: String,
    /// Program and arguments.
    pub(crate) command: Vec<OsString>,
    /// Environment variables beside the bench's own.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The core it runs on.
    pub(crate) cpu: usize,
}

/// A running process; dropping it kills it and waits for its end.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    started: u64,
}

impl Process {
    /// Starts `launch` through the launcher of [`crate::pin`], its output going to a file in `directory`.
    ///
    /// # Errors
    /// This executable or the log file cannot be opened.
    pub(crate) fn start(launch: &Launch, directory: &Path) -> Result<Self, ProcessError> {
        let log = directory.join(format!("{}.log", launch.name));
        let failed = || ProcessError::io(format!("cannot start {}", launch.name));
        let output = File::create(&log).map_err(failed())?;
        let errors = output.try_clone().map_err(failed())?;
        let started = now();
        let child = Command::new(std::env::current_exe().map_err(failed())?)
            .args(["bench", "pin", "--cpu", &launch.cpu.to_string(), "--parent", &std::process::id().to_string(), "--"])
            .args(&launch.command)
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(failed())?;
        Ok(Self { name: launch.name.clone(), child, log, started })
    }

    /// When it was started, ns of the shared clock.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Waits until a request to `address` is answered with 200; returns when that was, and how many answers it took.
    ///
    /// # Errors
    /// The process ended or never answered.
    pub(crate) fn first_answer(&mut self, address: SocketAddr, request: &[u8]) -> Result<(u64, u64), ProcessError> {
        let mut answers = 0;
        let mut last = String::from("refused every connection");
        while now() - self.started < START_LIMIT {
            match exchange(address, request) {
                Ok((200, _)) => return Ok((now(), answers + 1)),
                Ok((status, body)) => {
                    answers += 1;
                    last = format!("answered {status} {body}");
                }
                Err(error) => last = format!("gave no answer ({error})"),
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.unwell(format!("ended with {status}")));
            }
            std::thread::sleep(PROBE_PAUSE);
        }
        Err(self.unwell(last))
    }

    fn unwell(&self, how: String) -> ProcessError {
        let text = fs::read(&self.log).unwrap_or_default();
        let output = String::from_utf8_lossy(&text[text.len().saturating_sub(2_000)..]).trim().to_owned();
        ProcessError::Unwell { name: self.name.clone(), how, output }
    }

    /// CPU time of the process so far, in ns: of all its threads, those that have ended too.
    pub(crate) fn cpu_ns(&self) -> Result<u64, ProcessError> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        let spent = clock_getcpuclockid(pid).and_then(clock_gettime).map_err(|_| self.unwell("is gone".to_owned()))?;
        Ok(spent.tv_sec() as u64 * SECOND + spent.tv_nsec() as u64)
    }

    /// Peak resident set, in bytes (`VmHWM`).
    pub(crate) fn peak_rss(&self) -> Result<u64, ProcessError> {
        Ok(self.status("VmHWM")? * 1024)
    }

    /// Resident set, in bytes (`VmRSS`).
    pub(crate) fn rss(&self) -> Result<u64, ProcessError> {
        Ok(self.status("VmRSS")? * 1024)
    }

    /// Threads.
    pub(crate) fn threads(&self) -> Result<u64, ProcessError> {
        self.status("Threads")
    }

    /// Open files, sockets among them.
    pub(crate) fn descriptors(&self) -> Result<u64, ProcessError> {
        let open =
            fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_err(|_| self.unwell("is gone".to_owned()))?;
        Ok(open.count() as u64)
    }

    /// A number that the kernel keeps of it; a size is in KiB.
    fn status(&self, name: &str) -> Result<u64, ProcessError> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .map_err(|_| self.unwell("is gone".to_owned()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
        number.ok_or_else(|| self.unwell(format!("has no {name}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own: status and body.
///
/// # Errors
/// No connection, no answer within a second, or no HTTP.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<(u16, String)> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.set_nodelay(true)?;
    socket.write_all(request)?;
    let mut message = Message::new(Role::Response);
    let mut buffer = [0; 8 * 1024];
    while !message.is_done() {
        match socket.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => message.feed(&buffer[..count]).map_err(io::Error::other)?,
        };
    }
    Ok((message.status().unwrap_or(0), String::from_utf8_lossy(message.body()).into_owned()))
}

/// A loopback address nobody listens on at the moment.
///
/// # Errors
/// The kernel has no port left.
pub(crate) fn free_address() -> Result<SocketAddr, ProcessError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(ProcessError::io("cannot find a free port"))
}
