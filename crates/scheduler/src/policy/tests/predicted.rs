//! Policies that go by predictions: which instance keeps the objective, and who is kept for what.

use super::*;
use crate::testing::predictor;
use crate::view::Roster;

/// Instances that are known by a profile.
fn known(of: &[(InstanceMetadata, InstanceStatus)]) -> ClusterView {
    let mut roster = Roster::new(Some(predictor()), 1000);
    roster.metadata(of.iter().map(|(metadata, _)| metadata), at(0));
    roster.statuses(of.iter().map(|(_, status)| status), at(0));
    roster.view()
}

/// An instance with so many prompt tokens before it and so many requests that decode.
fn with(id: &str, infer_type: InferType, uncomputed: i32, batch: i32) -> (InstanceMetadata, InstanceStatus) {
    let status = InstanceStatus {
        num_uncomputed_tokens_all_waiting_prefills: uncomputed,
        scheduler_running_to_decode_requests_num: batch,
        scheduler_running_to_decode_tokens_num: batch,
        num_running_requests: batch,
        ..status(id, 1)
    };
    (metadata(id, infer_type), status)
}

fn pd(policy: &Policy, view: &ClusterView, prompt_tokens: u64) -> Result<[String; 2], Refusal> {
    let ask = Ask { mode: SchedulingMode::PdBatch, prompt_tokens, ..Ask::default() };
    let placement = policy.place(view, &ask, at(0))?;
    let ids = placement.choices.iter().map(|(_, chosen)| view.instances[chosen.at].id.to_string());
    Ok(ids.collect::<Vec<_>>().try_into().unwrap())
}

// The objectives of the tests' flags: a first token within 500 ms, each further one within 10 ms.

#[test]
fn slo_takes_who_is_soonest_and_nobody_who_would_be_too_late() {
    let policy = policy("slo", Mode::Full);
    let types = [InferType::Prefill, InferType::Prefill, InferType::Decode, InferType::Decode];
    let ids = ["p1", "p2", "q1", "q2"];
    let load = |loads: [(i32, i32); 4]| {
        let all: Vec<_> = (0..4).map(|at| with(ids[at], types[at], loads[at].0, loads[at].1)).collect();
        known(&all)
    };
    assert_eq!(pd(&policy, &load([(900, 0), (300, 0), (0, 5), (0, 3)]), 100), Ok(["p2".into(), "q2".into()]));
    // 100 tokens after 5000 come too late; one more than nine is too many.
    let late = pd(&policy, &load([(5000, 0), (4000, 0), (0, 5), (0, 3)]), 1500);
    assert!(matches!(&late, Err(Refusal::Busy { wanted: InferType::Prefill, .. })), "{late:?}");
    let full = pd(&policy, &load([(0, 0), (0, 0), (0, 9), (0, 30)]), 100);
    assert!(matches!(&full, Err(Refusal::Busy { wanted: InferType::Decode, .. })), "{full:?}");
    assert_eq!(pd(&policy, &load([(0, 0), (5000, 0), (0, 8), (0, 30)]), 100), Ok(["p1".into(), "q1".into()]));
}

#[test]
fn slo_tries_an_instance_of_which_nothing_is_known() {
    let view = view(&[with("a", InferType::Neutral, 50_000, 0)]);
    let policy = policy("slo", Mode::Full);
    assert_eq!(one(&policy, &view), "a");
    let (_, explained) = policy.explain(&view, &Ask::default(), at(0));
    let measured = explained[0].instances[0].metrics.iter().find(|measure| measure.name == "predicted_ttft").unwrap();
    assert_eq!(measured.value, None, "and says that it is not known");
}

#[test]
fn slo_places_on_neutral_instances_too() {
    let policy = policy("slo", Mode::Full);
    let view = known(&[with("a", InferType::Neutral, 10, 20), with("b", InferType::Neutral, 900, 2)]);
    assert_eq!(one(&policy, &view), "b", "a would keep nobody's time per token");
}

#[test]
fn adaptive_pd_packs_decoding_and_leaves_the_rest_to_prompts() {
    let policy = policy("adaptive-pd", Mode::Full);
    let of = |batches: [i32; 4]| {
        let ids = ["a", "b", "c", "d"];
        known(&std::array::from_fn::<_, 4, _>(|at| with(ids[at], InferType::Neutral, 0, batches[at])))
    };
    // `a` is kept for prompts and `d` for decoding, which is filled first, and then the fullest that keeps the objective.
    assert_eq!(pd(&policy, &of([0, 0, 0, 0]), 100).unwrap()[1], "d");
    assert_eq!(pd(&policy, &of([0, 2, 5, 3]), 100), Ok(["a".into(), "d".into()]));
    assert_eq!(pd(&policy, &of([0, 2, 5, 9]), 100), Ok(["a".into(), "c".into()]));
    assert_eq!(pd(&policy, &of([0, 2, 9, 9]), 100), Ok(["a".into(), "b".into()]));
    // Nobody keeps it: the one that is nearest to it takes the request, and never the one that is kept for prompts.
    assert_eq!(pd(&policy, &of([0, 12, 11, 13]), 100), Ok(["a".into(), "c".into()]));
}

#[test]
fn adaptive_pd_keeps_another_one_when_the_one_that_was_kept_is_gone() {
    let policy = policy("adaptive-pd", Mode::Full);
    let mut all: Vec<_> = ["a", "b", "c"].map(|id| with(id, InferType::Neutral, 0, 0)).into();
    assert_eq!(pd(&policy, &known(&all), 9), Ok(["a".into(), "c".into()]));
    all[2].1.schedulable = false;
    assert_eq!(pd(&policy, &known(&all), 9), Ok(["a".into(), "b".into()]));
    all[0].1.schedulable = false;
    let alone = pd(&policy, &known(&all), 9);
    assert!(
        matches!(&alone, Err(Refusal::Unavailable { wanted: InferType::Decode, .. })),
        "no hand-over to itself: {alone:?}"
    );
}

#[test]
fn adaptive_pd_explains_who_is_kept() {
    let policy = policy("adaptive-pd", Mode::Full);
    let all = ["a", "b", "c"].map(|id| with(id, InferType::Neutral, 0, 0));
    let ask = Ask { mode: SchedulingMode::PdBatch, ..Ask::default() };
    let (_, explained) = policy.explain(&known(&all), &ask, at(0));
    let of = |stage: usize, id: &str| {
        explained[stage].instances.iter().find(|judged| judged.instance_id == id).unwrap().filtered_by
    };
    assert_eq!((of(0, "c"), of(1, "a"), of(0, "b")), (Some("reserved"), Some("excluded"), None));
    assert_eq!((explained[1].selector, explained[1].instances[0].instance_id.as_str()), ("tightest", "c"));
}

#[test]
fn prompts_that_are_predicted_to_be_computed_by_now_weigh_nothing() {
    let view = known(&[with("a", InferType::Neutral, 500, 0)]);
    let of = |seconds| {
        let weighing =
            Weighing { mode: Mode::Full, wanted: InferType::Neutral, prompt_tokens: 0, hits: None, now: at(seconds) };
        Metric::AllPrefillsTokensNum.of(&view.instances[0], &weighing)
    };
    assert_eq!((of(0), of(1)), (500.0, 0.0));
}
