use cluster::api::InferType;
use cluster::records::{InstanceMetadata, InstanceStatus};

use super::*;
use crate::testing::{at, metadata, roster, status, view, wall};

/// One reading of status; says whether metadata should be read again.
fn read(roster: &mut Roster, of: &[InstanceStatus], seconds: u64) -> bool {
    roster.statuses(of, at(seconds))
}

#[test]
fn a_gateway_is_told_what_upstream_tells() {
    let mut record = metadata("engine-7_dp1", InferType::Decode);
    (record.ip, record.ip_kvt, record.kvt_port) = ("10.0.0.7".to_owned(), "10.1.0.7".to_owned(), 5600);
    (record.dp_rank, record.data_parallel_size, record.model) = (1, 4, "m".to_owned());
    let view = view(&[(record, status("engine-7_dp1", 1))]);
    let answer = &view.instances[0].answer;
    assert_eq!(answer.id, "10.0.0.7_instance1_4");
    assert_eq!(answer.endpoint.to_string(), "10.0.0.7:8000");
    assert_eq!((answer.aux_ip.as_str(), answer.aux_port), ("10.1.0.7", 5600));
    assert_eq!((answer.dp_rank, answer.dp_size, answer.infer_type), (1, 4, InferType::Decode));
    let instance = view.find("engine-7_dp1").unwrap();
    for name in ["engine-7_dp1", "10.0.0.7_instance1_4", "10.0.0.7:8000"] {
        assert!(instance.is_called(name), "{name}");
    }
    assert!(!instance.is_called("10.0.0.7:8001") && !instance.is_called(""));
    assert!(instance.serves("m") && instance.serves("") && !instance.serves("other"));
    assert!(view.find("engine-7").is_none());
}

#[test]
fn engines_that_share_an_address_are_told_apart() {
    let mut records = ["a", "b", "c"].map(|id| metadata(id, InferType::Neutral));
    records[2].ip = "10.9.9.9".to_owned();
    records[1].api_server_port = 8001;
    let view = view(&records.map(|record| (record.clone(), status(&record.instance_id, 1))));
    let ids: Vec<_> = view.instances.iter().map(|instance| instance.answer.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "10.9.9.9_instance0_1"]);
    let second = LlmInstance { id: "whatever".to_owned(), ..LlmInstance::clone(&view.instances[1].answer) };
    assert_eq!(&*view.named(&second).unwrap().id, "b");
}

#[test]
fn an_instance_without_status_is_not_there_yet_and_one_without_metadata_is_gone() {
    let mut roster = roster(&[(metadata("a", InferType::Neutral), status("a", 1))]);
    read(&mut roster, &[status("a", 1), status("b", 1)], 0);
    assert_eq!(roster.view().instances.len(), 1, "nobody knows what b is");
    let both = [metadata("a", InferType::Neutral), metadata("b", InferType::Neutral)];
    assert!(roster.metadata(both.clone(), at(0)).is_empty());
    assert_eq!(roster.view().instances.len(), 1);
    read(&mut roster, &[status("a", 1), status("b", 1)], 0);
    assert_eq!(roster.view().instances.len(), 2);
    read(&mut roster, &[status("a", 1)], 0);
    assert_eq!(roster.view().instances.len(), 1);
    assert_eq!(roster.metadata(both[1..].to_vec(), at(0)), [Arc::<str>::from("a")]);
    assert!(roster.view().instances.is_empty());
}

#[test]
fn a_record_that_makes_no_sense_costs_that_instance_only() {
    let mut wrong = metadata("wrong", InferType::Neutral);
    wrong.instance_type = "both".to_owned();
    let mut twice = metadata("a", InferType::Decode);
    twice.utc_create = 9.0;
    let mut roster = Roster::default();
    roster.metadata([wrong, metadata("a", InferType::Neutral), twice], at(0));
    let mut odd = status("a", 1);
    (odd.num_used_gpu_tokens, odd.num_waiting_requests, odd.step_duration) = (-5, i32::MIN, f64::NAN);
    read(&mut roster, &[odd], 0);
    let view = roster.view();
    assert_eq!(view.instances.len(), 1);
    assert_eq!(view.instances[0].infer_type, InferType::Neutral);
    let load = view.instances[0].load;
    assert_eq!((load.used_gpu_tokens, load.waiting_requests, load.step_ms), (0, 0, 0.0));
}

#[test]
fn a_status_settles_the_account_once() {
    let mut roster = roster(&[(metadata("a", InferType::Neutral), status("a", 1))]);
    let seat = Arc::clone(&roster.view().instances[0].seat);
    seat.account.enter("r1", InferType::Neutral, 10, at(0));
    seat.account.enter("r2", InferType::Neutral, 10, at(0));
    let mut next = status("a", 2);
    next.recent_waiting_requests = vec!["r1".to_owned()];
    read(&mut roster, std::slice::from_ref(&next), 1);
    assert_eq!(seat.account.exact().requests, 1);
    next.update_id = 3;
    next.recent_waiting_requests.clear();
    next.waiting_requests = vec!["r2".to_owned()];
    read(&mut roster, &[next], 1);
    assert_eq!(seat.account.exact().requests, 0);
}

#[test]
fn a_status_is_as_old_as_the_time_since_it_changed() {
    let mut roster = roster(&[(metadata("a", InferType::Neutral), status("a", 1))]);
    let age = |roster: &Roster, now| roster.view().instances[0].age(at(now)).as_secs();
    read(&mut roster, &[status("a", 1)], 50);
    assert_eq!(age(&roster, 50), 50, "reading the same again makes it no younger");
    let mut alive = status("a", 1);
    alive.timestamp_ms += 1;
    read(&mut roster, &[alive], 50);
    assert_eq!(age(&roster, 51), 1);
    assert_eq!(age(&roster, 0), 0, "a clock that goes back makes nothing older than now");
}

