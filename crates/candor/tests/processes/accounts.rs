//! A scheduler's accounts while gateways are killed, clients leave, and the scheduler itself is killed and started again:
//! they add up at every scrape, and nothing is left in them once the load has ended.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use telemetry::exposition::Scrape;
use testkit::Redis;

use crate::support::{Candor, Clients, eventually, scrape};

/// Slow enough that many requests are under way at every scrape.
const ENGINE: [&str; 4] = ["--model=m", "--prefill-base=20ms", "--decode-step=8ms", "--max-num-seqs=4"];

const GATEWAYS: &str = "scheduler_connected_gateways";
const PLACED: &str = "scheduler_scheduling_total";

/// Clients of each gateway.
const CLIENTS: usize = 6;

/// A deployment of two engines, two gateways and a scheduler, with its flags.
struct World {
    engines: [Candor; 2],
    gateways: [Candor; 2],
    scheduler: Candor,
    flags: Vec<String>,
}

impl World {
    async fn lite() -> Self {
        let engines = [Candor::start("engine", &ENGINE).await, Candor::start("engine", &ENGINE).await];
        let endpoints = engines.each_ref().map(|engine| engine.addr.to_string()).join(",");
        let listed = format!("--llm-backend-endpoints={endpoints}");
        let flags = ["--enable-full-mode-scheduling=false", "--llm-backend-discovery=endpoints", &listed];
        let own = ["--enable-full-mode-scheduling=false", "--requests-report-duration=50ms"];
        Self::start(engines, &endpoints, &flags, &own).await
    }

    async fn full(redis: &Redis) -> Self {
        let cms = format!("--cms={}", redis.url());
        let engine = async |id: &str| {
            let own = [&ENGINE[..], &[&cms, id, "--cms-push-interval=20ms"]].concat();
            Candor::start("engine", &own).await
        };
        let engines = [engine("--instance-id=a").await, engine("--instance-id=b").await];
        let endpoints = engines.each_ref().map(|engine| engine.addr.to_string()).join(",");
        let flags = [&*cms, "--cms-pull-metadata-interval-ms=100", "--request-local-account-staleness-seconds=3"];
        Self::start(engines, &endpoints, &flags, &[]).await
    }

    async fn start(engines: [Candor; 2], endpoints: &str, flags: &[&str], of_gateways: &[&str]) -> Self {
        let scheduler = Candor::start("scheduler", flags).await;
        let endpoints = format!("--neutral-endpoints={endpoints}");
        let known = format!("--scheduler-endpoints={}", scheduler.addr);
        let own = [&[&*endpoints, &*known], of_gateways].concat();
        let gateways = [Candor::start("gateway", &own).await, Candor::start("gateway", &own).await];
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let world = Self { engines, gateways, scheduler, flags };
        world.connected(2.0).await;
        world
    }

    async fn connected(&self, gateways: f64) {
        let what = format!("{gateways} gateways are connected");
        eventually(&what, || async { self.scheduler.sum(GATEWAYS).await == gateways }).await;
    }

    /// Two gateways under load, one of which is killed; then the scheduler is, and started again where it was. Nothing is left on
    /// the accounts after either.
    async fn lives_through_it(self, busy: &str, idle: &[String]) {
        let Self { engines, gateways: [lost, left], mut scheduler, flags } = self;
        let (of_lost, of_left) = (Clients::of(lost.addr, CLIENTS), Clients::of(left.addr, CLIENTS));
        eventually("requests are under way", || async { scheduler.sum(busy).await >= 3.0 }).await;
        eventually("both gateways answer", || async { of_lost.answered() > 20 && of_left.answered() > 20 }).await;
        lost.kill().await;
        eventually("its loss is seen", || async { scheduler.sum(GATEWAYS).await == 1.0 }).await;
        let before = of_left.answered();
        eventually("the other one goes on", || async { of_left.answered() > before + 20 }).await;
        of_lost.stop().await;
        of_left.stop().await;
        nothing_is_left(&scheduler, idle).await;

        let clients = Clients::of(left.addr, CLIENTS);
        eventually("requests are under way again", || async { scheduler.sum(busy).await >= 3.0 }).await;
        let was = scheduler.kill().await;
        let before = clients.answered();
        eventually("requests are answered without a scheduler", || async { clients.answered() > before + 5 }).await;
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        scheduler = Candor::start_again("scheduler", was, &flags).await;
        eventually("the gateway is back", || async { scheduler.sum(GATEWAYS).await == 1.0 }).await;
        eventually("requests are counted again", || async { scheduler.sum(busy).await >= 2.0 }).await;
        let placed = scheduler.sum(PLACED).await;
        eventually("and placed", || async { scheduler.sum(PLACED).await > placed + 20.0 }).await;
        clients.stop().await;
        nothing_is_left(&scheduler, idle).await;

        assert!(left.terminate().await && scheduler.terminate().await, "they end well");
        for engine in engines {
            assert!(engine.terminate().await);
        }
    }
}

