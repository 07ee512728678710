//! A case with its processes running.

use std::net::SocketAddr;

use super::case::{Case, Place};
use super::passes::Plan;
use crate::Error;
use crate::engine::Stats;
use crate::frame::Ground;
use crate::load::{Phase, Session, Shape, Tally};
use crate::process::{Launch, Process, ProcessError, exchange, free_address};

/// The null engine's process.
#[derive(Debug)]
pub(crate) struct Engine {
    _process: Process,
    pub(crate) address: SocketAddr,
}

impl Engine {
    /// Starts it on the load's core and waits until it answers.
    pub(crate) fn start(name: &str, ground: &Ground) -> Result<Self, Error> {
        let address = free_address()?;
        let program = std::env::current_exe().map_err(ProcessError::io("cannot find this executable"))?;
        let listen = ["bench".into(), "engine".into(), "--listen".into(), address.to_string().into()];
        let awake = ground.is_roomy().then(|| "--awake".into());
        let command = std::iter::once(program.into_os_string()).chain(listen).chain(awake).collect();
        let launch = Launch { name: name.to_owned(), command, environment: Vec::new(), cpu: ground.load_cpu };
        let mut process = Process::start(&launch, ground.directory())?;
        process.first_answer(address, &get(address, "GET"))?;
        Ok(Self { _process: process, address })
    }

    /// What it has seen; `restart` sets the peak of streams back.
    pub(crate) fn stats(&self, restart: bool) -> Result<Stats, Error> {
        let request = get(self.address, if restart { "POST" } else { "GET" });
        let (_, text) = exchange(self.address, &request).map_err(ProcessError::io("the engine's figures"))?;
        Ok(serde_json::from_str(&text).map_err(|error| ProcessError::io("the engine's figures")(error.into()))?)
    }
}

fn get(address: SocketAddr, method: &str) -> Vec<u8> {
    format!("{method} /bench/stats HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

/// A case under test.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) case: Case,
    pub(crate) front: SocketAddr,
    processes: Vec<Process>,
    prefiller: Option<SocketAddr>,
    /// Path prefix under which the collector counts this stack's spans.
    pub(crate) collector: String,
    /// The load does not sleep.
    awake: bool,
    /// Requests answered so far, each of which is a request span.
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) failure: Option<String>,
    /// From the start to the end of the first answer, ns.
    pub(crate) started_in: u64,
}

impl Stack {
    /// Starts the processes of `case`, the `attempt`th time, and waits until the front answers a completion.
    pub(crate) fn start(case: Case, engine: &Engine, plan: &Plan<'_>, attempt: u32) -> Result<Self, Error> {
        let collector = format!("/{}/{attempt}", case.name().replace([' ', ','], "-"));
        let place = Place {
            engine: engine.address,
            directory: plan.directory,
            cpu: plan.proxy_cpu,
            collector: &collector,
            beside: plan.beside,
        };
        let (launches, front) = case.launches(&place)?;
        let mut processes = Vec::with_capacity(launches.len());
        for launch in &launches {
            processes.push(Process::start(launch, plan.directory)?);
        }
        let prefiller = case.names_prefiller().then_some(engine.address);
        let shape = Shape { stream: None, prefiller };
        let mut stack = Self {
            case,
            front,
            processes,
            prefiller,
            collector,
            awake: plan.load_cpu != plan.proxy_cpu,
            requests: 0,
            failed: 0,
            failure: None,
            started_in: 0,
        };
        stack.await_first_answer(&shape.request(front))?;
        Ok(stack)
    }

    fn await_first_answer(&mut self, request: &[u8]) -> Result<(), Error> {
        // The front is started last; its first answer is the stack's.
        let Some(process) = self.processes.last_mut() else {
            return Ok(());
        };
        let (at, answers) = process.first_answer(self.front, request)?;
        self.requests = answers;
        self.started_in = at - self.processes.first().map_or(at, Process::started);
        Ok(())
    }

    /// Opens connections to its front.
    pub(crate) fn session(&self, connections: usize) -> Result<Session, Error> {
        let session = Session::open(self.front, connections)?;
        Ok(if self.awake { session.awake() } else { session })
    }

    /// The shape of this stack's requests.
    pub(crate) fn shape(&self, stream: Option<crate::load::Pace>) -> Shape {
        Shape { stream, prefiller: self.prefiller }
    }

    /// Runs a phase over `session`; returns what it found and the CPU time that the stack spent on it, in ns.
    pub(crate) fn run(&mut self, session: &mut Session, phase: Phase) -> Result<(Tally, u64), Error> {
        let before = self.cpu_ns()?;
        let tally = session.run(phase)?;
        let cpu = self.cpu_ns()?.saturating_sub(before);
        self.requests += tally.requests;
        self.failed += tally.failed;
        if let (None, Some(failure)) = (&self.failure, &tally.failure) {
            self.failure = Some(failure.to_string());
        }
        Ok((tally, cpu))
    }

    /// Its processes, the front last.
    pub(crate) fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn cpu_ns(&self) -> Result<u64, Error> {
        Ok(self.processes.iter().map(Process::cpu_ns).sum::<Result<u64, _>>()?)
    }

    /// Peak resident set of all its processes, in bytes.
    pub(crate) fn peak_rss(&self) -> Result<u64, Error> {
        Ok(self.processes.iter().map(Process::peak_rss).sum::<Result<u64, _>>()?)
    }
}
