//! Moving requests: a scheduler and llumlets over real sockets.

use std::sync::Arc;

use cluster::api::InferType;
use cluster::cms::Store;
use cluster::records::llumlet::{MigrateRequest, MigrateResponse, MigrationValue, method};
use cluster::records::{InstanceMetadata, InstanceStatus};
use parking_lot::Mutex;
use prost::Message as _;
use proxy::body::collect;
use proxy::{Drain, Listener, ListenerConfig, grpc};
use serde_json::json;

use crate::support::{World, ask, eventually, full_flags, metadata, over, status};

/// An instance's llumlet: it says what it is told to say, and remembers what it was asked.
struct Llumlet {
    port: i32,
    asked: Arc<Mutex<Vec<MigrateRequest>>>,
    drain: Drain,
}

impl Llumlet {
    /// It hands over to `taker` only.
    fn start(taker: &'static str) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), ListenerConfig::default()).unwrap();
        let port = i32::from(listener.local_addr().port());
        let (asked, drain) = (Arc::<Mutex<Vec<MigrateRequest>>>::default(), Drain::new());
        let seen = Arc::clone(&asked);
        let answer = move |request: http::Request<hyper::body::Incoming>| {
            let seen = Arc::clone(&seen);
            async move {
                assert_eq!(request.uri().path(), method::MIGRATE);
                let body = collect(proxy::Body::from(request.into_body()), 1 << 16).await.unwrap();
                let (_, message) = grpc::unframed(body).unwrap();
                let request = MigrateRequest::decode(message).unwrap();
                let success = request.dst_engine_id == taker;
                seen.lock().push(request);
                let message = if success { "2 requests handed over" } else { "no room" }.to_owned();
                grpc::answer(&MigrateResponse { success, message }.encode_to_vec())
            }
        };
        drain.spawn(listener.serve(answer, drain.clone()));
        Self { port, asked, drain }
    }
}

async fn write(store: &Store, id: &str, llumlet_port: i32, schedulable: bool) {
    let metadata = InstanceMetadata { llumlet_port, ..metadata(id, InferType::Neutral, 8000) };
    store.put_metadata(&metadata).await.unwrap();
    let status = InstanceStatus { schedulable, num_running_requests: 2, ..status(id, 1) };
    store.put_status(&status).await.unwrap();
}

#[tokio::test]
async fn a_process_that_only_moves_requests_has_llumlets_do_so_and_shows_it() {
    let (store, llumlet) = (Store::memory(), Llumlet::start("c"));
    write(&store, "a", llumlet.port, false).await;
    for other in ["b", "c"] {
        write(&store, other, 1, true).await;
    }
    let flags = full_flags()
        .with("standalone-rescheduling-mode", "true")
        .with("rescheduling-policies", "neutral_failover")
        .with("rescheduling-interval-ms", "10");
    let world = World::start(over(&store, flags)).await;
    eventually("a migration that succeeds", || async {
        world.scrape().await.value("scheduler_migrations_total", &[("reason", "done")]) > Some(0.0)
    })
    .await;
    let asked = llumlet.asked.lock().clone();
    let request = &asked[0];
    assert_eq!((request.src_engine_id.as_str(), request.trigger_policy.as_str()), ("a", "neutral_failover"));
    assert_eq!((request.migration_type.as_str(), request.migration_req_policy.as_str()), ("NUM_REQ", "LR"));
    assert_eq!(request.migration_value, Some(MigrationValue::NumReqs(-1)));
    assert_eq!((request.dst_engine_ip.as_str(), request.dst_engine_port), ("127.0.0.1", 1));
    let destinations: Vec<&str> = asked.iter().map(|request| request.dst_engine_id.as_str()).collect();
    assert!(destinations.windows(2).any(|two| two == ["b", "c"]), "refused by b, tried with c: {destinations:?}");
    let rule = [("rescheduling_req_select_rule", "NUM_REQ"), ("rescheduling_req_select_order", "LR")];
    assert!(world.scrape().await.value("scheduler_rescheduling_total", &rule) >= Some(2.0));
    assert!(world.sum("scheduler_rescheduling_failed_total").await >= 1.0);
    let refusal = world.post("/schedule", &ask("r")).await;
    assert_eq!(refusal.status, 404, "{}", refusal.body);
    assert!(refusal.body.contains("places none"), "{}", refusal.body);
    assert_eq!(world.get("/healthz").await.status, 200);
    world.stop().await;
    llumlet.drain.finish(std::time::Duration::ZERO).await;
}

#[tokio::test]
async fn a_llumlet_that_is_not_reached_is_counted_and_requests_are_placed_all_the_same() {
    let store = Store::memory();
    // A port that nobody listens on.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    write(&store, "a", i32::from(closed), false).await;
    write(&store, "b", i32::from(closed), true).await;
    let flags = full_flags()
        .with("colocated-rescheduling-mode", "true")
        .with("rescheduling-policies", "neutral_load,neutral_failover")
        .with("rescheduling-interval-ms", "10");
    let world = World::start(over(&store, flags)).await;
    eventually("a migration that fails", || async {
        world.scrape().await.value("scheduler_migrations_total", &[("reason", "unreachable")]) > Some(0.0)
    })
    .await;
    assert_eq!(world.post("/schedule", &json!(ask("r"))).await.status, 200);
    world.stop().await;
}
