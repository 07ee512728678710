//! What is learnt and predicted, against lines and profiles that are known.

use proptest::prelude::*;

use super::regression::WINDOW;
use super::*;
use crate::testing::Noise;
use std::time::Duration;

fn config() -> PredictorConfig {
    PredictorConfig { warmup: 20, prefills: None, decodes: None }
}

fn model() -> Arc<str> {
    Arc::from("m")
}

/// What a predictor knows that has seen these.
fn after(config: &PredictorConfig, steps: impl IntoIterator<Item = Step>) -> Arc<Forecast> {
    let mut predictor = Predictor::new(config);
    for step in steps {
        predictor.learn(&model(), InferType::Neutral, step);
    }
    predictor.forecast(&model(), InferType::Neutral)
}

/// Steps of an instance with these costs, each off by up to `noise` of itself.
fn steps(base: f64, per_token: f64, noise: f64, count: usize) -> Vec<Step> {
    let mut random = Noise::new(7);
    let step = |_| {
        let prefill_tokens = 1 + (random.next() * 2000.0) as i64;
        let off = 1.0 + noise * (2.0 * random.next() - 1.0);
        Step { prefill_tokens, ms: (base + per_token * prefill_tokens as f64) * off, ..Step::default() }
    };
    (0..count).map(step).collect()
}

const PREFILLS: &[u8] = br#"{"results": [{"tokens_num": 100, "p50": 20.0}, {"tokens_num": 200, "p50": 30.0}]}"#;
const DECODES: &[u8] = br#"{"tpot": {"results": [
    {"batch_size": 1, "tokens_per_request": 100, "p50": 10.0}, {"batch_size": 1, "tokens_per_request": 200, "p50": 12.0},
    {"batch_size": 3, "tokens_per_request": 100, "p50": 14.0}, {"batch_size": 3, "tokens_per_request": 200, "p50": 16.0}]}}"#;

fn profiled() -> PredictorConfig {
    let prefills = Some(Arc::new(Prefills::parse(PREFILLS).unwrap()));
    PredictorConfig { prefills, decodes: Some(Arc::new(Decodes::parse(DECODES).unwrap())), ..config() }
}

#[test]
fn nothing_is_predicted_before_enough_was_seen() {
    let at = Situation { batched: 1000, ..Situation::default() };
    assert_eq!(after(&config(), steps(10.0, 0.1, 0.0, 19)).ttft_ms(&at, 100), None);
    let learnt = after(&config(), steps(10.0, 0.1, 0.0, 20));
    assert!((learnt.ttft_ms(&at, 100).unwrap() - 20.0).abs() < 1e-3);
    assert_eq!(learnt.tpot_ms(&at, 100), None, "no step decoded");
}

#[test]
fn classes_are_learnt_apart_and_forgotten_with_their_last_instance() {
    let mut predictor = Predictor::new(&config());
    for (name, per_token) in [("m", 0.1), ("n", 0.5)] {
        for step in steps(0.0, per_token, 0.0, 40) {
            predictor.learn(&Arc::from(name), InferType::Prefill, step);
        }
    }
    let mut of = |name: &str| predictor.forecast(&Arc::from(name), InferType::Prefill).step_ms(1000.0, 0.0, 0.0);
    assert!((of("m") - 100.0).abs() < 0.1 && (of("n") - 500.0).abs() < 0.5);
    predictor.keep(|model, _| model == "m");
    assert_eq!(predictor.forecast(&Arc::from("n"), InferType::Prefill).step_ms(1000.0, 0.0, 0.0), 0.0);
}

#[test]
fn what_is_longer_ago_than_the_window_has_no_influence() {
    let (old, new) = (steps(500.0, 3.0, 0.3, 900), steps(10.0, 0.1, 0.05, WINDOW));
    let both = after(&config(), old.into_iter().chain(new.clone()));
    let alone = after(&config(), new);
    for tokens in [1.0, 300.0, 2000.0, 9000.0] {
        let (both, alone) = (both.step_ms(tokens, 0.0, 0.0), alone.step_ms(tokens, 0.0, 0.0));
        assert!((both - alone).abs() < 1e-4 * alone, "{tokens}: {both} and {alone}");
    }
}