#[test]
fn another_hosts_clock_is_believed_once_and_never_into_the_future() {
    for (written, age) in [(wall(70), 30), (wall(100), 0), (wall(5000), 0), (i64::MIN, u64::MAX)] {
        let mut roster = Roster::default();
        roster.metadata([metadata("a", InferType::Neutral)], at(100));
        let mut first = status("a", 1);
        first.timestamp_ms = written;
        read(&mut roster, &[first], 100);
        let seen = roster.view().instances[0].age(at(100)).as_secs();
        assert!(seen == age || age == u64::MAX && seen > 100, "{written}: {seen}");
    }
}

#[test]
fn an_engine_that_restarts_under_its_old_id_is_taken_up_at_once() {
    let mut roster = roster(&[(metadata("a", InferType::Neutral), status("a", 900))]);
    let before = Arc::clone(&roster.view().instances[0].seat);
    before.account.enter("lost", InferType::Neutral, 10, at(0));
    // Its status first, before anybody has read its metadata again.
    let mut reborn = status("a", 1);
    reborn.timestamp_ms = wall(5);
    reborn.num_running_requests = 3;
    assert!(read(&mut roster, &[reborn], 5));
    assert_eq!(roster.view().instances[0].load.running_requests, 3);
    assert_eq!(before.account.exact().requests, 0);
    // Its metadata: another life, so another seat.
    let mut record = metadata("a", InferType::Neutral);
    record.utc_create = 2.0;
    assert_eq!(roster.metadata([record], at(6)), [Arc::<str>::from("a")]);
    assert!(roster.view().instances.is_empty(), "what the old one said is not true of the new one");
    let mut early = status("a", 1);
    early.timestamp_ms = wall(0);
    assert!(!read(&mut roster, &[early], 6));
    assert!(!Arc::ptr_eq(&roster.view().instances[0].seat, &before));
}

#[test]
fn an_agent_that_learns_when_its_engine_began_begins_no_other_life() {
    let mut unknown = metadata("a", InferType::Neutral);
    unknown.utc_create = 0.0;
    let mut early = status("a", 1);
    early.schedulable = false;
    let mut roster = roster(&[(unknown.clone(), early)]);
    assert!(read(&mut roster, &[status("a", 2)], 1), "it takes requests now: what is it?");
    assert!(!read(&mut roster, &[status("a", 3)], 2));
    let seat = Arc::clone(&roster.view().instances[0].seat);
    seat.account.enter("r", InferType::Neutral, 10, at(2));
    let mut record = metadata("a", InferType::Neutral);
    record.model = "m".to_owned();
    assert!(roster.metadata([record.clone()], at(3)).is_empty());
    let view = roster.view();
    assert_eq!((&*view.instances[0].model, view.instances[0].seat.account.exact().requests), ("m", 1));
    record.utc_create = 2.0;
    assert_eq!(roster.metadata([record], at(4)), [Arc::<str>::from("a")]);
    assert_eq!(roster.metadata([unknown], at(5)), [Arc::<str>::from("a")], "an agent that was started again");
}

#[test]
fn a_store_that_went_back_in_time_is_not_believed() {
    let mut roster = roster(&[(metadata("a", InferType::Neutral), status("a", 10))]);
    let mut older = status("a", 9);
    older.num_running_requests = 7;
    read(&mut roster, &[older], 1);
    let view = roster.view();
    assert_eq!((view.instances[0].age(at(1)).as_secs(), view.instances[0].load.running_requests), (1, 0));
}

#[test]
fn machines_and_units_are_numbered_and_the_nameless_are_alone() {
    let mut records: Vec<_> = ["a", "b", "c", "d"].iter().map(|id| metadata(id, InferType::Neutral)).collect();
    records[0].node_id = "n".to_owned();
    records[2].node_id = "n".to_owned();
    records[1].node_id.clear();
    records[3].node_id.clear();
    let with: Vec<_> = records.iter().map(|record| (record.clone(), status(&record.instance_id, 1))).collect();
    let view = view(&with);
    let nodes: Vec<_> = view.instances.iter().map(|instance| instance.node).collect();
    assert_eq!(nodes[0], nodes[2]);
    assert!(nodes[1] != nodes[3] && nodes[1] != nodes[0] && nodes[3] != nodes[0]);
    assert!(nodes.iter().all(|&node| node < view.nodes));
}

#[test]
fn what_a_store_has_lost_is_kept_until_its_record_would_have_expired() {
    let with =
        [(metadata("a", InferType::Neutral), status("a", 1)), (metadata("b", InferType::Neutral), status("b", 1))];
    let mut roster = roster(&with);
    let none: [InstanceMetadata; 0] = [];
    roster.lose();
    assert!(roster.metadata(none.clone(), at(10)).is_empty());
    read(&mut roster, &[], 10);
    assert_eq!(roster.view().instances.len(), 2, "a store that comes back empty takes nobody away");
    // One is written again, and then removed while we watch.
    roster.metadata([with[0].0.clone()], at(20));
    read(&mut roster, &[status("a", 2)], 20);
    assert_eq!(roster.view().instances.len(), 2);
    assert_eq!(roster.metadata(none.clone(), at(30)), [Arc::<str>::from("a")]);
    read(&mut roster, &[], 30);
    assert_eq!(roster.view().instances.len(), 1);
    assert_eq!(roster.metadata(none, at(101)), [Arc::<str>::from("b")]);
}
