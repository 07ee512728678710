//! Where the parts of a fleet run.
//!
//! All components share one thread with a current-thread runtime, so that on two cores the serving process and the load
//! process have one each. With a thread for each kind of component, four of them and the load took turns on the two
//! cores, and what the audit saw in its tail were the kernel's time slices. Engines hand out tokens one by one, so none
//! of them keeps a gateway waiting for long. The echo has a thread of its own: it must measure the machine, not us.
//!
//! What nobody waits for, the observatory and whatever is done aside (spans and metrics being written), comes second: of
//! components in processes of their own each would do it at another time, but here a dozen do at once, and two cores have to
//! go round.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A thread with a runtime, which ends when this is dropped or stopped.
#[derive(Debug)]
struct Worker {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How far what nobody waits for steps back: it gets a tenth of a core that others want.
const STEP_BACK: i32 = 10;

/// Threads for what is done aside, for each place.
const ASIDE: usize = 2;

impl Worker {
    /// It has its `turn` where cores are few; what it does aside comes second in any case.
    fn start(name: &str, turn: Turn) -> io::Result<Self> {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(ASIDE).on_thread_start(step_back).build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            if turn == Turn::Second {
                step_back();
            }
            // An error is the sender's drop: a stop as well.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread only panics when a task's panic was not caught, and that was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// Who goes first where cores are few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    First,
    Second,
}

/// Makes the calling thread, and no other, a polite one (`nice(2)` is for each thread on Linux).
fn step_back() {
    // A system that refuses makes the demo's tail worse, not wrong.
    let _ = rustix::process::nice(STEP_BACK);
}

/// The threads of a fleet.
#[derive(Debug)]
pub(crate) struct Threads {
    components: Worker,
    echo: Worker,
    observatory: Worker,
}

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The place of gateways, sidecars and engines.
    Components,
    /// The place of the echo.
    Echo,
    /// The place of the observatory: what it does for a page must not be seen in what it shows.
    Observatory,
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self {
            components: Worker::start("components", Turn::First)?,
            echo: Worker::start("echo", Turn::First)?,
            observatory: Worker::start("observatory", Turn::Second)?,
        })
    }

    /// Runs `future` at `place` and waits for it; what it spawns stays there.
    pub(crate) async fn run<T, F>(&self, place: Place, future: F) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        Ok(self.at(place).spawn(future).await?)
    }

    /// Calls `f` as if at `place`: what it spawns stays there.
    pub(crate) fn within<T>(&self, place: Place, f: impl FnOnce() -> T) -> T {
        let _inside = self.at(place).enter();
        f()
    }

    /// Leaves `future` running at `place` for as long as the thread lives.
    pub(crate) fn leave(&self, place: Place, future: impl Future<Output = ()> + Send + 'static) {
        self.at(place).spawn(future);
    }

    fn at(&self, place: Place) -> &Handle {
        let worker = match place {
            Place::Components => &self.components,
            Place::Echo => &self.echo,
            Place::Observatory => &self.observatory,
        };
        &worker.handle
    }
}
