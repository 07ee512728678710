//! Readings of `/proc/self`. Where it is not there, the series are absent.

use std::fs;

use crate::catalogue::process as catalogue;
use crate::metrics::Registry;

pub(super) fn register(registry: &Registry) {
    registry.read(&catalogue::CPU_SECONDS, [], cpu_seconds);
    registry.read(&catalogue::RESIDENT_BYTES, [], || status_bytes("VmRSS:"));
    registry.read(&catalogue::VIRTUAL_BYTES, [], || status_bytes("VmSize:"));
    registry.read(&catalogue::START_TIME, [], start_time);
    registry.read(&catalogue::OPEN_FDS, [], || Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64));
    registry.read(&catalogue::MAX_FDS, [], max_fds);
    registry.read(&catalogue::THREADS, [], || status("Threads:"));
}

/// Anonymous resident memory: what the allocator has, where it does not tell itself.
pub(super) fn anonymous_bytes() -> Option<f64> {
    status_bytes("RssAnon:")
}

fn status(key: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// `/proc/self/status` counts in kB of 1024 bytes.
fn status_bytes(key: &str) -> Option<f64> {
    Some(status(key)? * 1024.0)
}

fn max_fds() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The fields of `/proc/self/stat` after the command, which is in brackets and may contain anything.
fn stat(field: usize) -> Option<f64> {
    const AFTER_COMMAND: usize = 3;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_ascii_whitespace().nth(field - AFTER_COMMAND)?.parse().ok()
}

/// User and system time, fields 14 and 15, in clock ticks.
fn cpu_seconds() -> Option<f64> {
    Some((stat(14)? + stat(15)?) / ticks_per_second())
}

/// Boot time plus field 22.
fn start_time() -> Option<f64> {
    let stat_file = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = stat_file.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + stat(22)? / ticks_per_second())
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}
