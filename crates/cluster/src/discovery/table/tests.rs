use super::*;

const TTL: Duration = Duration::from_secs(60);
/// The wall clock's time at [`start`].
const WALL: i64 = 1_800_000_000_000;

fn start() -> Moment {
    Moment::from_nanos(1 << 50)
}

fn record(pod: &str, timestamp_ms: i64) -> (String, PodDiscoveryInfo) {
    let info = InstanceDiscoveryInfo {
        instance_type: "decode".to_owned(),
        entrypoint_ip: "10.0.0.1".to_owned(),
        entrypoint_port: 8000,
        ..InstanceDiscoveryInfo::default()
    };
    let pod_name = pod.to_owned();
    (keys::redis_discovery(pod), PodDiscoveryInfo { pod_name, timestamp_ms, instances: vec![info] })
}

/// A table and a clock.
struct World {
    table: Table,
    passed: Duration,
}

impl World {
    fn new(alive: Alive) -> Self {
        Self { table: Table::new(TTL, alive), passed: Duration::ZERO }
    }

    fn wait(&mut self, seconds: u64) {
        self.passed += Duration::from_secs(seconds);
    }

    fn wall(&self) -> i64 {
        WALL + i64::try_from(self.passed.as_millis()).unwrap()
    }

    #[track_caller]
    fn load(&mut self, records: &[(String, PodDiscoveryInfo)]) {
        let bad = self.table.load(records.to_vec(), start() + self.passed, self.wall());
        assert_eq!(bad, []);
    }

    fn ids(&self) -> Vec<String> {
        let roster = self.table.roster(start() + self.passed);
        roster.instances().iter().map(|instance| instance.id.clone()).collect()
    }
}

#[test]
fn a_record_that_is_taken_away_while_we_watch_is_gone_at_once() {
    let mut world = World::new(Alive::Rewritten);
    world.load(&[record("a", WALL), record("b", WALL)]);
    assert_eq!(world.ids(), ["a_dp0", "b_dp0"]);
    world.load(&[record("b", WALL)]);
    assert_eq!(world.ids(), ["b_dp0"]);
}

#[test]
fn a_record_that_is_missing_after_a_failure_is_kept_for_its_time_to_live() {
    let mut world = World::new(Alive::Rewritten);
    world.load(&[record("a", WALL), record("b", WALL)]);
    world.table.lost();
    world.wait(5);
    // The store is back, and empty but for the pod that wrote first.
    let b = record("b", world.wall());
    world.load(std::slice::from_ref(&b));
    assert_eq!(world.ids(), ["a_dp0", "b_dp0"]);
    world.wait(55);
    world.load(std::slice::from_ref(&b));
    assert_eq!(world.ids(), ["a_dp0", "b_dp0"]);
    world.wait(1);
    world.load(&[b]);
    assert_eq!(world.ids(), ["b_dp0"]);
}

#[test]
fn a_source_that_stays_away_keeps_nobody_for_ever() {
    for alive in [Alive::Rewritten, Alive::Present] {
        let mut world = World::new(alive);
        world.load(&[record("a", WALL)]);
        world.table.lost();
        world.wait(60);
        assert_eq!(world.ids(), ["a_dp0"]);
        world.wait(1);
        assert!(world.ids().is_empty());
    }
}

#[test]
fn a_record_that_is_not_written_again_expires_and_returns_with_its_writer() {
    let mut world = World::new(Alive::Rewritten);
    let a = record("a", WALL);
    world.load(std::slice::from_ref(&a));
    world.wait(61);
    world.load(&[a]);
    assert!(world.ids().is_empty());
    world.load(&[record("a", world.wall())]);
    assert_eq!(world.ids(), ["a_dp0"]);
}

#[test]
fn a_record_that_is_old_when_first_seen_does_not_count() {
    let mut world = World::new(Alive::Rewritten);
    world.load(&[record("a", WALL - 61_000), record("b", WALL - 30_000)]);
    assert_eq!(world.ids(), ["b_dp0"]);
    world.wait(31);
    world.load(&[record("a", WALL - 61_000), record("b", WALL - 30_000)]);
    assert!(world.ids().is_empty());
}

#[test]
fn a_pod_whose_clock_is_wrong_lives_as_long_as_it_writes() {
    let mut world = World::new(Alive::Rewritten);
    for offset in [-3_600_000, 3_600_000] {
        world.load(&[record("a", world.wall() + offset)]);
        for _ in 0..10 {
            world.wait(10);
            world.load(&[record("a", world.wall() + offset)]);
            assert_eq!(world.ids(), ["a_dp0"]);
        }
        let last = record("a", world.wall() + offset);
        world.load(std::slice::from_ref(&last));
        world.wait(61);
        world.load(&[last]);
        assert!(world.ids().is_empty(), "a record from the future expires, too");
    }
}

#[test]
fn under_a_lease_a_record_counts_as_long_as_it_is_there() {
    let mut world = World::new(Alive::Present);
    let a = record("a", WALL - 3_600_000);
    for _ in 0..5 {
        world.load(std::slice::from_ref(&a));
        assert_eq!(world.ids(), ["a_dp0"]);
        world.wait(61);
    }
    world.load(&[]);
    assert!(world.ids().is_empty());
}

#[test]
fn what_cannot_be_used_is_named_and_costs_itself_only() {
    let mut table = Table::new(TTL, Alive::Rewritten);
    let (key, mut good) = record("a", WALL);
    let change = |change: fn(&mut InstanceDiscoveryInfo)| {
        let mut info = good.instances[0].clone();
        info.dp_rank = 1;
        change(&mut info);
        info
    };
    let bad = [
        change(|info| info.instance_type = "encoder".to_owned()),
        change(|info| info.entrypoint_port = 70_000),
        change(|info| info.entrypoint_port = 0),
        change(|info| info.entrypoint_ip = String::new()),
        change(|info| info.dp_rank = 0),
    ];
    good.instances.extend(bad);
    let moved = (keys::redis_discovery("b"), record("c", WALL).1);
    let bad = table.load(vec![(key, good), moved], start(), WALL);
    let problems: Vec<_> = bad.iter().map(|bad| bad.problem.as_str()).collect();
    let expected = [
        "a_dp1: \"encoder\" is none of neutral, prefill and decode",
        "a_dp1: 70000 is no port",
        "a_dp1: 0 is no port",
        "a_dp1: it has no address",
        "it names a_dp0 twice",
        "it is about pod \"c\"",
    ];
    assert_eq!(problems, expected);
    assert_eq!(table.roster(start()).instances().len(), 1);
}

#[test]
fn what_nobody_renews_is_abandoned_in_the_end() {
    let mut world = World::new(Alive::Rewritten);
    let (a, key) = (record("a", WALL), keys::redis_discovery("a"));
    world.load(std::slice::from_ref(&a));
    world.wait(600);
    world.load(std::slice::from_ref(&a));
    assert!(world.table.abandoned(start() + world.passed).is_empty());
    world.wait(1);
    world.load(&[a]);
    assert_eq!(world.table.abandoned(start() + world.passed), [key]);
}
