//! Readings of the process by the system. Where it does not tell them, the series are absent.
//!
//! A scrape comes while streams run, perhaps with thousands of connections open, so each reading is one call whose cost does
//! not grow with them. `/proc/self/status`, `limits` and a listing of `/proc/self/fd` took a millisecond together.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::catalogue::process as catalogue;
use crate::metrics::Registry;

pub(super) fn register(registry: &Registry) {
    let started = start_time();
    registry.read(&catalogue::CPU_SECONDS, [], || Some(cpu_seconds()));
    registry.read(&catalogue::RESIDENT_BYTES, [], || Some(Memory::read()?.resident));
    registry.read(&catalogue::VIRTUAL_BYTES, [], || Some(Memory::read()?.size));
    registry.read(&catalogue::START_TIME, [], move || started);
    registry.read(&catalogue::OPEN_FDS, [], open_fds);
    registry.read(&catalogue::MAX_FDS, [], || {
        Some(getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |n| n as f64))
    });
    registry.read(&catalogue::THREADS, [], threads);
}

/// Anonymous resident memory: what the allocator has, where it does not tell itself.
pub(super) fn anonymous_bytes() -> Option<f64> {
    let memory = Memory::read()?;
    Some((memory.resident - memory.shared).max(0.0))
}

/// `/proc/self/statm`, in bytes.
struct Memory {
    size: f64,
    resident: f64,
    /// Of files and shared memory, resident.
    shared: f64,
}

impl Memory {
    fn read() -> Option<Self> {
        let statm = fs::read_to_string("/proc/self/statm").ok()?;
        let page = rustix::param::page_size() as f64;
        let mut fields = statm.split_ascii_whitespace().map_while(|field| Some(field.parse::<f64>().ok()? * page));
        Some(Self { size: fields.next()?, resident: fields.next()?, shared: fields.next()? })
    }
}

/// Linux since 6.2 tells their number as the size of the directory; before, they have to be counted.
fn open_fds() -> Option<f64> {
    const DIRECTORY: &str = "/proc/self/fd";
    match fs::metadata(DIRECTORY).ok()?.size() {
        0 => Some(fs::read_dir(DIRECTORY).ok()?.count() as f64),
        told => Some(told as f64),
    }
}

/// A directory has a link from its parent, one from itself, and one from each directory in it: here, each thread.
fn threads() -> Option<f64> {
    Some(fs::metadata("/proc/self/task").ok()?.nlink().checked_sub(2)? as f64)
}

/// User and system time of all threads, those that have ended included.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Boot time plus field 22 of `/proc/self/stat`, which is in clock ticks. The fields are counted after the command, which is
/// in brackets and may contain anything.
fn start_time() -> Option<f64> {
    const STARTED: usize = 22;
    const AFTER_COMMAND: usize = 3;
    let of_system = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = of_system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let of_process = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = of_process.rsplit_once(") ")?;
    let ticks: f64 = rest.split_ascii_whitespace().nth(STARTED - AFTER_COMMAND)?.parse().ok()?;
    Some(boot + ticks / rustix::param::clock_ticks_per_second() as f64)
}
