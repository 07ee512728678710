use cluster::api::{Endpoint, InferType, LlmInstance};
use proptest::prelude::*;

use super::*;
use crate::testing::at;
use crate::view::Roster;

struct World {
    lrs: Lrs,
    instances: Vec<Instance>,
}

impl World {
    fn new() -> Self {
        let instances = ["a", "b", "c"].map(|host| LlmInstance {
            id: format!("{host}_dp0"),
            endpoint: Endpoint { host: host.to_owned(), port: 1 },
            ..LlmInstance::default()
        });
        let mut roster = Roster::default();
        roster.discovered(instances, at(0));
        Self { lrs: Lrs::default(), instances: roster.view().instances }
    }

    fn place(&self, id: &str, on: usize, gateway: &str, tokens: u64) {
        self.lrs.place(id, &self.instances[on], &gateway.into(), tokens, at(0));
    }

    fn report(&self, kind: ReportKind, id: &str, on: usize, gateway: &str, num_tokens: u64) -> Heard {
        let event = ReportEvent {
            kind,
            id: id.to_owned(),
            model: String::new(),
            infer_type: InferType::Neutral,
            instance_id: self.instances[on].id.to_string(),
            gateway_id: gateway.to_owned(),
            num_tokens,
            expected: None,
            measured: None,
        };
        self.lrs.report(&event, at(2))
    }

    fn sums(&self, on: usize) -> (i64, i64, i64, i64) {
        let sums = self.instances[on].seat.tally.exact();
        (sums.waiting_requests, sums.waiting_tokens, sums.running_requests, sums.running_tokens)
    }
}

#[test]
fn a_request_waits_then_runs_then_is_gone() {
    let world = World::new();
    world.place("r", 0, "g", 100);
    assert_eq!(world.sums(0), (1, 100, 0, 0));
    assert_eq!(world.report(ReportKind::StateUpdate, "r", 0, "g", 120), Heard::Taken);
    assert_eq!(world.sums(0), (1, 120, 0, 0));
    assert_eq!(world.report(ReportKind::PrefillDone, "r", 0, "g", 0), Heard::Taken);
    assert_eq!(world.report(ReportKind::PrefillDone, "r", 0, "g", 0), Heard::Taken, "told twice, true once");
    assert_eq!(world.report(ReportKind::StateUpdate, "r", 0, "g", 50), Heard::Taken, "tokens only grow");
    assert_eq!(world.sums(0), (0, 0, 1, 120));
    assert!((world.instances[0].seat.tally.exact().prefill_ms - 2000.0).abs() < 1e-9);
    assert!(world.lrs.release("r", "a:1") && !world.lrs.release("r", "a:1"));
    assert_eq!(world.sums(0), (0, 0, 0, 0));
    assert!(world.lrs.is_empty());
}

#[test]
fn an_instance_has_more_than_one_name() {
    let world = World::new();
    world.place("r", 1, "g", 1);
    assert!(!world.lrs.release("r", "a_dp0") && world.lrs.release("r", "b_dp0"));
    assert_eq!(world.sums(1), (0, 0, 0, 0));
}

#[test]
fn only_its_own_gateway_reports_on_a_request() {
    let world = World::new();
    world.place("r", 0, "g", 1);
    assert_eq!(world.report(ReportKind::StateUpdate, "r", 0, "other", 9), Heard::Unknown);
    assert_eq!(world.report(ReportKind::StateUpdate, "r", 1, "g", 9), Heard::Unknown);
    assert_eq!(world.report(ReportKind::StateUpdate, "x", 0, "g", 9), Heard::Unknown);
    assert_eq!(world.sums(0), (1, 1, 0, 0));
}

#[test]
fn an_id_that_comes_twice_counts_once_on_each_instance() {
    let world = World::new();
    world.place("r", 0, "g", 10);
    world.place("r", 0, "g", 20);
    world.place("r", 1, "g", 30);
    assert_eq!((world.sums(0), world.sums(1)), ((1, 20, 0, 0), (1, 30, 0, 0)));
    assert_eq!(world.lrs.len(), 2);
}

