use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::endpoints::Endpoint;

fn endpoints(prefix: &str, count: usize) -> Vec<Endpoint> {
    (0..count).map(|index| format!("{prefix}{index}:80").parse().unwrap()).collect()
}

fn names(placement: &Placement) -> (String, Option<String>) {
    let prefill = placement.prefill.as_ref().map(|instance| instance.endpoint.to_string());
    (placement.serving.endpoint.to_string(), prefill)
}

#[test]
fn nobody_to_serve_is_no_placement() {
    assert!(RoundRobin::default().place(&Roster::default(), &Excluded::default()).is_none());
}

#[test]
fn neutral_instances_take_turns_and_have_no_prefill_instance() {
    let roster = Roster::neutral(endpoints("n", 3));
    let robin = RoundRobin::default();
    let turns: Vec<_> = (0..4).map(|_| names(&robin.place(&roster, &Excluded::default()).unwrap())).collect();
    let want = ["n0:80", "n1:80", "n2:80", "n0:80"].map(|name| (name.to_owned(), None));
    assert_eq!(turns, want);
}

#[test]
fn equal_lists_do_not_pair_the_same_two_for_ever() {
    let roster = Roster::disaggregated(endpoints("p", 2), endpoints("d", 2));
    let robin = RoundRobin::default();
    let pairs: std::collections::BTreeSet<_> =
        (0..4).map(|_| names(&robin.place(&roster, &Excluded::default()).unwrap())).collect();
    assert_eq!(pairs.len(), 4, "{pairs:?}");
}

proptest! {
    /// Over a whole period each pair is met equally often, hence each instance of either list gets an equal share.
    #[test]
    fn every_pair_gets_an_equal_share(prefill in 1_usize..6, decode in 1_usize..6) {
        let roster = Roster::disaggregated(endpoints("p", prefill), endpoints("d", decode));
        let robin = RoundRobin::default();
        let mut seen = BTreeMap::new();
        let period = lcm(prefill, decode) * prefill;
        for _ in 0..period {
            *seen.entry(names(&robin.place(&roster, &Excluded::default()).unwrap())).or_insert(0_usize) += 1;
        }
        prop_assert_eq!(seen.len(), prefill * decode);
        let share = period / (prefill * decode);
        prop_assert!(seen.values().all(|count| *count == share), "{:?}", seen);
    }

    /// In any window as long as the lists' least common multiple, no instance is served more than its share plus one.
    #[test]
    fn nobody_is_far_ahead(prefill in 1_usize..6, decode in 1_usize..6, turns in 1_usize..60) {
        let roster = Roster::disaggregated(endpoints("p", prefill), endpoints("d", decode));
        let robin = RoundRobin::default();
        let mut served = BTreeMap::new();
        for _ in 0..turns {
            *served.entry(names(&robin.place(&roster, &Excluded::default()).unwrap()).0).or_insert(0_usize) += 1;
        }
        let most = served.values().max().copied().unwrap_or(0);
        prop_assert!(most <= turns.div_ceil(decode));
    }
}

#[test]
fn an_excluded_instance_is_passed_over_as_long_as_there_is_another() {
    let roster = Roster::neutral(endpoints("n", 3));
    let robin = RoundRobin::default();
    let mut excluded = Excluded::default();
    excluded.add(&roster.serving()[1]);
    let turns: Vec<_> = (0..4).map(|_| names(&robin.place(&roster, &excluded).unwrap()).0).collect();
    assert_eq!(turns, ["n0:80", "n2:80", "n2:80", "n0:80"]);
    for instance in roster.serving() {
        excluded.add(instance);
    }
    assert!(!excluded.leaves_any(&roster));
    assert_eq!(names(&robin.place(&roster, &excluded).unwrap()).0, "n1:80", "nobody else is left");
}

#[test]
fn an_instance_stays_excluded_when_discovery_makes_it_anew() {
    let mut excluded = Excluded::default();
    excluded.add(&Roster::neutral(endpoints("n", 1)).serving()[0]);
    assert!(!excluded.leaves_any(&Roster::neutral(endpoints("n", 1))));
    assert!(excluded.leaves_any(&Roster::neutral(endpoints("n", 2))));
}
