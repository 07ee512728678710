//! The policy `cache-aware`: prefix and load.

use cluster::api::{InferType, SchedulingRequest};
use cluster::records::InstanceStatus;

use super::super::{Ask, Metric, Mode, Weighing};
use crate::prefix::{Hits, Index, IndexConfig, Prompt};
use crate::testing::{at, metadata, policy, status, view};
use crate::view::ClusterView;

/// Neutral instances with so many prompt tokens still to be computed.
fn cluster(uncomputed: &[(&str, i32)]) -> ClusterView {
    let busy = |&(id, tokens): &(&str, i32)| {
        let status = InstanceStatus { num_uncomputed_tokens_all_waiting_prefills: tokens, ..status(id, 1) };
        (metadata(id, InferType::Neutral), status)
    };
    view(&uncomputed.iter().map(busy).collect::<Vec<_>>())
}

/// What is found of a prompt of 1,000 tokens, of which some instances have computed so many.
fn hits(view: &ClusterView, computed: &[(&str, usize)]) -> Hits {
    let prompt = |tokens: usize| {
        let asked = SchedulingRequest { prompt_token_ids: vec![7; tokens], ..SchedulingRequest::default() };
        Prompt::of(&asked, tokens as u64, 100).unwrap()
    };
    let index = Index::new(IndexConfig { most_blocks: 10_000, age: std::time::Duration::from_secs(60) });
    for &(id, tokens) in computed {
        let holder = view.find(id).unwrap().seat.holder_or(|| index.next_holder());
        index.place(&prompt(tokens).blocks, holder, at(0));
    }
    let prompt = prompt(1000);
    Hits::of(&prompt, &index.holders(&prompt.blocks, at(1)))
}

fn chosen(mode: Mode, view: &ClusterView, hits: Option<&Hits>) -> String {
    let ask = Ask { prompt_tokens: 1000, hits, ..Ask::default() };
    let placement = policy("cache-aware", mode).place(view, &ask, at(1)).unwrap();
    view.instances[placement.choices[0].1.at].id.to_string()
}

#[test]
fn a_prefix_is_worth_as_much_as_the_tokens_that_it_saves() {
    for (computed, uncomputed, want) in [
        // Nobody has anything: load decides.
        (vec![], [("a", 50), ("b", 40), ("c", 60)], "b"),
        // A miss costs the whole prompt: upstream takes it for nothing, and would never choose a hit.
        (vec![("c", 800)], [("a", 0), ("b", 0), ("c", 0)], "c"),
        (vec![("c", 800)], [("a", 0), ("b", 0), ("c", 790)], "c"),
        (vec![("c", 800)], [("a", 0), ("b", 10), ("c", 810)], "a"),
        // The longer one of two.
        (vec![("a", 300), ("b", 500)], [("a", 0), ("b", 0), ("c", 0)], "b"),
        (vec![("a", 300), ("b", 500)], [("a", 0), ("b", 250), ("c", 100)], "a"),
    ] {
        let view = cluster(&uncomputed);
        let hits = hits(&view, &computed);
        assert_eq!(chosen(Mode::Full, &view, Some(&hits)), want, "{computed:?} {uncomputed:?}");
    }
    assert_eq!(chosen(Mode::Full, &cluster(&[("a", 50), ("b", 40)]), None), "b", "not looked up: load decides");
}

#[test]
fn lite_mode_weighs_the_prefix_against_what_waits() {
    let view = cluster(&[("a", 0), ("b", 0)]);
    let hits = hits(&view, &[("a", 800)]);
    view.find("a").unwrap().seat.tally.enter_for_test(790);
    assert_eq!(chosen(Mode::Lite, &view, Some(&hits)), "a");
    view.find("a").unwrap().seat.tally.enter_for_test(20);
    assert_eq!(chosen(Mode::Lite, &view, Some(&hits)), "b");
}

#[test]
fn metrics_say_what_is_cached_and_what_is_to_be_computed() {
    let view = cluster(&[("a", 30), ("b", 20)]);
    let hits = hits(&view, &[("a", 800)]);
    let of = |metric: Metric, prompt_tokens| {
        let weighing =
            Weighing { mode: Mode::Full, wanted: InferType::Neutral, prompt_tokens, hits: Some(&hits), now: at(1) };
        ["a", "b"].map(|id| metric.of(view.find(id).unwrap(), &weighing))
    };
    assert_eq!(of(Metric::KvCacheHitLen, 1000), [800.0, 0.0]);
    assert_eq!(of(Metric::CacheAwareAllPrefillsTokensNum, 1000), [230.0, 1020.0]);
    assert_eq!(of(Metric::KvCacheHitLen, 500), [500.0, 0.0], "no more than there is");
    assert_eq!(of(Metric::AllPrefillsTokensNum, 1000), [30.0, 20.0]);
}

#[test]
fn an_explanation_tells_the_hit() {
    let view = cluster(&[("a", 30), ("b", 20)]);
    let hits = hits(&view, &[("a", 800)]);
    let ask = Ask { prompt_tokens: 1000, hits: Some(&hits), ..Ask::default() };
    let (_, explained) = policy("cache-aware", Mode::Full).explain(&view, &ask, at(1));
    let told = serde_json::to_value(&explained[0].instances[0]).unwrap();
    assert_eq!((&told["instance_id"], &told["rank"]), (&"a".into(), &1.into()));
    let metrics = told["metrics"].as_array().unwrap();
    assert!(metrics.contains(&serde_json::json!({"name": "kv_cache_hit_len", "value": 800.0})), "{metrics:?}");
    assert_eq!(explained[0].ranked_by[0], "cache_aware_all_prefills_tokens_num");
}
