//! The null engine: an OpenAI server without a model, so lean that a proxy in front of it is what a bench measures.
//!
//! One thread, one epoll set, canned answers. A request that does not stream is answered as soon as its last byte has
//! been read; a stream sends its head at once and then one chunk per token at the pace the request names, driven by one
//! `timerfd` armed for the earliest of all due tokens. The same process takes OTLP exports and counts their spans, so
//! the bench can tell that telemetry was on and lost nothing.

mod answer;
mod collector;
mod conn;
mod order;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

pub(crate) use answer::{DWELL, TOKEN};
pub(crate) use collector::Stats;
use conn::{Conn, Paced};
use order::Order;

use crate::poll::{Interest, Poller, timespec};
use crate::stopwatch::{MILLISECOND, now};

const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const READ_BUFFER: usize = 256 * 1024;
/// A longer silence than this is none between tokens or requests, ns.
const LULL: u64 = 50 * MILLISECOND;

/// Flags of the hidden `bench engine`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {
    /// Address to listen on.
    #[arg(long)]
    pub listen: SocketAddr,
    /// Do not sleep between tokens: only where the core is the bench's own.
    #[arg(long)]
    pub awake: bool,
}

/// Serves until the process is killed.
///
/// # Errors
/// The address is taken, or the kernel refuses descriptors.
pub fn run(args: Args) -> io::Result<()> {
    let mut engine = Engine::bind(args.listen)?;
    if args.awake {
        engine.poller.stay_awake(LULL);
    }
    let mut ready = Vec::new();
    loop {
        engine.arm()?;
        engine.poller.wait(None, &mut ready)?;
        for &token in &ready {
            engine.turn(token)?;
        }
    }
}

/// A token that is due: when, in which slot, on which connection in that slot.
type Due = Reverse<(u64, usize, u64)>;

struct Engine {
    poller: Poller,
    listener: TcpListener,
    timer: OwnedFd,
    armed: u64,
    slots: Vec<Option<Conn>>,
    free: Vec<usize>,
    generation: u64,
    due: BinaryHeap<Due>,
    stats: Stats,
    buffer: Vec<u8>,
    out: Vec<u8>,
}

impl Engine {
    fn bind(listen: SocketAddr) -> io::Result<Self> {
        let poller = Poller::new()?;
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        poller.add(&listener, LISTENER)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poller.add(&timer, TIMER)?;
        Ok(Self {
            poller,
            listener,
            timer,
            armed: 0,
            slots: Vec::new(),
            free: Vec::new(),
            generation: 0,
            due: BinaryHeap::new(),
            stats: Stats::default(),
            buffer: vec![0; READ_BUFFER],
            out: Vec::new(),
        })
    }

