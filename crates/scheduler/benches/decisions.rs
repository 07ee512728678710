//! One decision at 16, 256 and 1,024 instances, one by prefix among 256, and a refresh of 1,024: the pure parts, without sockets.
//!
//! Criterion's figures are means; `p99` lines beside the bars of the design come from timing every decision by itself.

#![expect(clippy::print_stdout, reason = "a bench tells what it found")]

use std::hint::black_box;
use std::time::Duration;

use cluster::api::{InferType, SchedulingRequest};
use cluster::records::{InstanceMetadata, InstanceStatus};
use criterion::{Criterion, criterion_group, criterion_main};
use scheduler::policy::{Ask, Mode, Parameters, Policy, built_in};
use scheduler::prefix::{Hits, Index, IndexConfig, Prompt};
use scheduler::view::Roster;
use telemetry::clock::now;

/// Instances, and the bar of the 99th percentile of a decision among them, microseconds.
const SIZES: [(usize, u64); 3] = [(16, 20), (256, 60), (1024, 200)];

fn flag(name: &str) -> Option<String> {
    let value = match name {
        "instance-staleness-seconds" => "60",
        "failover-domain" => "instance-unit",
        "dispatch-top-k" => "1",
        "dispatch-prefill-cache-locality-metric" => "cache_aware_all_prefills_tokens_num",
        name if name.ends_with("-load-metric") => "all_prefills_tokens_num",
        name if name.ends_with("-load-threshold") => "8192",
        _ => return None,
    };
    Some(value.to_owned())
}

fn policy(name: &str) -> Policy {
    let text = built_in(name, Mode::Full).unwrap_or_else(|| unreachable!("it is built in"));
    let parsed = Policy::parse(text, Parameters { flag: &flag, seed: 1 });
    parsed.unwrap_or_else(|fault| unreachable!("{fault}"))
}

fn records(instances: usize) -> (Vec<InstanceMetadata>, Vec<InstanceStatus>) {
    let timestamp_ms = (now().unix_nanos() / 1_000_000) as i64;
    let metadata = (0..instances).map(|n| InstanceMetadata {
        instance_id: format!("instance-{n}"),
        instance_type: InferType::Neutral.to_string(),
        ip: format!("10.0.{}.{}", n / 250, n % 250),
        node_id: format!("node-{}", n / 8),
        unit_id: format!("unit-{n}"),
        data_parallel_size: 1,
        ..InstanceMetadata::default()
    });
    let status = (0..instances).map(|n| InstanceStatus {
        instance_id: format!("instance-{n}"),
        schedulable: true,
        timestamp_ms,
        update_id: 1,
        num_total_gpu_tokens: 400_000,
        num_running_requests: n as i32 % 40,
        num_uncomputed_tokens_all_waiting_prefills: n as i32 * 37 % 5000,
        ..InstanceStatus::default()
    });
    (metadata.collect(), status.collect())
}

fn roster(instances: usize) -> Roster {
    let (metadata, status) = records(instances);
    let mut roster = Roster::default();
    roster.metadata(metadata, now());
    roster.statuses(status, now());
    roster
}

fn decisions(criterion: &mut Criterion) {
    for (size, bar) in SIZES {
        let (view, policy) = (roster(size).view(), policy("load-balance"));
        let ask = Ask { model: "m", prompt_tokens: 700, ..Ask::default() };
        criterion.bench_function(&format!("decision/{size}"), |bencher| {
            bencher.iter(|| black_box(policy.place(&view, black_box(&ask), now())));
        });
        judge(&format!("decision/{size}"), bar, 20_000, || {
            let _ = black_box(policy.place(&view, black_box(&ask), now()));
        });
    }
}

/// Times every run of `work` by itself, and says whether the 99th percentile keeps within the bar, microseconds.
fn judge(name: &str, bar: u64, times: usize, work: impl Fn()) {
    let mut took: Vec<u64> = (0..times)
        .map(|_| {
            let began = now();
            work();
            now().nanos_since(began)
        })
        .collect();
    took.sort_unstable();
    let p99 = took[took.len() * 99 / 100] as f64 / 1e3;
    let verdict = if p99 <= bar as f64 { "holds" } else { "MISSED" };
    println!("{name}: p99 {p99:.1} us, bar {bar} us: {verdict}");
}

/// A prompt of 32k tokens that all of 256 instances have: hashed, looked up, decided, and remembered.
fn cache_aware(criterion: &mut Criterion) {
    let (view, policy) = (roster(256).view(), policy("cache-aware"));
    let index = Index::new(IndexConfig { most_blocks: 500_000, age: Duration::from_secs(3600) });
    let ids: Vec<u32> = (0..32_768_u32).map(|n| n.wrapping_mul(2_654_435_761) % 151_936).collect();
    let asked = SchedulingRequest { prompt_token_ids: ids, ..SchedulingRequest::default() };
    let holders: Vec<u32> = view.instances.iter().map(|of| of.seat.holder_or(|| index.next_holder())).collect();
    let prompt = || Prompt::of(&asked, 32_768, 256).unwrap_or_else(|| unreachable!("it is long enough"));
    for &holder in &holders {
        index.place(&prompt().blocks, holder, now());
    }
    let decide = || {
        let (prompt, began) = (prompt(), now());
        let hits = Hits::of(&prompt, &index.holders(&prompt.blocks, began));
        let ask = Ask { model: "m", prompt_tokens: 32_768, hits: Some(&hits), ..Ask::default() };
        let placed = black_box(policy.place(&view, &ask, began));
        if let Some((_, chosen)) = placed.ok().and_then(|placed| placed.choices.first().copied()) {
            index.place(&prompt.blocks, view.instances[chosen.at].seat.holder(), began);
        }
    };
    criterion.bench_function("cache-aware/256", |bencher| bencher.iter(decide));
    judge("cache-aware/256, 32k tokens", 1000, 5000, decide);
}

fn refresh(criterion: &mut Criterion) {
    let (mut roster, (_, status)) = (roster(1024), records(1024));
    criterion.bench_function("refresh/1024", |bencher| {
        bencher.iter(|| {
            roster.statuses(black_box(&status), now());
            black_box(roster.view())
        });
    });
}

criterion_group!(benches, decisions, cache_aware, refresh);
criterion_main!(benches);
