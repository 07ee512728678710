//! Readiness: a thin layer over epoll, level-triggered, one token per descriptor.
//!
//! A bench that measures what a proxy spends must not sleep while it waits: to wake a sleeping core is the work of who
//! writes to it, on a virtual machine as dear as the write itself, and it falls due or not by how far behind the proxy
//! answers. Kept awake, the other end costs every proxy the same.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::thread::sched_yield;

use crate::stopwatch::{SECOND, now};

/// What a descriptor waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Bytes to read (or the peer's leaving).
    Read,
    /// The same, and room to write.
    ReadWrite,
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Self::Read => epoll::EventFlags::IN,
            Self::ReadWrite => epoll::EventFlags::IN | epoll::EventFlags::OUT,
        }
    }
}

/// An epoll instance and its buffer of events.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    /// How long it looks again and again before it sleeps, ns.
    awake: u64,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// The kernel refuses another descriptor.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(256), awake: 0 })
    }

    /// From now on looks again and again for `awake` ns, letting others on its core between, before it sleeps.
    pub(crate) fn stay_awake(&mut self, awake: u64) {
        self.awake = awake;
    }

    /// Watches `fd` for reading; closing it ends the watch.
    pub(crate) fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), Interest::Read.flags())?)
    }

    /// Changes what `fd` is watched for.
    pub(crate) fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// Waits until something is ready or `timeout_ns` has passed (`None`: for ever) and fills `ready` with tokens.
    pub(crate) fn wait(&mut self, timeout_ns: Option<u64>, ready: &mut Vec<u64>) -> io::Result<()> {
        let begin = now();
        ready.clear();
        loop {
            let waited = now() - begin;
            let left = timeout_ns.map(|timeout| timeout.saturating_sub(waited));
            let asleep = waited >= self.awake || left == Some(0);
            self.look(if asleep { left } else { Some(0) }, ready)?;
            if asleep || !ready.is_empty() {
                return Ok(());
            }
            sched_yield();
        }
    }

    fn look(&mut self, timeout_ns: Option<u64>, ready: &mut Vec<u64>) -> io::Result<()> {
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout_ns.map(timespec).as_ref()) {
            Ok(_) => ready.extend(self.events.iter().map(|event| event.data.u64())),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// A duration as the kernel takes it.
pub(crate) fn timespec(ns: u64) -> Timespec {
    let seconds = i64::try_from(ns / SECOND).unwrap_or(i64::MAX);
    Timespec { tv_sec: seconds, tv_nsec: (ns % SECOND) as _ }
}
