//! What holds for every policy, cluster and request.

use proptest::prelude::*;
use telemetry::clock::Moment;

use super::*;
use crate::testing::predictor;
use crate::view::Roster;

/// Anything an instance could write, sense or nonsense.
fn any_status() -> impl Strategy<Value = (bool, [i32; 8], f64, i64)> {
    let number = prop_oneof![Just(0), Just(-1), Just(i32::MAX), Just(i32::MIN), 0..20_000];
    let duration = prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(0.0), 0.1..100.0];
    let stamp = prop_oneof![Just(0), Just(i64::MAX), Just(i64::MIN), -100_000..100_000_i64];
    (proptest::bool::weighted(0.8), proptest::array::uniform8(number), duration, stamp)
}

fn any_instance() -> impl Strategy<Value = (InstanceMetadata, InstanceStatus)> {
    let record =
        (0..30_u8, proptest::sample::select(InferType::ALL.to_vec()), 0..3_u8, 0..3_u8, 0..3_i32, any::<bool>());
    (record, any_status()).prop_map(
        |((id, kind, node, unit, ranks, other), (schedulable, numbers, duration, stamp))| {
            let id = format!("i{id}");
            let mut record = metadata(&id, kind);
            record.node_id = format!("n{node}");
            record.unit_id = format!("u{unit}");
            record.data_parallel_size = ranks;
            record.max_num_batched_tokens = numbers[7];
            record.model = if other { "other".to_owned() } else { String::new() };
            let status = InstanceStatus {
                schedulable,
                timestamp_ms: status(&id, 0).timestamp_ms.saturating_add(stamp),
                num_waiting_requests: numbers[0],
                num_running_requests: numbers[1],
                num_total_gpu_tokens: numbers[2],
                num_used_gpu_tokens: numbers[3],
                num_uncomputed_tokens_all_waiting_prefills: numbers[4],
                scheduler_running_to_decode_tokens_num: numbers[5],
                scheduler_running_to_decode_requests_num: numbers[6],
                step_duration: duration,
                ..status(&id, 1)
            };
            (record, status)
        },
    )
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let built = proptest::sample::select(BUILT_IN.to_vec());
    let domain = proptest::sample::select(Domain::ALL.to_vec());
    (built, domain, 1..4_u8, any::<u64>()).prop_map(|((_, mode, text), domain, k, seed)| {
        let base: fn(&str) -> Option<String> = if mode == Mode::Full { flag } else { crate::testing::lite_flag };
        let flag = move |name: &str| match name {
            "failover-domain" => Some(domain.as_str().to_owned()),
            "dispatch-top-k" => Some(k.to_string()),
            _ => base(name),
        };
        Policy::parse(text, Parameters { flag: &flag, seed }).unwrap()
    })
}

fn any_ask() -> impl Strategy<Value = (SchedulingMode, Option<SchedulingStage>, u64, bool, Vec<String>)> {
    let mode =
        proptest::sample::select(vec![SchedulingMode::Neutral, SchedulingMode::PdBatch, SchedulingMode::PdStaged]);
    let stage = proptest::sample::select(vec![None, Some(SchedulingStage::Prefill), Some(SchedulingStage::Decode)]);
    let excluded = proptest::collection::vec((0..30_u8).prop_map(|id| format!("i{id}")), 0..4);
    (mode, stage, any::<u64>(), any::<bool>(), excluded)
}

proptest! {
    #[test]
    fn a_decision_never_picks_a_filtered_instance_and_never_panics(
        policy in any_policy(),
        with in proptest::collection::vec(any_instance(), 0..20),
        (mode, stage, prompt_tokens, named, excluded) in any_ask(),
        moments in proptest::collection::vec(0..200_u64, 1..4),
        placed in proptest::collection::vec((0..20_usize, any::<u64>()), 0..10),
        predicts in any::<bool>(),
    ) {
        let mut roster = if predicts { Roster::new(Some(predictor()), 1000) } else { Roster::default() };
        roster.metadata(with.iter().map(|(record, _)| record), at(moments[0]));
        roster.statuses(with.iter().map(|(_, status)| status), at(moments[0]));
        let view = roster.view();
        for (n, (on, tokens)) in placed.iter().enumerate() {
            if let Some(instance) = view.instances.get(*on) {
                instance.seat.account.enter(&n.to_string(), instance.infer_type, *tokens, at(moments[0]));
                instance.seat.tally.enter_for_test(*tokens);
            }
        }
        let model = if named { "m" } else { "" };
        let ask = Ask { model, prompt_tokens, hits: None, mode, stage, excluded: &excluded, taken: None };
        // The moments come in any order: a clock may go back.
        for &now in &moments {
            check(&policy, &view, &ask, at(now))?;
        }
    }
}

fn check(policy: &Policy, view: &ClusterView, ask: &Ask<'_>, now: Moment) -> Result<(), TestCaseError> {
    let (placement, explained) = policy.explain(view, ask, now);
    for explanation in &explained {
        let judged = explanation.instances.iter().filter(|of| of.rank.is_some()).count();
        prop_assert_eq!(explanation.chosen.is_some(), judged > 0, "somebody is chosen when anybody can be");
        for of in &explanation.instances {
            prop_assert!(of.metrics.iter().all(|measure| measure.value.is_none_or(|value| !value.is_nan())));
        }
    }
    let Ok(placement) = placement else { return Ok(()) };
    let wanted: &[InferType] = match ask.mode {
        SchedulingMode::Neutral => &[InferType::Neutral],
        SchedulingMode::PdBatch => &[InferType::Prefill, InferType::Decode],
        SchedulingMode::PdStaged => &[],
    };
    if !wanted.is_empty() {
        let types: Vec<_> = placement.choices.iter().map(|(infer_type, _)| *infer_type).collect();
        prop_assert_eq!(types, wanted, "both or none");
    }
    for ((wanted, chosen), explanation) in placement.choices.iter().zip(&explained) {
        let instance = &view.instances[chosen.at];
        prop_assert!(policy.stage(*wanted).accepts.contains(&instance.infer_type));
        prop_assert!(instance.serves(ask.model));
        prop_assert!(!ask.excluded.iter().any(|name| instance.is_called(name)));
        if policy.mode() == Mode::Full {
            prop_assert!(instance.schedulable && instance.age(now).as_secs() <= 60);
        }
        let judged = explanation.instances.iter().find(|of| of.instance_id == *instance.id).unwrap();
        prop_assert_eq!(judged.filtered_by, None);
        if matches!(explanation.selector, "best" | "tightest") {
            prop_assert_eq!(judged.rank, Some(1));
        }
    }
    Ok(())
}