#[test]
fn a_lost_gateway_or_instance_takes_its_requests_along() {
    let world = World::new();
    for n in 0..50 {
        world.place(&format!("r{n}"), n % 3, if n % 2 == 0 { "g" } else { "h" }, 1);
    }
    assert_eq!(world.lrs.lose_gateway("g"), 25);
    assert_eq!(world.lrs.lose_instance("a:1"), 8);
    assert_eq!(world.sums(0), (0, 0, 0, 0));
    assert_eq!(world.lrs.len(), 17);
    assert_eq!(world.lrs.lose_gateway("h"), 17);
    assert!((0..3).all(|on| world.sums(on) == (0, 0, 0, 0)));
}

#[test]
fn what_nobody_speaks_of_is_taken_out() {
    let world = World::new();
    world.place("silent", 0, "g", 1);
    world.place("alive", 0, "g", 1);
    world.report(ReportKind::StateUpdate, "alive", 0, "g", 1);
    assert_eq!(world.lrs.expire(at(11), Duration::from_secs(10)), 1);
    assert_eq!(world.sums(0), (1, 1, 0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Place(u8, usize, u8, u64),
    Report(ReportKind, u8, usize, u8, u64),
    Release(u8, usize),
    LoseGateway(u8),
    LoseInstance(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = proptest::sample::select(vec![ReportKind::StateUpdate, ReportKind::PrefillDone]);
    prop_oneof![
        4 => (0..9_u8, 0..3_usize, 0..2_u8, any::<u64>()).prop_map(|(id, on, g, n)| Step::Place(id, on, g, n)),
        4 => (kind, 0..9_u8, 0..3_usize, 0..2_u8, any::<u64>()).prop_map(|(k, id, on, g, n)| Step::Report(k, id, on, g, n)),
        2 => (0..9_u8, 0..3_usize).prop_map(|(id, on)| Step::Release(id, on)),
        1 => (0..2_u8).prop_map(Step::LoseGateway),
        1 => (0..3_usize).prop_map(Step::LoseInstance),
    ]
}

proptest! {
    #[test]
    fn sums_are_those_of_the_requests_and_return_to_zero(steps in proptest::collection::vec(step(), 0..80)) {
        let world = World::new();
        for step in steps {
            match step {
                Step::Place(id, on, gateway, tokens) => world.place(&id.to_string(), on, &gateway.to_string(), tokens),
                Step::Report(kind, id, on, gateway, tokens) => {
                    world.report(kind, &id.to_string(), on, &gateway.to_string(), tokens);
                }
                Step::Release(id, on) => { world.lrs.release(&id.to_string(), &world.instances[on].id); }
                Step::LoseGateway(gateway) => { world.lrs.lose_gateway(&gateway.to_string()); }
                Step::LoseInstance(on) => { world.lrs.lose_instance(&world.instances[on].id); }
            }
            for instance in &world.instances {
                let mut requests = [0, 0];
                let mut tokens = [0, 0];
                for shard in &world.lrs.shards {
                    for placed in shard.lock().values().flatten().filter(|placed| placed.instance.id == instance.id) {
                        requests[usize::from(placed.running)] += 1;
                        tokens[usize::from(placed.running)] += placed.tokens as i64;
                    }
                }
                let sums = instance.seat.tally.exact();
                prop_assert_eq!([sums.waiting_requests, sums.running_requests], requests);
                prop_assert_eq!([sums.waiting_tokens, sums.running_tokens], tokens);
            }
        }
        world.lrs.lose_gateway("0");
        world.lrs.lose_gateway("1");
        prop_assert!(world.lrs.is_empty());
        prop_assert!((0..3).all(|on| world.sums(on) == (0, 0, 0, 0)));
    }
}
