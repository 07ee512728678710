//! The edge of the socket: when bytes that were handed to the kernel have really left it.
//!
//! "Handed to the connection" is as far as a process usually sees, and it can be far from the truth: with Nagle's algorithm,
//! a closed window or a congested link, a first token lies in the send queue while every metric says that it is out. So a
//! sample of writes is followed: the kernel is asked how much of its send queue it has not sent yet (`SIOCOUTQNSD` in
//! `tcp(7)`; not `SIOCOUTQ`, which goes on counting until the peer's acknowledgement, and that may be delayed by 40 ms at
//! no harm to anybody) until it says nothing.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::ioctl;
use socket2::SockRef;
use telemetry::clock;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use crate::Drain;

/// `SIOCOUTQNSD` of `linux/sockios.h`: bytes of the send queue that have not been sent.
const UNSENT: ioctl::Opcode = 0x894B;

/// How often a queue that is not empty is looked at again: tokio's finest timer.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// After this time a write is given up on; the delay is at least as long, and is reported so.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows writes out of the kernel, and says how long each took.
#[derive(Clone)]
pub struct EgressWatch {
    tasks: TaskTracker,
    report: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl EgressWatch {
    /// Reports to `report`; what is being followed runs in `drain`.
    pub fn new(drain: &Drain, report: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self { tasks: drain.tracker().clone(), report: Arc::new(report) }
    }

    /// Follows what was just written to `socket`.
    pub(crate) fn follow(&self, socket: &TcpStream) {
        let written = clock::now();
        if unsent(socket) == Some(0) {
            return (self.report)(clock::now() - written);
        }
        // A descriptor of our own: the connection may be closed at any time, and its number taken by another.
        let Ok(socket) = socket.as_fd().try_clone_to_owned() else { return };
        let report = Arc::clone(&self.report);
        self.tasks.spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                // A connection that was reset keeps its count of unsent bytes, which nobody will send.
                let lives = SockRef::from(&socket).peer_addr().is_ok();
                let passed = clock::now() - written;
                match unsent(&socket).filter(|_| lives) {
                    None => return,
                    Some(0) => return report(passed),
                    Some(_) if passed >= PATIENCE => return report(passed),
                    Some(_) => {}
                }
            }
        });
    }
}

impl fmt::Debug for EgressWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EgressWatch")
    }
}

/// Bytes of the send queue that the kernel has not sent; `None` where the socket does not say.
#[expect(unsafe_code, reason = "rustix has no safe form of this request; it writes one int, as the getter expects")]
fn unsent(socket: &impl AsFd) -> Option<i32> {
    // SAFETY: SIOCOUTQNSD on a TCP socket writes one `int` and reads nothing; on any other descriptor it is an error.
    unsafe { ioctl::ioctl(socket, ioctl::Getter::<UNSENT, i32>::new()) }.ok()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, client)
    }

    fn watch() -> (EgressWatch, mpsc::UnboundedReceiver<Duration>) {
        let (report, reported) = mpsc::unbounded_channel();
        let watch = EgressWatch::new(&Drain::new(), move |delay| {
            let _ = report.send(delay);
        });
        (watch, reported)
    }

    #[tokio::test]
    async fn what_leaves_at_once_is_reported_at_once() {
        let ((mut server, _client), (watch, mut reported)) = (pair().await, watch());
        server.write_all(b"token").await.unwrap();
        watch.follow(&server);
        assert!(reported.recv().await.unwrap() < PATIENCE);
    }

    #[tokio::test]
    async fn what_the_client_does_not_read_is_reported_when_it_does() {
        let ((server, client), (watch, mut reported)) = (pair().await, watch());
        while server.try_write(&[b'x'; 64 << 10]).is_ok() {}
        watch.follow(&server);
        let held = Duration::from_millis(30);
        assert!(tokio::time::timeout(held, reported.recv()).await.is_err(), "reported while the window was closed");
        let mut sink = vec![0; 1 << 20];
        let delay = loop {
            tokio::select! {
                delay = reported.recv() => break delay.unwrap(),
                _ = client.readable() => {
                    let _ = client.try_read(&mut sink);
                }
            }
        };
        assert!(delay >= held);
    }

    #[tokio::test]
    async fn a_closed_connection_says_nothing_and_ends() {
        let ((server, client), (watch, mut reported)) = (pair().await, watch());
        while server.try_write(&[b'x'; 64 << 10]).is_ok() {}
        watch.follow(&server);
        drop((client, server));
        let tasks = watch.tasks.clone();
        tasks.close();
        drop(watch);
        tokio::time::timeout(PATIENCE / 2, tasks.wait()).await.expect("an end");
        assert!(reported.recv().await.is_none());
    }
}