    fn turn(&mut self, token: u64) -> io::Result<()> {
        match token {
            LISTENER => self.accept(),
            TIMER => self.fire(),
            slot => {
                let slot = usize::try_from(slot).unwrap_or(usize::MAX);
                if self.serve(slot).is_err() {
                    self.close(slot);
                }
                Ok(())
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            self.generation += 1;
            let conn = Conn::new(socket, self.generation)?;
            let slot = self.free.pop().unwrap_or(self.slots.len());
            self.poller.add(&conn.socket, slot as u64)?;
            if slot == self.slots.len() {
                self.slots.push(Some(conn));
            } else {
                self.slots[slot] = Some(conn);
            }
        }
    }

    fn close(&mut self, slot: usize) {
        if let Some(conn) = self.slots.get_mut(slot).and_then(Option::take) {
            if let Some(paced) = &conn.paced {
                self.stats.streams -= 1;
                self.stats.left.extend(paced.watch().map(|watch| (watch, now())));
            }
            self.free.push(slot);
        }
    }

    /// One readiness of a connection: finish an answer, read, answer.
    fn serve(&mut self, slot: usize) -> io::Result<()> {
        let Some(conn) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
            return Ok(());
        };
        if conn.is_blocked() && !conn.flush()? {
            self.poller.modify(&conn.socket, slot as u64, Interest::Read)?;
        }
        let mut rest = match conn.read(&mut self.buffer)? {
            None => return Ok(()),
            Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(count) => 0..count,
        };
        while !rest.is_empty() {
            let Some(conn) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
                return Ok(());
            };
            rest.start += conn.request.feed(&self.buffer[rest.clone()]).map_err(io::Error::other)?;
            if conn.request.is_done() {
                self.answer(slot)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, slot: usize) -> io::Result<()> {
        let Some(conn) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
            return Ok(());
        };
        let order = Order::read(conn.request.body());
        self.out.clear();
        let target = conn.request.target();
        if target == b"/v1/chat/completions" {
            if order.takes_time() {
                conn.paced = Some(Paced::new(order));
                self.stats.stream_begun();
                if !order.prefill && !order.late_head {
                    answer::push_stream_head(&mut self.out);
                }
            } else {
                self.out.extend_from_slice(if order.prefill { &answer::PREFILL } else { &answer::COMPLETION });
            }
        } else {
            aside(&mut self.stats, target, conn.request.body(), conn.request.head(), &mut self.out);
        }
        conn.request.reset();
        let (paced, generation) = (conn.paced, conn.generation);
        self.send(slot)?;
        match paced {
            // Nothing to wait for: the first token leaves at once, though in a segment of its own.
            Some(paced) if paced.due() <= order.received => self.next_token(slot),
            Some(paced) => {
                self.due.push(Reverse((paced.due(), slot, generation)));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn send(&mut self, slot: usize) -> io::Result<()> {
        let Some(conn) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
            return Ok(());
        };
        let was_blocked = conn.is_blocked();
        if conn.send(&self.out)? && !was_blocked {
            self.poller.modify(&conn.socket, slot as u64, Interest::ReadWrite)?;
        }
        Ok(())
    }

    /// Sends the next token of a stream and says when the one after it is due.
    fn next_token(&mut self, slot: usize) -> io::Result<()> {
        let Some(conn) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
            return Ok(());
        };
        let Some(paced) = conn.paced.as_mut() else {
            return Ok(());
        };
        self.out.clear();
        if paced.push_next(&mut self.out, now()) {
            conn.paced = None;
            self.stats.streams -= 1;
        } else {
            self.due.push(Reverse((paced.due(), slot, conn.generation)));
        }
        self.send(slot)
    }

    /// Sends every token that is due.
    fn fire(&mut self) -> io::Result<()> {
        let mut expirations = [0_u8; 8];
        let _ = rustix::io::read(&self.timer, &mut expirations);
        self.armed = 0;
        let moment = now();
        while let Some(&Reverse((due, slot, generation))) = self.due.peek() {
            if due > moment {
                break;
            }
            self.due.pop();
            let current = self.slots.get(slot).and_then(Option::as_ref).map(|conn| conn.generation);
            if current == Some(generation) && self.next_token(slot).is_err() {
                self.close(slot);
            }
        }
        Ok(())
    }

    /// Arms the timer for the earliest token, unless it is already.
    fn arm(&mut self) -> io::Result<()> {
        let earliest = self.due.peek().map_or(0, |&Reverse((due, ..))| due);
        if earliest != self.armed {
            let value = Itimerspec { it_interval: timespec(0), it_value: timespec(earliest) };
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &value)?;
            self.armed = earliest;
        }
        Ok(())
    }
}

/// Everything that is not a completion: exports, the bench's own questions, a proxy's probes.
fn aside(stats: &mut Stats, target: &[u8], body: &[u8], head: &[u8], out: &mut Vec<u8>) {
    let target = String::from_utf8_lossy(target);
    if let Some(source) = target.strip_suffix("/v1/traces") {
        stats.count(source, body);
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n");
    } else if target == "/bench/stats" {
        let text = serde_json::to_string(stats).unwrap_or_default();
        out.extend_from_slice(&answer::json(200, &text));
        if head.starts_with(b"POST") {
            stats.streams_peak = stats.streams;
            stats.left.clear();
        }
    } else if target == "/v1/models" {
        out.extend_from_slice(&answer::MODELS);
    } else {
        out.extend_from_slice(&answer::json(200, "{}"));
    }
}
