use std::io::Write as _;
use std::time::Duration;

use openai::Api;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

fn workload() -> Workload {
    Workload {
        seed: 7,
        model: "m".to_owned(),
        prompts: Prompts::Made(Lengths::Constant(5)),
        output: Lengths::Uniform(10, 20),
        chat: Share::of(0.5),
        stream: Share::of(0.75),
        usage: Share::of(0.5),
        cancel_before_first: Share::of(0.1),
        cancel_within: Duration::from_millis(40),
        cancel_mid_stream: Share::of(0.2),
        inject: vec!["0.25:x-fault:status=500".parse().expect("an injection")],
    }
}

fn share_of(plan: &[Planned], what: impl Fn(&Planned) -> bool) -> f64 {
    plan.iter().filter(|p| what(p)).count() as f64 / plan.len() as f64
}

#[test]
fn the_same_seed_plans_the_same_requests() {
    let one: Vec<Planned> = Plan::new(workload()).take(200).collect();
    let two: Vec<Planned> = Plan::new(workload()).take(200).collect();
    assert_eq!(one, two);
    let other = Plan::new(Workload { seed: 8, ..workload() }).take(200);
    assert_ne!(one, other.collect::<Vec<_>>());
}

#[test]
fn shares_come_out_as_asked_for() {
    let plan: Vec<Planned> = Plan::new(workload()).take(4000).collect();
    let close = |share: f64, expected: f64| {
        assert!((share - expected).abs() < 0.03, "{share} is not near {expected}");
    };
    close(share_of(&plan, |p| p.api == Api::ChatCompletions), 0.5);
    close(share_of(&plan, |p| p.stream), 0.75);
    close(share_of(&plan, |p| p.usage), 0.375);
    close(share_of(&plan, |p| !p.headers.is_empty()), 0.25);
    close(share_of(&plan, |p| matches!(p.cancel, Some(Cancel::BeforeFirst(_)))), 0.1);
    let mid = |p: &Planned| matches!(p.cancel, Some(Cancel::AfterChunks(_)));
    close(share_of(&plan, mid), 0.9 * 0.75 * 0.2);
}

#[test]
fn arrivals_are_exponential_with_mean_one() {
    let gaps: Vec<f64> = Plan::new(workload()).take(8000).map(|p| p.gap).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    assert!((mean - 1.0).abs() < 0.05, "mean {mean}");
    assert!((variance - 1.0).abs() < 0.12, "variance {variance}");
}

#[test]
fn a_client_leaves_in_the_first_half_of_a_stream_only() {
    for planned in Plan::new(workload()).take(2000) {
        match planned.cancel {
            Some(Cancel::AfterChunks(chunks)) => {
                assert!(planned.stream);
                assert!((1..=planned.max_tokens / 2 + 1).contains(&chunks));
            }
            Some(Cancel::BeforeFirst(after)) => assert!(after <= Duration::from_millis(40)),
            None => {}
        }
    }
}

#[test]
fn the_sharegpt_like_defaults_have_the_published_means() {
    let mean = |lengths: Lengths| {
        let rng = &mut StdRng::seed_from_u64(1);
        (0..20_000).map(|_| f64::from(lengths.draw(rng))).sum::<f64>() / 20_000.0
    };
    let (prompt, output) = (mean(Lengths::SHAREGPT_PROMPT), mean(Lengths::SHAREGPT_OUTPUT));
    // The cut at 1,024 tokens takes a tenth off the uncut means of 161 and 338.
    assert!((130.0..165.0).contains(&prompt), "prompt {prompt}");
    assert!((285.0..340.0).contains(&output), "output {output}");
}

#[test]
fn made_prompts_have_the_drawn_number_of_words() {
    let planned = Plan::new(workload()).next().expect("endless");
    assert_eq!(planned.prompt.split(' ').count(), 5);
    assert_eq!(planned.prompt.len(), 5 * 4 - 1);
}

#[test]
fn listed_prompts_come_in_order_and_outrank_the_drawn_length() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "{{\"prompt\":\"a\"}}\n\n{{\"prompt\":\"b\",\"max_tokens\":3}}\n").expect("written");
    let prompts = Prompts::read(file.path()).expect("two prompts");
    let plan: Vec<Planned> = Plan::new(Workload { prompts, ..workload() }).take(3).collect();
    assert_eq!(plan.iter().map(|p| p.prompt.as_str()).collect::<Vec<_>>(), ["a", "b", "a"]);
    assert_eq!(plan[1].max_tokens, 3);
    assert!(plan[0].max_tokens >= 10);
}

#[test]
fn a_bad_prompt_file_is_refused_with_its_line() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "{{\"prompt\":\"a\"}}\n{{\"text\":1}}\n").expect("written");
    let said = Prompts::read(file.path()).expect_err("line 2 is wrong").to_string();
    assert!(said.contains("line 2"), "{said}");
    let empty = tempfile::NamedTempFile::new().expect("a file");
    let said = Prompts::read(empty.path()).expect_err("nothing in it").to_string();
    assert!(said.contains("holds no prompt"), "{said}");
}

#[test]
fn what_is_not_a_distribution_is_refused() {
    for text in [
        "",
        "constant",
        "constant:0",
        "constant:x",
        "uniform:9:3",
        "uniform:1",
        "lognormal:10",
        "lognormal:10:-1",
        "lognormal:10:inf",
        "lognormal:0:1",
        "normal:1:2",
        "constant:1000001",
    ] {
        assert!(text.parse::<Lengths>().is_err(), "{text:?} was accepted");
    }
}

proptest! {
    #[test]
    fn a_distribution_reads_back_as_printed_and_stays_within_bounds(
        min in 1u32..500, span in 0u32..500, sigma in 0.0f64..3.0, seed: u64,
    ) {
        let max = min + span;
        let rng = &mut StdRng::seed_from_u64(seed);
        for lengths in [
            Lengths::Constant(min),
            Lengths::Uniform(min, max),
            Lengths::LogNormal { median: f64::from(min), sigma, max },
        ] {
            prop_assert_eq!(lengths.to_string().parse::<Lengths>().expect("as printed"), lengths);
            let drawn = lengths.draw(rng);
            prop_assert!((1..=max.max(min)).contains(&drawn));
        }
    }
}
