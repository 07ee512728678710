mod domains;
mod formulas;
mod locality;
mod predicted;
mod properties;

use cluster::api::{InferType, SchedulingMode, SchedulingStage};
use cluster::records::{InstanceMetadata, InstanceStatus};

use super::*;
use crate::testing::{at, flag, metadata, parse, policy, status, view};
use crate::view::ClusterView;

fn neutral(of: &[(&str, i32)]) -> Vec<(InstanceMetadata, InstanceStatus)> {
    let with = of.iter().map(|&(id, tokens)| {
        let mut status = status(id, 1);
        status.num_uncomputed_tokens_all_waiting_prefills = tokens;
        (metadata(id, InferType::Neutral), status)
    });
    with.collect()
}

fn chosen(policy: &Policy, view: &ClusterView, ask: &Ask<'_>) -> Result<Vec<String>, Refusal> {
    let placement = policy.place(view, ask, at(0))?;
    Ok(placement.choices.iter().map(|(_, chosen)| view.instances[chosen.at].id.to_string()).collect())
}

fn one(policy: &Policy, view: &ClusterView) -> String {
    chosen(policy, view, &Ask::default()).unwrap().remove(0)
}

#[test]
fn every_built_in_file_is_a_policy() {
    for (name, mode, _) in BUILT_IN {
        let policy = policy(name, *mode);
        assert_eq!((policy.name(), policy.mode()), (*name, *mode));
    }
}

#[test]
fn load_balance_takes_the_least_loaded() {
    let view = view(&neutral(&[("a", 300), ("b", 100), ("c", 200)]));
    let policy = policy("load-balance", Mode::Full);
    assert_eq!(one(&policy, &view), "b");
    view.find("b").unwrap().seat.account.enter("r", InferType::Neutral, 101, at(0));
    assert_eq!(one(&policy, &view), "c", "what is in flight counts");
}

#[test]
fn equal_instances_take_turns_and_ids_break_the_last_tie() {
    let view = view(&neutral(&[("b", 0), ("a", 0), ("c", 0)]));
    let policy = policy("load-balance", Mode::Full);
    let mut order = String::new();
    for turn in 1..=6 {
        let id = one(&policy, &view);
        view.find(&id).unwrap().seat.chosen(turn);
        order += &id;
    }
    assert_eq!(order, "abcabc");
}

#[test]
fn of_two_that_have_equally_little_to_do_the_faster_is_taken_until_it_has_more() {
    let mut with = neutral(&[("slow", 0), ("quick", 0)]);
    (with[0].1.step_duration, with[1].1.step_duration) = (60.0, 10.0);
    let policy = policy("load-balance", Mode::Full);
    for (running, want) in [(0, "quick"), (4, "quick"), (6, "slow")] {
        with[1].1.num_running_requests = running;
        assert_eq!(one(&policy, &view(&with)), want, "{running} run on the quick one");
    }
}

#[test]
fn a_threshold_is_passed_over_when_nobody_is_below_it_unless_it_is_hard() {
    let view = view(&neutral(&[("a", 9000), ("b", 8500)]));
    let soft = policy("load-balance", Mode::Full);
    let placement = soft.place(&view, &Ask::default(), at(0)).unwrap();
    assert!(placement.choices[0].1.fallback);
    assert_eq!(one(&soft, &view), "b");
    let hard = parse(
        r#"
        name = "hard"
        mode = "full"
        [default]
        filters = [{ filter = "metric", metric = "all_prefills_tokens_num", below = 8500, hard = true }]
        selector = { pick = "best", by = ["all_prefills_tokens_num"] }
        "#,
    );
    let refusal = chosen(&hard, &view, &Ask::default()).unwrap_err();
    assert!(matches!(refusal, Refusal::Busy { .. }), "{refusal}");
    assert_eq!(refusal.to_string(), "all neutral instances are busy: of 2, left out 2 by metric-threshold");
}

#[test]
fn the_unschedulable_and_the_stale_are_not_chosen() {
    let mut with = neutral(&[("a", 0), ("b", 5), ("c", 9)]);
    with[0].1.schedulable = false;
    let view = view(&with);
    let policy = policy("load-balance", Mode::Full);
    assert_eq!(one(&policy, &view), "b");
    let refusal = policy.place(&view, &Ask::default(), at(61)).unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable { .. }));
    assert_eq!(
        refusal.to_string(),
        "no neutral instance takes requests: of 3, left out 1 by schedulability, 2 by staleness"
    );
    assert!(policy.place(&view, &Ask::default(), at(60)).is_ok(), "at the limit is not beyond it");
}

