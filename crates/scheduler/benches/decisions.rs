//! One decision at 16, 256 and 1,024 instances, and a refresh of 1,024: the pure parts, without sockets.
//!
//! Criterion's figures are means; `p99` lines beside the bars of the design come from timing every decision by itself.

#![expect(clippy::print_stdout, reason = "a bench tells what it found")]

use std::hint::black_box;

use cluster::api::InferType;
use cluster::records::{InstanceMetadata, InstanceStatus};
use criterion::{Criterion, criterion_group, criterion_main};
use scheduler::policy::{Ask, Mode, Parameters, Policy, built_in};
use scheduler::view::Roster;
use telemetry::clock::now;

/// Instances, and the bar of the 99th percentile of a decision among them, microseconds.
const SIZES: [(usize, u64); 3] = [(16, 20), (256, 60), (1024, 200)];

fn flag(name: &str) -> Option<String> {
    let value = match name {
        "instance-staleness-seconds" => "60",
        "failover-domain" => "instance-unit",
        "dispatch-top-k" => "1",
        name if name.ends_with("-load-metric") => "all_prefills_tokens_num",
        name if name.ends_with("-load-threshold") => "8192",
        _ => return None,
    };
    Some(value.to_owned())
}

fn policy() -> Policy {
    let text = built_in("load-balance", Mode::Full).unwrap_or_else(|| unreachable!("it is built in"));
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
        let (view, policy) = (roster(size).view(), policy());
        let ask = Ask { model: "m", prompt_tokens: 700, ..Ask::default() };
        criterion.bench_function(&format!("decision/{size}"), |bencher| {
            bencher.iter(|| black_box(policy.place(&view, black_box(&ask), now())));
        });
        let mut took: Vec<u64> = (0..20_000)
            .map(|_| {
                let began = now();
                let _ = black_box(policy.place(&view, black_box(&ask), began));
                now().nanos_since(began)
            })
            .collect();
        took.sort_unstable();
        let p99 = took[took.len() * 99 / 100] as f64 / 1e3;
        let verdict = if p99 <= bar as f64 { "holds" } else { "MISSED" };
        println!("decision/{size}: p99 {p99:.1} us, bar {bar} us: {verdict}");
    }
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

criterion_group!(benches, decisions, refresh);
criterion_main!(benches);
