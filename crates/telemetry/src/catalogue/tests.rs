use std::collections::HashSet;

use super::{Kind, all, json, table};

#[test]
fn every_entry_is_complete_and_unique() {
    let mut names = HashSet::new();
    for metric in all() {
        let name = metric.name;
        assert!(names.insert(name), "{name} twice");
        assert!(!metric.help.is_empty() && !metric.observed.is_empty(), "{name}");
        assert_eq!(metric.kind == Kind::Histogram, !metric.buckets.is_empty(), "{name}");
        assert!(metric.buckets.windows(2).all(|pair| pair[0] < pair[1]), "{name}");
        assert!(metric.kind != Kind::Counter || name.ends_with("_total"), "{name}");
        assert!(!name.starts_with("vllm:nixl") || metric.labels.len() == 2, "{name}");
    }
}

#[test]
fn what_is_printed_names_everything() {
    let text = table();
    let listed = json();
    let listed: HashSet<_> = listed.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    for metric in all() {
        assert!(text.contains(metric.name), "{}", metric.name);
        assert!(listed.contains(metric.name), "{}", metric.name);
    }
}

#[test]
fn the_vllm_series_are_those_of_a_real_vllm() {
    let real = include_str!("../../tests/fixtures/vllm-metrics.txt");
    let nixl = include_str!("../../tests/fixtures/vllm-nixl-metrics.txt");
    let real: Vec<_> = real.lines().chain(nixl.lines()).collect();
    for metric in all().filter(|metric| metric.name.starts_with("vllm:")) {
        let kind = format!("# TYPE {} {}", metric.name, metric.kind.as_str());
        assert!(real.contains(&kind.as_str()), "{kind}");
        for bound in metric.buckets {
            let le = |line: &&str| {
                let Some(rest) = line.strip_prefix(metric.name).and_then(|rest| rest.strip_prefix("_bucket{")) else {
                    return false;
                };
                let le = rest.split_once("le=\"").unwrap().1.split_once('"').unwrap().0;
                le.parse() == Ok(*bound)
            };
            assert!(real.iter().any(le), "{} {bound}", metric.name);
        }
    }
}