#[test]
fn an_instance_that_has_become_slower_is_known_to_be_soon() {
    let changed = steps(10.0, 0.1, 0.02, 400).into_iter().chain(steps(20.0, 0.2, 0.02, 300));
    let step = after(&config(), changed).step_ms(1000.0, 0.0, 0.0);
    assert!((step - 220.0).abs() < 25.0, "{step}");
}

#[test]
fn prefill_and_decode_are_told_apart_in_steps_that_do_both() {
    let mut random = Noise::new(3);
    let mixed = (0..400).map(|_| {
        let (prefill_tokens, batch) = ((random.next() * 4.0) as i64 * 250, (random.next() * 9.0) as i64);
        let prefill = if prefill_tokens > 0 { 5.0 + 0.02 * prefill_tokens as f64 } else { 0.0 };
        let decode = if batch > 0 { 8.0 + 0.5 * batch as f64 } else { 0.0 };
        Step { prefill_tokens, batch, context: batch * 300, ms: prefill + decode }
    });
    let learnt = after(&config(), mixed);
    assert!((learnt.step_ms(500.0, 0.0, 0.0) - 15.0).abs() < 0.05);
    assert!((learnt.step_ms(0.0, 4.0, 1200.0) - 10.0).abs() < 0.05);
    let at = Situation { batch: 3, context: 900, ..Situation::default() };
    assert!((learnt.tpot_ms(&at, 300).unwrap() - 10.0).abs() < 0.05);
}

#[test]
fn a_profile_predicts_at_once_and_beyond_its_grid() {
    let learnt = after(&profiled(), []);
    let at = Situation { batched: 1000, ..Situation::default() };
    for (tokens, want) in [(150, 25.0), (300, 40.0), (50, 15.0)] {
        assert_eq!(learnt.ttft_ms(&at, tokens), Some(want), "{tokens}");
    }
    // One of 150 tokens; then two of 300 between the measured batches; then five of 300, beyond both.
    assert_eq!(learnt.tpot_ms(&at, 150), Some(11.0));
    assert_eq!(learnt.tpot_ms(&Situation { batch: 1, context: 300, ..at }, 300), Some(16.0));
    assert_eq!(learnt.tpot_ms(&Situation { batch: 4, context: 1200, ..at }, 300), Some(22.0));
}

#[test]
fn a_profile_is_corrected_by_what_is_seen() {
    // Elsewhere it was measured; here everything takes half as long again.
    let here = (0..60).map(|n| Step { batch: 1 + n % 3, context: (1 + n % 3) * 100, ..Step::default() });
    let here = here.map(|step| Step { ms: 1.5 * [10.0, 12.0, 14.0][step.batch as usize - 1], ..step });
    let learnt = after(&profiled(), here);
    let at = Situation { batch: 1, context: 100, ..Situation::default() };
    let tpot = learnt.tpot_ms(&at, 100).unwrap();
    assert!((tpot - 18.0).abs() < 1.0, "{tpot}");
    assert_eq!(
        learnt.ttft_ms(&Situation { batched: 1000, ..Situation::default() }, 150),
        Some(25.0),
        "the other part stays"
    );
}

