use std::sync::Arc;
use std::time::Duration;

use cluster::api::InferType;
use cluster::records::{InstanceMetadata, InstanceStatus};
use parking_lot::Mutex;
use telemetry::exposition::{self, Scrape};
use telemetry::{Telemetry, TelemetryConfig, clock};

use super::plan::{Busy, Move, Party, plan};
use super::round::{Failure, Llumlet};
use super::*;
use crate::testing::{at, metadata, status, view};
use crate::view::ClusterView;

type Records = (InstanceMetadata, InstanceStatus);

/// A decode instance that runs a request, uses so many of its thousand tokens and has a llumlet.
fn decode(id: &str, used: i32) -> Records {
    let metadata = InstanceMetadata { llumlet_port: 9, ..metadata(id, InferType::Decode) };
    let status = InstanceStatus { num_used_gpu_tokens: used, num_running_requests: 1, ..status(id, 1) };
    (metadata, status)
}

fn failing(id: &str) -> Records {
    let (metadata, status) = decode(id, 100);
    (metadata, InstanceStatus { schedulable: false, ..status })
}

fn settings(cause: Cause) -> Settings {
    Settings {
        triggers: vec![Trigger { infer_type: InferType::Decode, cause }],
        interval: Duration::from_millis(500),
        selection: Selection { order: "SR", amount: Amount::Tokens(1024) },
        difference: 0.3,
        within_unit: false,
        staleness: Duration::from_secs(60),
        domain: Domain::Instance,
        timeout: Duration::from_secs(5),
    }
}

const LOAD: Cause = Cause::Load { by: Metric::KvCacheUsageRatioProjected, limit: 0.5 };

/// Who hands over to whom, and to whom else: `from>first,second`.
fn planned(of: &[Records], settings: &Settings, busy: &Busy, turn: usize) -> Vec<String> {
    let told = |moved: Move| {
        let to: Vec<&str> = moved.to.iter().map(|to| &*to.id).collect();
        format!("{}>{}", moved.from.id, to.join(","))
    };
    plan(&view(of), settings, busy, at(1), turn).into_iter().map(told).collect()
}

fn now(of: &[Records], settings: &Settings) -> Vec<String> {
    planned(of, settings, &Busy::default(), 0)
}

#[test]
fn those_with_the_most_hand_over_to_those_with_the_least() {
    let of = [decode("a", 700), decode("b", 900), decode("c", 200), decode("d", 100), decode("e", 450)];
    assert_eq!(now(&of, &settings(LOAD)), ["b>d,c,e", "a>c,d"]);
    let moves = plan(&view(&of), &settings(LOAD), &Busy::default(), at(1), 0);
    assert_eq!((moves[0].trigger, moves[0].selection), ("decode_load", settings(LOAD).selection));
    assert_eq!(moves[0].to[0].llumlet.to_string(), "10.0.0.1:9");
}

#[test]
fn loads_that_differ_little_or_lie_on_one_side_stay() {
    assert_eq!(now(&[decode("a", 700), decode("b", 450)], &settings(LOAD)), [""; 0]);
    assert_eq!(now(&[decode("a", 990), decode("b", 500)], &settings(LOAD)), [""; 0], "at the threshold is above it");
    assert_eq!(now(&[decode("a", 490), decode("b", 0)], &settings(LOAD)), [""; 0]);
    assert_eq!(now(&[decode("a", 500), decode("b", 200)], &settings(LOAD)), ["a>b"]);
}

#[test]
fn more_that_have_too_much_than_too_little_wait_for_the_next_round() {
    let of = [decode("a", 900), decode("b", 900), decode("c", 100)];
    assert_eq!(now(&of, &settings(LOAD)), ["a>c"], "equal loads: by id");
    let busy = Busy { from: [Arc::from("a")].into(), ..Busy::default() };
    assert_eq!(planned(&of, &settings(LOAD), &busy, 1), ["b>c"]);
    let busy = Busy { to: [Arc::from("c")].into(), ..busy };
    assert_eq!(planned(&of, &settings(LOAD), &busy, 1), [""; 0], "its load is about to change");
}

