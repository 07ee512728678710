use proptest::prelude::*;
use serde_json::json;

use super::*;

fn routes(policy: &str, config: &serde_json::Value) -> Routes {
    Routes::parse(policy, &config.to_string()).unwrap()
}

fn faults(policy: &str, config: &str) -> String {
    let faults = Routes::parse(policy, config).unwrap_err();
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Where a request goes, as a word.
fn goes(routes: &Routes, model: &str) -> String {
    name(&routes.choose(model))
}

fn name(choice: &Choice<'_>) -> String {
    match choice {
        Choice::Local => "local".to_owned(),
        Choice::External(external) => external.name().to_owned(),
        Choice::Unmatched => "unmatched".to_owned(),
    }
}

fn by_prefix(patterns: &[&str]) -> Routes {
    let written: Vec<_> = patterns
        .iter()
        .enumerate()
        .map(|(at, prefix)| json!({"base_url": format!("http://r{at}"), "prefix": prefix}))
        .collect();
    routes("prefix", &written.into())
}

#[test]
fn the_model_decides_by_prefix() {
    // (patterns in order, model, index of the route; None is no route)
    let table: &[(&[&str], &str, Option<usize>)] = &[
        (&["gpt-3*", "gpt-4*", "claude-2"], "claude-2", Some(2)),
        (&["gpt-3*", "gpt-4*", "claude-2"], "gpt-3-turbo", Some(0)),
        (&["gpt*", "gpt-3*"], "gpt-3-turbo", Some(1)),
        (&["gpt-3*", "gpt*"], "gpt-3-turbo", Some(0)),
        (&["gpt-3*", "gpt*"], "gpt-2", Some(1)),
        (&["gpt-3*", "gpt-4*"], "claude-2", None),
        (&["claude-2"], "claude-2.1", None),
        (&["claude-2*", "claude-2"], "claude-2", Some(1)),
        (&["claude-2", "claude-2*"], "claude-2", Some(0)),
        (&["*", "qwen*"], "llama", Some(0)),
        (&["*", "qwen*"], "qwen3", Some(1)),
        (&["qwen*"], "qwen", Some(0)),
        (&["qwen*", "qwen*"], "qwen3", Some(0)),
        (&["m", "m"], "m", Some(0)),
        (&["a*b"], "a*b", Some(0)),
        (&["a*b"], "axb", None),
        (&["Qwen*"], "qwen", None),
        (&["über*"], "überwesen", Some(0)),
    ];
    for (patterns, model, expected) in table {
        let expected = expected.map_or_else(|| "unmatched".to_owned(), |at| format!("http://r{at}"));
        assert_eq!(goes(&by_prefix(patterns), model), expected, "{patterns:?} {model}");
    }
}

#[test]
fn a_request_without_a_model_stays_here_where_models_decide() {
    assert_eq!(goes(&by_prefix(&["*"]), ""), "local");
    assert_eq!(goes(&routes("weight", &json!([{"base_url": "http://a", "weight": 1}])), ""), "http://a");
}

#[test]
fn local_is_a_destination_as_any_other() {
    let config = json!([{"base_url": "local", "prefix": "qwen*"}, {"base_url": "https://b/v1", "prefix": "*"}]);
    let by_model = routes("prefix", &config);
    assert_eq!((goes(&by_model, "qwen3"), goes(&by_model, "gpt")), ("local".into(), "https://b/v1".into()));
    assert_eq!(goes(&routes("weight", &json!([{"base_url": "local", "weight": 3}])), "m"), "local");
}

#[test]
fn a_route_without_weight_gets_nothing() {
    let config = json!([
        {"base_url": "http://a", "weight": 0},
        {"base_url": "http://b", "weight": 1},
        {"base_url": "http://c"},
    ]);
    let routes = routes("weight", &config);
    assert!((0..200).all(|_| goes(&routes, "m") == "http://b"));
}

#[test]
fn without_any_weight_only_the_fallbacks_are_left() {
    let routes = routes("weight", &json!([{"base_url": "http://a", "fallback": true}]));
    assert_eq!(goes(&routes, "m"), "unmatched");
    assert_eq!(routes.fallbacks(None).count(), 1);
    assert!(faults("weight", r#"[{"base_url":"local"}]"#).contains("no route has a weight"));
}

#[test]
fn fallbacks_come_in_order_without_the_cluster_and_without_who_was_tried() {
    let config = json!([
        {"base_url": "http://a", "prefix": "a*", "fallback": true},
        {"base_url": "local", "prefix": "b*", "fallback": true},
        {"base_url": "http://c", "prefix": "c*"},
        {"base_url": "http://d", "fallback": true},
    ]);
    let routes = routes("prefix", &config);
    let chain = |tried: Option<&Arc<External>>| -> Vec<String> {
        routes.fallbacks(tried).map(|external| external.name().to_owned()).collect()
    };
    assert_eq!(chain(None), ["http://a", "http://d"]);
    let Choice::External(first) = routes.choose("abc") else { panic!("a route") };
    assert_eq!(chain(Some(first)), ["http://d"]);
    let Choice::External(first) = routes.choose("c") else { panic!("a route") };
    assert_eq!(chain(Some(first)), ["http://a", "http://d"]);
}

#[test]
fn what_is_wrong_is_said_route_by_route() {
    assert!(faults("random", "[]").contains("supported: weight, prefix"));
    assert_eq!(faults("weight", "[]"), "names no route");
    for broken in [r#"[{"fallback":false,"prefix":"*""#, "{}", "", r#"[{"wieght":1}]"#, r#"[{"weight":-1}]"#] {
        assert!(faults("weight", broken).contains("is not a JSON list of routes"), "{broken}");
    }
    let config = r#"[{"prefix":"*"},{"base_url":"local"},{"base_url":"ftp://x","prefix":"*"},
        {"base_url":"local","prefix":"*","model":"m"},{"base_url":"http://x/?a=1","prefix":"*"},
        {"base_url":"http://x","prefix":"*","api_key":"a\nb"}]"#;
    let faults = faults("prefix", config);
    for (line, expected) in faults.lines().zip([
        "route 1: has no base_url",
        "route 2: has no prefix",
        "route 3: `ftp://x` is no URL",
        "route 4: is `local`",
        "route 5: `http://x/?a=1` is no URL",
        "route 6: the api_key",
    ]) {
        assert!(line.starts_with(expected), "{line}");
    }
    assert_eq!(faults.lines().count(), 6, "{faults}");
    assert!(!faults.contains("a\nb"), "a key is not repeated");
}

#[test]
fn upstreams_example_is_read() {
    let config = json!([
        {"base_url": "local", "fallback": false, "prefix": "*"},
        {"api_key": "sk-xxxxxxxx", "base_url": "https://dashscope.aliyuncs.com/compatible-mode/v1", "fallback": true,
         "prefix": "qwen-*"},
        {"api_key": "xxxx", "base_url": "https://ark.cn-beijing.volces.com/api/v3", "fallback": false, "prefix": "doubao-*"},
    ]);
    let routes = routes("prefix", &config);
    assert_eq!(goes(&routes, "doubao-pro"), "https://ark.cn-beijing.volces.com/api/v3");
    assert_eq!(goes(&routes, "llama"), "local");
    assert_eq!(routes.fallbacks(None).count(), 1);
}

proptest! {
    /// Of all lots each route gets exactly as many as its weight.
    #[test]
    fn every_weight_is_kept(weights in proptest::collection::vec(0..40_u32, 1..8)) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let written: Vec<_> = weights
            .iter()
            .enumerate()
            .map(|(at, weight)| json!({"base_url": format!("http://r{at}"), "weight": weight}))
            .collect();
        let routes = routes("weight", &written.into());
        let mut drawn = vec![0; weights.len()];
        for lot in 0..routes.total {
            let chosen = routes.by_weight(lot).unwrap();
            drawn[routes.routes.iter().position(|route| std::ptr::eq(route, chosen)).unwrap()] += 1;
        }
        prop_assert_eq!(drawn, weights);
        prop_assert!(routes.by_weight(routes.total).is_none());
    }

    /// An exact name wins, then the longest prefix, then the earlier route: against the rules said in another way.
    #[test]
    fn prefixes_match_by_the_rules(
        patterns in proptest::collection::vec("[ab]{0,3}\\*?", 1..7),
        model in "[ab]{1,4}",
    ) {
        let written: Vec<_> = patterns
            .iter()
            .enumerate()
            .map(|(at, prefix)| json!({"base_url": format!("http://r{at}"), "prefix": prefix, "fallback": true}))
            .collect();
        let routes = routes("prefix", &written.into());
        let exact = patterns.iter().position(|pattern| *pattern == model);
        let by_length = (0..=model.len()).rev().find_map(|length| {
            let wanted = format!("{}*", &model[..length]);
            patterns.iter().position(|pattern| *pattern == wanted)
        });
        let expected = exact.or(by_length).map_or_else(|| "unmatched".to_owned(), |at| format!("http://r{at}"));
        prop_assert_eq!(goes(&routes, &model), expected);
    }
}
