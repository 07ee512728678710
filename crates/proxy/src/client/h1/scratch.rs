//! Reading without a buffer per connection.
//!
//! A stream of tokens waits most of its life: a buffer of its own would be resident memory for nothing, thousands of times.
//! So every read of a thread goes into one buffer of that thread, and what has been understood of it leaves as an allocation
//! of exactly its size before the poll is over. For a token that is some hundred bytes copied, less than a cache miss costs.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use crate::io::Transport;

/// Size of the buffer: a socket's usual share of a bulk transfer in one system call.
const SIZE: usize = 64 << 10;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
}

/// Reads once and lets `consume` look at what came; no bytes mean the end of the stream.
///
/// # Errors
/// What the stream says.
pub(super) fn poll_read<T>(
    transport: &mut Transport,
    cx: &mut Context<'_>,
    consume: impl FnOnce(&mut [u8]) -> T,
) -> Poll<io::Result<T>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut read = ReadBuf::new(buffer);
        ready!(transport.poll_read(cx, &mut read))?;
        Poll::Ready(Ok(consume(read.filled_mut())))
    })
}