#[test]
fn models_and_exclusions_are_honoured() {
    let mut with = neutral(&[("a", 0), ("b", 5), ("c", 9)]);
    with[0].0.model = "x".to_owned();
    with[1].0.model = "y".to_owned();
    let view = view(&with);
    let policy = policy("load-balance", Mode::Full);
    let ask = |model, excluded| Ask { model, excluded, ..Ask::default() };
    assert_eq!(chosen(&policy, &view, &ask("x", &[])).unwrap(), ["a"]);
    assert_eq!(chosen(&policy, &view, &ask("y", &[])).unwrap(), ["b"]);
    assert_eq!(chosen(&policy, &view, &ask("z", &[])).unwrap(), ["c"], "who does not say serves any");
    let excluded = ["a".to_owned(), "nobody".to_owned()];
    assert_eq!(chosen(&policy, &view, &ask("x", &excluded)).unwrap(), ["c"]);
    let everybody = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
    let refusal = chosen(&policy, &view, &ask("", &everybody)).unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable { .. }), "{refusal}");
    let refusal = chosen(&policy, &self::view(&with[..2]), &ask("z", &[])).unwrap_err();
    assert_eq!(refusal.to_string(), "no neutral instance serves the model \"z\"");
}

#[test]
fn prefill_and_decode_are_both_or_none() {
    let with =
        [(metadata("p", InferType::Prefill), status("p", 1)), (metadata("d", InferType::Decode), status("d", 1))];
    let policy = policy("load-balance", Mode::Full);
    let batch = Ask { mode: SchedulingMode::PdBatch, ..Ask::default() };
    assert_eq!(chosen(&policy, &view(&with), &batch).unwrap(), ["p", "d"]);
    for half in [&with[..1], &with[1..]] {
        let refusal = chosen(&policy, &view(half), &batch).unwrap_err();
        assert!(matches!(refusal, Refusal::NoMatch { .. }), "{refusal}");
    }
    let staged = |stage| Ask { mode: SchedulingMode::PdStaged, stage, ..Ask::default() };
    assert_eq!(chosen(&policy, &view(&with), &staged(Some(SchedulingStage::Prefill))).unwrap(), ["p"]);
    assert_eq!(chosen(&policy, &view(&with), &staged(Some(SchedulingStage::Decode))).unwrap(), ["d"]);
    assert_eq!(chosen(&policy, &view(&with), &staged(None)), Err(Refusal::NoStage));
    assert_eq!(chosen(&policy, &ClusterView::default(), &batch), Err(Refusal::NoInstance));
}

#[test]
fn flood_stays_where_it_is() {
    let policy = policy("flood", Mode::Full);
    let before = view(&neutral(&[("a", 0), ("b", 0)]));
    assert_eq!(one(&policy, &before), "a");
    before.find("a").unwrap().seat.account.enter("r", InferType::Neutral, 1 << 30, at(0));
    assert_eq!(one(&policy, &before), "a");
    let after = view(&neutral(&[("b", 0), ("c", 0)]));
    assert_eq!(one(&policy, &after), "b");
}

#[test]
fn round_robin_visits_each_in_turn() {
    let view = view(&neutral(&[("a", 0), ("b", 999_999), ("c", 0)]));
    let policy = policy("round-robin", Mode::Full);
    let order: String = (0..6).map(|_| one(&policy, &view)).collect();
    assert_eq!(order, "abcabc");
}

#[test]
fn power_of_two_draws_two_different_ones_and_takes_the_better() {
    let mut with = neutral(&[("a", 0), ("b", 0), ("c", 0)]);
    for (n, (_, status)) in with.iter_mut().enumerate() {
        status.num_running_requests = n as i32;
    }
    let trio = view(&with);
    let policy = policy("power-of-two", Mode::Full);
    let mut hits = [0; 3];
    for _ in 0..3000 {
        hits[(one(&policy, &trio).as_bytes()[0] - b'a') as usize] += 1;
    }
    assert_eq!(hits[2], 0, "the worst of all loses every draw of two");
    assert!((1900..2100).contains(&hits[0]) && (900..1100).contains(&hits[1]), "{hits:?}");
    assert_eq!(one(&policy, &view(&with[2..])), "c");
}

