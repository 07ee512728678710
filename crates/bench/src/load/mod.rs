//! The load: kept-alive HTTP/1.1 connections in one epoll loop, each with its own stopwatch.
//!
//! It shares a core with the null engine and runs on the thread that calls it, so nothing but the proxy under test
//! competes for the other core. A connection sends its next request as soon as it has read the last answer; the starts
//! of the connections may be spread, so that paced streams do not tick in step.

mod conn;

use std::io;
use std::net::SocketAddr;
use std::ops::Range;

pub(crate) use conn::Answered;
use conn::Conn;
pub use conn::Failure;

use crate::poll::Poller;
use crate::stopwatch::{SECOND, now};

const READ_BUFFER: usize = 256 * 1024;
/// Silence after which a phase is given up.
const STALL: u64 = 15 * SECOND;
/// Failed requests after which a phase is given up.
const FAILURE_LIMIT: u64 = 1_000;

/// The load could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A connection could not be opened, or the kernel refuses descriptors.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No answer made progress.
    #[error("no byte of an answer for {} s", STALL / SECOND)]
    Stalled,
    /// Nearly everything fails.
    #[error("{FAILURE_LIMIT} requests failed, the last with: {0}")]
    Failing(Failure),
}

/// One kind of request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// A stream of so many tokens at this pace; `None`: no stream.
    pub(crate) stream: Option<Pace>,
    /// Sends the sidecar's disaggregation header with this prefill target.
    pub(crate) prefiller: Option<SocketAddr>,
}

/// Stands in a prompt where the moment of sending is written, so that no two prompts are alike: what remembers prompts
/// gains nothing from it.
pub(crate) const SERIAL: &str = "00000000000000000000";

/// Writes a moment where `SERIAL` stands.
pub(crate) fn write_serial(at: &mut [u8], mut moment: u64) {
    for digit in at.iter_mut().rev() {
        *digit = b'0' + (moment % 10) as u8;
        moment /= 10;
    }
}

/// The pace of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Tokens of each stream.
    pub(crate) tokens: u32,
    /// Time to the engine's first token, µs.
    pub(crate) ttft_us: u64,
    /// From token to token, µs.
    pub(crate) interval_us: u64,
}

impl Shape {
    /// The request as bytes.
    pub(crate) fn request(&self, host: SocketAddr) -> Vec<u8> {
        let members = self.stream.map_or_else(
            || "\"max_tokens\":4".to_owned(),
            |pace| {
                format!(
                    "\"max_tokens\":{},\"stream\":true,\"user\":\"ttft_us={};itl_us={}\"",
                    pace.tokens, pace.ttft_us, pace.interval_us
                )
            },
        );
        let body = format!(
            "{{\"model\":\"bench\",\"messages\":[{{\"role\":\"user\",\"content\":\"{SERIAL}: say something short.\"}}],{members}}}"
        );
        let prefiller =
            self.prefiller.map_or_else(String::new, |target| format!("x-prefiller-host-port: {target}\r\n"));
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{prefiller}content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// When the connections of a phase stop sending.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// No new request after so many ns.
    Elapsed(u64),
    /// So many requests on each connection.
    Each(u32),
}

/// What a phase does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) shape: Shape,
    /// From one connection's first request to the next one's, ns.
    pub(crate) spread: u64,
    pub(crate) until: Until,
}

/// What a phase found.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Answers, failed ones included.
    pub(crate) requests: u64,
    /// Answers within the phase's time; later ones only drain.
    pub(crate) in_time: u64,
    /// Tokens of complete streams.
    pub(crate) tokens: u64,
    /// Of every good answer, in ns.
    pub(crate) totals: Vec<u64>,
    /// Of every good stream, in ns.
    pub(crate) added: Vec<u64>,
    /// Failed requests.
    pub(crate) failed: u64,
    /// Why the first of them failed.
    pub(crate) failure: Option<Failure>,
}

/// Open connections to one address.
pub(crate) struct Session {
    address: SocketAddr,
    poller: Poller,
    conns: Vec<Conn>,
    buffer: Vec<u8>,
}

impl Session {
    /// Opens `count` connections.
    ///
    /// # Errors
    /// One of them is refused.
    pub(crate) fn open(address: SocketAddr, count: usize) -> Result<Self, LoadError> {
        let mut session = Self { address, poller: Poller::new()?, conns: Vec::new(), buffer: vec![0; READ_BUFFER] };
        for index in 0..count {
            let conn = session.connect(index)?;
            session.conns.push(conn);
        }
        Ok(session)
    }

