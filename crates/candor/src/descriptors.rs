//! File descriptors: as many as the system allows, and a table of them that does not have to grow while requests wait.
//!
//! Linux starts a process with a table of 64 descriptors and doubles it whenever it is full (`fs/file.c`). In a process
//! with several threads the call that finds it full, be it `accept` or `connect`, waits there for an RCU grace period:
//! 10 to 25 ms in which its thread does nothing for anybody. A server that has just started would stand still at its
//! 64th, 128th, ..., 4,096th connection. While there is one thread, growing is free, and a table never shrinks.

use std::os::fd::OwnedFd;

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that the table has room for from the start: 0.5 MB of the kernel's memory, and room for the connections of
/// 30,000 streams through a gateway.
const ROOM: u64 = 65_536;

/// Raises this process's limit to what it may be, and makes room for up to [`ROOM`] descriptors. To be called before
/// there is a second thread.
///
/// Neither has to succeed: a server with fewer descriptors is a server still.
pub(crate) fn make_room() {
    let room = raise_limit().min(ROOM);
    // The copy is closed at once; the room that it took stays.
    let _ = highest(room);
}

/// How many descriptors this process may have from now on.
fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    current.unwrap_or(u64::MAX)
}

/// A descriptor with the highest number below `room`.
fn highest(room: u64) -> Result<OwnedFd, Errno> {
    let any = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
    let number = i32::try_from(room.saturating_sub(1)).map_err(|_| Errno::INVAL)?;
    fcntl_dupfd_cloexec(&any, number)
}