#[test]
fn top_k_draws_among_the_best() {
    let view = view(&neutral(&[("a", 4), ("b", 1), ("c", 2), ("d", 3)]));
    let top = parse(
        r#"
        name = "top"
        mode = "full"
        [default]
        selector = { pick = "best", of = 2, by = ["all_prefills_tokens_num"] }
        "#,
    );
    let drawn: std::collections::BTreeSet<String> = (0..100).map(|_| one(&top, &view)).collect();
    assert_eq!(drawn.into_iter().collect::<String>(), "bc");
}

#[test]
fn lite_policies_go_by_what_gateways_report() {
    let view = view(&neutral(&[("a", 0), ("b", 0)]));
    view.find("a").unwrap().seat.tally.enter_for_test(10);
    for name in ["load-balance", "power-of-two", "least-latency"] {
        assert_eq!(one(&policy(name, Mode::Lite), &view), "b", "{name}");
    }
}

#[test]
fn a_file_that_makes_no_sense_is_refused_with_its_reason() {
    let head = "name = \"x\"\nmode = \"full\"\n";
    let stage = |body: &str| format!("{head}[default]\n{body}\n");
    let best = "selector = { pick = \"best\", by = [\"num_requests\"] }";
    for (text, want) in [
        (head.to_owned(), "neither a table [neutral] nor [default]"),
        ("mode = \"full\"".to_owned(), "missing field `name`"),
        (stage("selector = { pick = \"best\", by = [] }"), "[default]: `by` names no metric"),
        (stage("selector = { pick = \"best\", by = [\"speed\"] }"), "metric `speed` is not known"),
        (stage("selector = { pick = \"best\", by = [\"adaptive_decode_batch_size\"] }"), "is not supported yet"),
        (stage("selector = { pick = \"best\", by = [\"num_tokens\"] }"), "cannot be had in this mode"),
        (stage("selector = { pick = \"best\", of = 0, by = [\"num_requests\"] }"), "whole number from 1"),
        (stage("selector = { pick = \"dice\" }"), "unknown variant `dice`"),
        (stage(&format!("{best}\nfailover-domain = \"rack\"")), "`rack` is no failover domain"),
        (
            stage(&format!("{best}\nfilters = [{{ filter = \"staleness\", seconds = \"$nothing\" }}]")),
            "no flag --nothing",
        ),
        (stage(&format!("{best}\nfilters = [{{ filter = \"staleness\", seconds = -1 }}]")), "no number of seconds"),
        (stage(&format!("{best}\nfilters = [{{ filter = \"infer-type\", is = [\"both\"] }}]")), "none of neutral"),
        (stage(&format!("{best}\ncolour = \"red\"")), "unknown field `colour`"),
    ] {
        let fault = Policy::parse(&text, Parameters { flag: &flag, seed: 0 }).unwrap_err().to_string();
        assert!(fault.contains(want), "{text}\n{fault}");
    }
}

#[test]
fn a_file_can_let_one_type_stand_in_for_another() {
    let policy = parse(
        r#"
        name = "any"
        mode = "full"
        [default]
        filters = [{ filter = "infer-type", is = ["neutral", "decode"] }]
        selector = { pick = "best", by = ["num_requests"] }
        "#,
    );
    let with = [(metadata("d", InferType::Decode), status("d", 1))];
    assert_eq!(one(&policy, &view(&with)), "d");
}

#[test]
fn a_choice_explains_itself() {
    let mut with = neutral(&[("a", 30), ("b", 10), ("c", 20)]);
    with[0].1.schedulable = false;
    let view = view(&with);
    let policy = policy("load-balance", Mode::Full);
    let (placement, explained) = policy.explain(&view, &Ask { prompt_tokens: 4, ..Ask::default() }, at(1));
    assert_eq!(&*view.instances[placement.unwrap().choices[0].1.at].id, "b");
    let [explained] = &explained[..] else { panic!("one choice") };
    assert_eq!((explained.chosen.as_deref(), explained.selector, explained.fallback), (Some("b"), "best", false));
    assert_eq!(explained.ranked_by, ["all_prefills_tokens_num", "weighted_requests", "last_dispatch"]);
    let told: Vec<_> =
        explained.instances.iter().map(|of| (of.instance_id.as_str(), of.rank, of.filtered_by)).collect();
    assert_eq!(told, [("b", Some(1), None), ("c", Some(2), None), ("a", None, Some("schedulability"))]);
    let measured = |name| explained.instances[1].metrics.iter().find(|measure| measure.name == name).unwrap().value;
    assert_eq!(measured("all_prefills_tokens_num"), Some(20.0));
    assert_eq!(explained.instances[0].status_age_ms, 1000.0);
}
