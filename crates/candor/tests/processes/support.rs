//! Processes of this program, and clients of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use proxy::body::collect;
use proxy::{Body, Client, ClientConfig, Target};
use rustix::process::{Pid, Signal, kill_process};
use telemetry::exposition::{Scrape, parse};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

pub(crate) use testkit::eventually;

/// A running `candor`; killed when it is dropped.
pub(crate) struct Candor {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Candor {
    /// Starts a component on a free port, and waits until it answers.
    pub(crate) async fn start(component: &str, flags: &[&str]) -> Self {
        loop {
            let addr = on_loopback(testkit::free_port());
            if let Some(started) = Self::launch(component, addr, addr, flags, &[]).await {
                return started;
            }
        }
    }

    /// The same with more in its environment.
    pub(crate) async fn start_in(environment: &[(&str, &str)], component: &str, flags: &[&str]) -> Self {
        let addr = on_loopback(testkit::free_port());
        let started = Self::launch(component, addr, addr, flags, environment).await;
        started.unwrap_or_else(|| panic!("{component} does not start"))
    }

    /// The same of a component whose metrics are elsewhere.
    pub(crate) async fn start_seen_at(metrics: SocketAddr, component: &str, flags: &[&str]) -> Self {
        let started = Self::launch(component, on_loopback(testkit::free_port()), metrics, flags, &[]).await;
        started.unwrap_or_else(|| panic!("{component} does not start"))
    }

    /// Starts a component where one of its kind was before.
    pub(crate) async fn start_again(component: &str, addr: SocketAddr, flags: &[&str]) -> Self {
        let started = Self::launch(component, addr, addr, flags, &[]).await;
        started.unwrap_or_else(|| panic!("{component} does not start on the port that it had before"))
    }

    async fn launch(
        component: &str,
        addr: SocketAddr,
        metrics: SocketAddr,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Option<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
        command.arg(component).arg("--host=127.0.0.1").arg(format!("--port={}", addr.port())).args(flags);
        command.env("CANDOR_LOG", "error").envs(environment.iter().copied()).kill_on_drop(true);
        let mut started = Self { child: command.spawn().unwrap(), addr };
        while scrape(metrics).await.is_none() {
            if let Some(status) = started.child.try_wait().unwrap() {
                assert_ne!(status.code(), Some(78), "{component} refuses its flags");
                return None;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some(started)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// `kill -9`, and its end.
    pub(crate) async fn kill(mut self) -> SocketAddr {
        self.child.kill().await.unwrap();
        self.addr
    }

    /// SIGTERM, and whether it ends well.
    pub(crate) async fn terminate(mut self) -> bool {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.child.wait().await.unwrap().success()
    }

    /// A scrape; nothing where nobody answers.
    pub(crate) async fn scrape(&self) -> Option<Scrape> {
        scrape(self.addr).await
    }

    /// The sum of a metric over its series.
    pub(crate) async fn sum(&self, name: &str) -> f64 {
        self.scrape().await.and_then(|scrape| scrape.sum(name, &[])).unwrap_or(0.0)
    }
}

fn on_loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn client() -> Client {
    Client::new(ClientConfig::default())
}

/// What `addr` says of itself; nothing where nobody answers.
pub(crate) async fn scrape(addr: SocketAddr) -> Option<Scrape> {
    let request = Request::get("/metrics").body(Body::Empty).unwrap();
    let response = client().send(&Target::from_addr(addr), request).await.ok()?;
    if response.status() != StatusCode::OK {
        return None;
    }
    let body = collect(response.into_body(), 16 << 20).await.ok()?;
    Some(parse(std::str::from_utf8(&body).unwrap()).unwrap())
}

/// Clients of one gateway, each of which sends one request after another: every third leaves before its first token, every
/// third in mid-stream.
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Clients {
    pub(crate) fn of(gateway: SocketAddr, count: usize) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut tasks = JoinSet::new();
        for own in 0..count {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tasks.spawn(async move {
                let client = client();
                for turn in own.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match one(&client, gateway, turn).await {
                        Some(()) => answered.fetch_add(1, Ordering::Relaxed),
                        None => {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                            0
                        }
                    };
                }
            });
        }
        Self { stop, answered, tasks }
    }

    /// Requests that were answered so far.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Lets those under way end.
    pub(crate) async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// One request; nothing where it failed.
async fn one(client: &Client, gateway: SocketAddr, turn: usize) -> Option<()> {
    let body =
        r#"{"model":"m","prompt":"one two three four five six","max_tokens":12,"ignore_eos":true,"stream":true}"#;
    let request = Request::post("/v1/completions").header("content-type", "application/json");
    let target = Target::from_addr(gateway);
    let sending = client.send(&target, request.body(Body::from(body)).unwrap());
    if turn.is_multiple_of(3) {
        // Whoever is left here has not had its answer's head.
        return tokio::time::timeout(Duration::from_millis(15), sending)
            .await
            .map_or(Some(()), |sent| sent.ok().map(drop));
    }
    let response = sending.await.ok().filter(|response| response.status() == StatusCode::OK)?;
    let mut body = response.into_body();
    let mut frames = 0;
    while let Some(frame) = body.frame().await {
        frame.ok()?;
        frames += 1;
        if turn % 3 == 1 && frames == 3 {
            break;
        }
    }
    Some(())
}