/// Waits until all of these are zero, and there.
async fn nothing_is_left(scheduler: &Candor, idle: &[String]) {
    for name in idle {
        eventually(name, || async { scheduler.scrape().await.and_then(|all| all.sum(name, &[])) == Some(0.0) }).await;
    }
}

/// Scrapes `addr` for as long as `story` lasts, and has every scrape checked. Says how many there were.
async fn at_every_scrape(addr: SocketAddr, check: impl Fn(&Scrape) -> usize, story: impl Future<Output = ()>) -> usize {
    let checked = Cell::new(0);
    let watch = async {
        loop {
            if let Some(scrape) = scrape(addr).await {
                checked.set(checked.get() + check(&scrape));
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    tokio::select! {
        () = story => {}
        () = watch => {}
    }
    checked.get()
}

/// Checks that running and waiting are the total on every instance; says whether anything ran.
fn lrs_adds_up(scrape: &Scrape) -> usize {
    let mut busy = 0;
    for kind in ["requests", "tokens"] {
        for total in scrape.matching(&format!("instance_lrs_total_{kind}"), &[]) {
            let instance = [("instance_id", total.label("instance_id").unwrap())];
            let part = |part: &str| scrape.value(&format!("instance_lrs_{part}_{kind}"), &instance).unwrap();
            let (running, waiting) = (part("running"), part("waiting"));
            assert_eq!(running + waiting, total.value, "{kind} of {instance:?}");
            assert!(running >= 0.0 && waiting >= 0.0, "{running} {kind} run and {waiting} wait on {instance:?}");
            busy += usize::from(running > 0.0 && waiting > 0.0);
        }
    }
    busy
}

/// Checks that what is made of a status and of what is in flight is their sum, and that nothing is below zero.
fn cms_adds_up(scrape: &Scrape) -> usize {
    let mut busy = 0;
    for batch in scrape.matching("instance_cms_decode_batch_size", &[]) {
        let instance = [("instance_id", batch.label("instance_id").unwrap())];
        let of = |name: &str| scrape.value(&format!("instance_cms_{name}"), &instance).unwrap();
        let parts = [
            "hybrid_scheduler_waiting_to_decode_requests",
            "loading_requests",
            "scheduler_waiting_to_decode_requests",
            "scheduler_running_to_decode_requests",
            "inflight_dispatch_decode_requests",
        ]
        .map(of);
        assert!(parts.iter().all(|&part| part >= 0.0), "{parts:?} on {instance:?}");
        assert_eq!(parts.iter().sum::<f64>(), batch.value, "{instance:?}");
        let inflight = of("inflight_dispatch_requests");
        assert_eq!(inflight, of("inflight_dispatch_prefill_requests"), "neutral requests are in flight to both");
        busy += usize::from(inflight > 0.0 && of("running_requests") > 0.0);
    }
    busy
}

#[tokio::test]
async fn in_lite_mode_the_account_adds_up_and_returns_to_zero() {
    let world = World::lite().await;
    let kinds = ["running_requests", "waiting_requests", "total_requests", "running_tokens", "waiting_tokens"];
    let idle = kinds.map(|kind| format!("instance_lrs_{kind}"));
    let addr = world.scheduler.addr;
    let story = world.lives_through_it("instance_lrs_total_requests", &idle);
    let busy = at_every_scrape(addr, lrs_adds_up, story).await;
    assert!(busy > 20, "requests ran and others waited on an instance in {busy} readings only");
}

#[tokio::test]
async fn in_full_mode_the_account_adds_up_and_returns_to_zero() {
    let redis = Redis::start().await;
    let world = World::full(&redis).await;
    let kinds = [
        "running_requests",
        "waiting_requests",
        "inflight_dispatch_requests",
        "decode_batch_size",
        "all_prefills_tokens_num",
        "all_decodes_tokens_num",
        "used_gpu_tokens",
    ];
    let idle = kinds.map(|kind| format!("instance_cms_{kind}"));
    let addr = world.scheduler.addr;
    let story = world.lives_through_it("instance_cms_running_requests", &idle);
    let busy = at_every_scrape(addr, cms_adds_up, story).await;
    assert!(busy > 5, "requests ran and others were in flight to an instance in {busy} readings only");
}