    /// Never sleeps while a phase runs: see [`crate::poll`].
    pub(crate) fn awake(mut self) -> Self {
        self.poller.stay_awake(STALL);
        self
    }

    fn connect(&self, index: usize) -> io::Result<Conn> {
        let conn = Conn::open(self.address)?;
        self.poller.add(&conn.socket, index as u64)?;
        Ok(conn)
    }

    /// Puts a fresh connection in the place of one that failed.
    fn reconnect(&mut self, index: usize) -> io::Result<()> {
        let rounds = self.conns[index].rounds;
        self.conns[index] = self.connect(index)?;
        self.conns[index].rounds = rounds;
        Ok(())
    }

    /// Runs a phase to its end: every request that was sent is answered or has failed.
    ///
    /// # Errors
    /// The load could not be applied; single failures are in the tally.
    pub(crate) fn run(&mut self, phase: Phase) -> Result<Tally, LoadError> {
        let request = phase.shape.request(self.address);
        let serial = memchr::memmem::find(&request, SERIAL.as_bytes()).unwrap_or(request.len());
        self.conns.iter_mut().for_each(|conn| conn.rounds = 0);
        let mut run = Run {
            tokens: phase.shape.stream.map(|pace| pace.tokens as usize),
            phase,
            serial: serial..request.len().min(serial + SERIAL.len()),
            request,
            begin: now(),
            busy: 0,
            tally: Tally::default(),
        };
        let (mut next, mut ready) = (0, Vec::new());
        loop {
            let mut wait = STALL;
            while next < self.conns.len() {
                let (start, moment) = (run.begin + next as u64 * phase.spread, now());
                if start > moment {
                    wait = start - moment;
                    break;
                }
                run.busy += 1;
                self.send(next, &mut run)?;
                next += 1;
            }
            if run.busy == 0 && next == self.conns.len() {
                return Ok(run.tally);
            }
            self.poller.wait(Some(wait), &mut ready)?;
            if ready.is_empty() && wait == STALL {
                return Err(LoadError::Stalled);
            }
            for &index in &ready {
                self.turn(usize::try_from(index).unwrap_or(usize::MAX), &mut run)?;
            }
        }
    }

    fn turn(&mut self, index: usize, run: &mut Run) -> Result<(), LoadError> {
        match self.conns[index].read(&mut self.buffer, run.tokens) {
            Ok(None) => return Ok(()),
            Ok(Some(answered)) => run.answered(answered),
            Err(failure) => {
                self.reconnect(index)?;
                run.failed(failure)?;
            }
        }
        if run.goes_on(self.conns[index].rounds) {
            self.send(index, run)?;
        } else {
            run.busy -= 1;
        }
        Ok(())
    }

    fn send(&mut self, index: usize, run: &mut Run) -> Result<(), LoadError> {
        write_serial(&mut run.request[run.serial.clone()], now());
        if self.conns[index].send(&run.request).is_err() {
            // The server closed it while it lay idle: a fresh one, once.
            self.reconnect(index)?;
            self.conns[index].send(&run.request).map_err(LoadError::Failing)?;
        }
        Ok(())
    }
}

/// A phase under way.
struct Run {
    phase: Phase,
    tokens: Option<usize>,
    request: Vec<u8>,
    /// Where the moment of sending is written.
    serial: Range<usize>,
    begin: u64,
    busy: usize,
    tally: Tally,
}

impl Run {
    fn answered(&mut self, answered: Answered) {
        self.tally.requests += 1;
        self.tally.totals.push(answered.total);
        self.tally.added.extend(answered.added);
        self.tally.tokens += self.tokens.unwrap_or(0) as u64;
        let in_time = match self.phase.until {
            Until::Elapsed(ns) => answered.at - self.begin <= ns,
            Until::Each(_) => true,
        };
        self.tally.in_time += u64::from(in_time);
    }

    fn failed(&mut self, failure: Failure) -> Result<(), LoadError> {
        self.tally.requests += 1;
        self.tally.failed += 1;
        if self.tally.failed == FAILURE_LIMIT {
            return Err(LoadError::Failing(failure));
        }
        self.tally.failure.get_or_insert(failure);
        Ok(())
    }

    fn goes_on(&self, rounds: u32) -> bool {
        match self.phase.until {
            Until::Elapsed(ns) => now() - self.begin < ns,
            Until::Each(count) => rounds < count,
        }
    }
}

#[cfg(test)]
mod tests;