#[test]
fn only_what_fits_is_handed_to() {
    let (mut other_model, loaded) = (decode("b", 100), decode("a", 900));
    other_model.0.model = "other".to_owned();
    let mut of_model = loaded.clone();
    of_model.0.model = "this".to_owned();
    assert_eq!(now(&[of_model, other_model], &settings(LOAD)), [""; 0]);
    let (mut neutral, mut dumb) = (decode("b", 100), decode("c", 100));
    neutral.0.instance_type = "neutral".to_owned();
    dumb.0.llumlet_port = 0;
    assert_eq!(now(&[loaded.clone(), neutral, dumb, failing("d")], &settings(LOAD)), [""; 0]);
    let (mut beside, far) = (decode("z", 300), decode("b", 100));
    beside.0.unit_id = loaded.0.unit_id.clone();
    let within = Settings { within_unit: true, ..settings(LOAD) };
    assert_eq!(now(&[loaded, beside, far], &within), ["a>z"]);
}

#[test]
fn an_instance_that_fails_hands_everything_over_and_others_take_turns() {
    let of = [failing("a"), failing("b"), decode("c", 0), decode("d", 0)];
    let failover = settings(Cause::Failover);
    assert_eq!(planned(&of, &failover, &Busy::default(), 0), ["a>c,d", "b>d,c"]);
    assert_eq!(planned(&of, &failover, &Busy::default(), 1), ["a>d,c", "b>c,d"]);
    let moves = plan(&view(&of), &failover, &Busy::default(), at(1), 0);
    assert_eq!((moves[0].trigger, moves[0].selection), ("decode_failover", Selection::EVERYTHING));
    let busy = Busy { from: [Arc::from("a")].into(), ..Busy::default() };
    assert_eq!(planned(&of, &failover, &busy, 0), ["b>c,d"]);
    let mut idle = failing("a");
    idle.1.num_running_requests = 0;
    assert_eq!(now(&[idle, decode("c", 0)], &failover), [""; 0], "it has nothing to hand over");
    assert_eq!(now(&[failing("a")], &failover), [""; 0], "nobody is there");
}

#[test]
fn whoever_falls_with_another_hands_over_too() {
    let (mut beside, mut stale) = (decode("b", 0), decode("e", 0));
    let of = |beside: Records| [failing("a"), beside, decode("c", 0)];
    let by_node = Settings { domain: Domain::Node, ..settings(Cause::Failover) };
    assert_eq!(now(&of(beside.clone()), &by_node), ["a>b,c"]);
    beside.0.node_id = "node-a".to_owned();
    assert_eq!(now(&of(beside), &by_node), ["a>c", "b>c"]);
    stale.1.timestamp_ms -= 61_000;
    assert_eq!(now(&[stale, decode("c", 0)], &by_node), ["e>c"]);
}

#[test]
fn no_instance_hands_over_for_two_reasons_at_once() {
    let mut both = settings(LOAD);
    both.triggers.insert(0, Trigger { infer_type: InferType::Decode, cause: Cause::Failover });
    both.triggers.push(both.triggers[1]);
    let of = [failing("a"), decode("b", 900), decode("c", 0)];
    assert_eq!(now(&of, &both), ["a>b,c", "b>c"]);
}

/// Llumlets that do as they are told, by the names of source and destination, and remember what they were asked and when.
struct Script {
    began: clock::Moment,
    calls: Arc<Mutex<Vec<String>>>,
    answer: fn(&str, &str) -> Option<Result<String, Failure>>,
}