#[test]
fn a_file_that_is_no_profile_says_why() {
    let of = |json: &[u8]| Prefills::parse(json).unwrap_err().to_string();
    assert!(of(b"[").starts_with("it is no profile"));
    assert_eq!(of(br#"{"results": []}"#), "it has no results");
    assert!(of(br#"[{"tokens_num": 1, "p50": -4}]"#).contains("-4"));
    let batch = Decodes::parse(br#"[{"batch_size": 0, "tokens_per_request": 1, "p50": 4}]"#).unwrap_err();
    assert!(batch.to_string().contains("has 0"), "{batch}");
}

/// 10 ms and 0.1 ms a token.
fn line() -> Arc<Forecast> {
    after(&config(), steps(10.0, 0.1, 0.0, 60))
}

fn near(got: Option<f64>, want: f64) {
    assert!(got.is_some_and(|got| (got - want).abs() < 0.01), "{got:?} rather than {want}");
}

#[test]
fn what_waits_before_is_counted_and_goes_on_while_time_passes() {
    let at = Situation { uncomputed: 2500, batched: 1000, ..Situation::default() };
    let ms = Duration::from_millis;
    // Steps of 110, 110 and 60 ms are before it. The first is under way; what is left then fits into two.
    near(line().ttft_ms(&at, 100), 110.0 + 110.0 + 70.0);
    near(line().ttft_ms(&Situation { elapsed: ms(50), ..at }, 100), 60.0 + 110.0 + 70.0);
    near(line().ttft_ms(&Situation { elapsed: ms(230), ..at }, 100), 50.0 + 20.0);
    near(line().ttft_ms(&Situation { elapsed: ms(900), ..at }, 100), 20.0);
}

#[test]
fn progress_is_never_more_than_there_was_and_not_nothing_either() {
    let at = Situation { uncomputed: 2500, batched: 1000, ..Situation::default() };
    let after = |millis| line().computed(&Situation { elapsed: Duration::from_millis(millis), ..at }).unwrap();
    let computed: Vec<f64> = [0, 100, 115, 225, 285, 100_000].map(after).into();
    assert_eq!(computed, [0.0, 0.0, 1000.0, 2000.0, 2500.0, 2500.0]);
}

#[test]
fn what_is_in_flight_is_done_when_it_was_said_to_be() {
    let ms = Duration::from_millis;
    let at = Situation { inflight: 400, promised: ms(50), batched: 1000, ..Situation::default() };
    // Together in one step, were it yet to begin; but it began long ago and has 20 ms left.
    near(line().ttft_ms(&at, 100), 60.0);
    near(line().ttft_ms(&Situation { promised: ms(20), ..at }, 100), 40.0);
    near(line().ttft_ms(&Situation { promised: ms(0), ..at }, 100), 20.0);
}

proptest! {
    #[test]
    fn a_known_line_is_found_within_its_noise(
        base in 0.5_f64..200.0, per_token in 0.001_f64..1.0, noise in 0.0_f64..0.2, tokens in 1.0_f64..4000.0,
    ) {
        let learnt = after(&config(), steps(base, per_token, noise, 300));
        let (got, want) = (learnt.step_ms(tokens, 0.0, 0.0), base + per_token * tokens);
        prop_assert!((got - want).abs() <= (noise + 1e-3) * want, "{} rather than {}", got, want);
    }

    #[test]
    fn whatever_was_seen_more_tokens_never_take_less_and_nothing_takes_no_number(
        seen in proptest::collection::vec((-5_i64..5000, -2_i64..200, -5_i64..100_000, prop::num::f64::ANY), 0..700),
        profiles in any::<bool>(),
        (uncomputed, inflight) in (-10_i64..100_000, -10_i64..100_000),
        (batch, context) in (-2_i64..300, -2_i64..1_000_000),
        (batched, elapsed, promised) in (0_u64..70_000, 0_u64..100_000, 0_u64..10_000),
        (fewer, more) in (0_u64..50_000, 0_u64..50_000),
    ) {
        let seen = seen.into_iter().map(|(prefill_tokens, batch, context, ms)| Step { prefill_tokens, batch, context, ms });
        let learnt = after(&if profiles { profiled() } else { config() }, seen);
        let (elapsed, promised) = (Duration::from_millis(elapsed), Duration::from_millis(promised));
        let at = Situation { uncomputed, inflight, batch, context, batched, elapsed, promised };
        let computed = learnt.computed(&at).unwrap_or(0.0);
        prop_assert!((0.0..=uncomputed.max(0) as f64).contains(&computed), "{}", computed);
        for got in [learnt.ttft_ms(&at, fewer), learnt.tpot_ms(&at, fewer)].into_iter().flatten() {
            prop_assert!(got.is_finite() && got >= 0.0, "{}", got);
        }
        let (few, many) = (1 + fewer, 1 + fewer + more);
        if let (Some(few), Some(many)) = (learnt.ttft_ms(&at, few), learnt.ttft_ms(&at, many)) {
            prop_assert!(many >= few - 1e-9 * few.abs(), "{} after {}", many, few);
        }
    }
}
