use super::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn formula() -> Formula {
    Formula {
        prefill_base: ms(10),
        prefill_per_token: Duration::from_micros(100),
        decode_step: ms(8),
        decode_per_sequence: ms(1),
    }
}

fn model(source: Source) -> Model {
    Model { source, ..Model::zero() }
}

fn step(model: &Model, prefill_tokens: u64, decode_sequences: u32, decode_context: u64) -> Duration {
    let work = Work { prefill_tokens, decode_sequences, decode_context };
    model.step(&work, &mut Random::new(1, 2))
}

#[test]
fn formula_adds_prefill_and_decode_parts() {
    let model = model(Source::Formula(formula()));
    assert_eq!(step(&model, 0, 0, 0), ms(0));
    assert_eq!(step(&model, 100, 0, 0), ms(20));
    assert_eq!(step(&model, 0, 1, 50), ms(8));
    assert_eq!(step(&model, 100, 3, 50), ms(30));
}

#[test]
fn jitter_stays_within_its_bounds_and_repeats_under_a_seed() {
    let model = Model { jitter: 0.2, ..model(Source::Formula(formula())) };
    let draw = |seed| {
        let mut random = Random::new(seed, 0);
        (0..200).map(|_| model.jittered(ms(100), &mut random)).collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    assert!(draw(7).iter().all(|d| (ms(80)..=ms(120)).contains(d)));
    assert!(draw(7).iter().any(|d| *d < ms(90)) && draw(7).iter().any(|d| *d > ms(110)));
}

#[test]
fn transfer_grows_with_size_and_is_free_when_empty() {
    let transfer = Transfer { base: ms(2), per_block: ms(1), block_bytes: 1_000, bandwidth: 1_000_000 };
    assert_eq!(transfer.duration(0), ms(0));
    assert_eq!(transfer.duration(3), ms(2 + 3 + 3));
    assert_eq!(transfer.bytes(3), 3_000);
}

const PROFILE: &[u8] = br#"{
  "ttft": {"results": [{"tokens_num": 100, "mean": 9, "p50": 20.0, "p95": 9, "p99": 9}, {"tokens_num": 200, "p50": 30.0}]},
  "tpot": {"results": [
    {"batch_size": 1, "tokens_per_request": 100, "p50": 10.0}, {"batch_size": 1, "tokens_per_request": 200, "p50": 12.0},
    {"batch_size": 3, "tokens_per_request": 100, "p50": 14.0}, {"batch_size": 3, "tokens_per_request": 200, "p50": 16.0}]}}"#;

#[test]
fn profile_interpolates_and_extrapolates() {
    let model = model(Source::Profile(Profile::parse(PROFILE).unwrap()));
    assert_eq!(step(&model, 150, 0, 0), ms(25));
    assert_eq!(step(&model, 300, 0, 0), ms(40), "the outermost slope goes on");
    assert_eq!(step(&model, 0, 2, 300), ms(13), "bilinear in the middle of the grid");
    assert_eq!(step(&model, 0, 5, 5 * 300), ms(22), "both axes beyond the grid");
    assert_eq!(step(&model, 100, 1, 100), ms(30), "parts add up");
}

#[test]
fn profile_never_extrapolates_below_zero() {
    let json = br#"{"ttft": [{"tokens_num": 100, "p50": 1.0}, {"tokens_num": 200, "p50": 50.0}],
                    "tpot": [{"batch_size": 1, "tokens_per_request": 1, "p50": 1.0}]}"#;
    let model = model(Source::Profile(Profile::parse(json).unwrap()));
    assert_eq!(step(&model, 1, 0, 0), ms(0));
}

#[test]
fn unusable_profiles_are_refused_with_the_reason() {
    let reason = |json: &[u8]| Profile::parse(json).unwrap_err().to_string();
    assert!(reason(b"[").starts_with("not a profile"));
    assert_eq!(reason(br#"{"ttft": [], "tpot": []}"#), "the profile has no `ttft` results");
    let negative = br#"{"ttft": [{"tokens_num": 1, "p50": -4}], "tpot": []}"#;
    assert!(reason(negative).contains("-4"));
}