impl Llumlet for Script {
    async fn migrate(&self, moved: &Move, to: &Party) -> Result<String, Failure> {
        let at = (clock::now() - self.began).as_millis();
        self.calls.lock().push(format!("{at} {}>{}", moved.from.id, to.id));
        match (self.answer)(&moved.from.id, &to.id) {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

/// Makes rounds for so long, over instances that stay as they are; the calls, and the metrics.
async fn rounds(
    of: &[Records],
    time: Duration,
    answer: fn(&str, &str) -> Option<Result<String, Failure>>,
) -> (Vec<String>, Scrape) {
    let telemetry = Telemetry::new(TelemetryConfig::new("test")).unwrap();
    let recorder = telemetry::scheduler::Scheduler::new(&telemetry, true).rescheduling("TOKEN", "SR");
    let calls = Arc::default();
    let llumlet = Script { began: clock::now(), calls: Arc::clone(&calls), answer };
    let rounds = Rounds { settings: settings(Cause::Failover), llumlet, recorder };
    let view: Arc<ClusterView> = Arc::new(view(of));
    let running = rounds.run(move || Some(Arc::clone(&view)));
    assert!(tokio::time::timeout(time, running).await.is_err(), "they have no end");
    let (_, text) = telemetry.metrics_response(None);
    let scrape = exposition::parse(std::str::from_utf8(&text).unwrap()).unwrap();
    let calls = calls.lock().clone();
    (calls, scrape)
}

fn migrations(scrape: &Scrape, reason: &str) -> Option<f64> {
    scrape.value("scheduler_migrations_total", &[("reason", reason)])
}

#[tokio::test(start_paused = true)]
async fn a_slow_migration_delays_nobody_and_is_not_begun_twice() {
    let of = [failing("slow"), failing("quick"), decode("to", 0)];
    let (calls, scrape) =
        rounds(&of, Duration::from_millis(1_200), |from, _| (from == "quick").then(|| Ok(String::new()))).await;
    assert_eq!(calls, ["0 quick>to", "0 slow>to", "500 quick>to", "1000 quick>to"]);
    assert_eq!((migrations(&scrape, "done"), migrations(&scrape, "timeout")), (Some(3.0), Some(0.0)));
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_is_tried_elsewhere_and_every_try_is_counted() {
    let of = [failing("from"), decode("to-1", 0), decode("to-2", 0), decode("to-3", 0), decode("to-4", 0)];
    let (calls, scrape) = rounds(&of, Duration::from_millis(5_400), |_, to| match to {
        "to-1" => Some(Err(Failure::Refused("no room".to_owned()))),
        "to-2" => None,
        _ => Some(Ok(String::new())),
    })
    .await;
    assert_eq!(calls[..3], ["0 from>to-1", "0 from>to-2", "5000 from>to-3"]);
    assert_eq!(calls.len(), 3, "the next round is at 5.5 s");
    let asked = [("rescheduling_req_select_rule", "NUM_REQ"), ("rescheduling_req_select_order", "LR")];
    assert_eq!(scrape.value("scheduler_rescheduling_total", &asked), Some(3.0));
    assert_eq!(scrape.value("scheduler_rescheduling_failed_total", &[]), Some(2.0));
    assert_eq!(["refused", "timeout", "done"].map(|of| migrations(&scrape, of)), [Some(1.0); 3]);
}

#[tokio::test(start_paused = true)]
async fn where_the_source_itself_is_not_reached_no_other_destination_is_tried() {
    let of = [failing("from"), decode("to-1", 0), decode("to-2", 0)];
    let (calls, scrape) = rounds(&of, Duration::from_millis(700), |_, _| {
        Some(Err(Failure::Unreachable("connection refused".to_owned())))
    })
    .await;
    assert_eq!(calls, ["0 from>to-1", "500 from>to-2"]);
    assert_eq!(migrations(&scrape, "unreachable"), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn at_most_three_destinations_are_tried_in_a_round() {
    let to = ["to-1", "to-2", "to-3", "to-4"].map(|id| decode(id, 0));
    let of: Vec<Records> = [failing("from")].into_iter().chain(to).collect();
    let refusal = |_: &str, _: &str| Some(Err(Failure::Refused("no".to_owned())));
    let (calls, _) = rounds(&of, Duration::from_millis(400), refusal).await;
    assert_eq!(calls, ["0 from>to-1", "0 from>to-2", "0 from>to-3"]);
}
