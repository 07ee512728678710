//! What falls with an instance that fails.

use super::*;

/// Two machines with two units each of two ranks, spread so that units and machines cross:
/// `a` n1 u1, `b` n1 u2, `c` n2 u1, `d` n2 u3.
fn crossed(ranks: i32) -> Vec<(InstanceMetadata, InstanceStatus)> {
    let places = [("a", "n1", "u1"), ("b", "n1", "u2"), ("c", "n2", "u1"), ("d", "n2", "u3")];
    let with = places.map(|(id, node, unit)| {
        let mut record = metadata(id, InferType::Neutral);
        (record.node_id, record.unit_id) = (node.to_owned(), unit.to_owned());
        record.data_parallel_size = ranks;
        (record, status(id, 1))
    });
    with.into()
}

fn standing(with: &[(InstanceMetadata, InstanceStatus)], domain: &str) -> String {
    let policy = parse(&format!(
        r#"
        name = "x"
        mode = "full"
        [default]
        filters = [{{ filter = "schedulability" }}, {{ filter = "staleness", seconds = 60 }}]
        failover-domain = "{domain}"
        selector = {{ pick = "round-robin" }}
        "#
    ));
    let view = view(with);
    let (_, explained) = policy.explain(&view, &Ask::default(), at(0));
    let standing = explained[0].instances.iter().filter(|of| of.filtered_by.is_none());
    let mut standing: Vec<_> = standing.map(|of| of.instance_id.as_str()).collect();
    standing.sort_unstable();
    standing.concat()
}

#[test]
fn a_domain_falls_with_its_unschedulable_instance() {
    let mut with = crossed(2);
    with[0].1.schedulable = false;
    assert_eq!(standing(&with, "instance"), "bcd");
    assert_eq!(standing(&with, "node"), "cd");
    assert_eq!(standing(&with, "instance-unit"), "bd");
    assert_eq!(standing(&with, "node-unit"), "d", "units of the machine fall where else they are too");
}

#[test]
fn a_unit_of_one_rank_is_no_unit() {
    let mut with = crossed(1);
    with[0].1.schedulable = false;
    assert_eq!(standing(&with, "instance-unit"), "bcd");
    assert_eq!(standing(&with, "node-unit"), "cd");
}

#[test]
fn a_stale_instance_takes_its_domain_along_and_other_types_too() {
    let mut with = crossed(2);
    with[3].0.instance_type = "decode".to_owned();
    with[3].1.timestamp_ms -= 100_000;
    assert_eq!(standing(&with, "node"), "ab");
    assert_eq!(standing(&with, "instance-unit"), "abc");
}

#[test]
fn nobody_falls_while_all_stand() {
    for domain in ["instance", "node", "instance-unit", "node-unit"] {
        assert_eq!(standing(&crossed(2), domain), "abcd");
    }
}
