//! `candor demo --full-mode`, as the command: to its verdict, and to its end.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::Redis;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::scrape;

/// Exit status after Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Runs the demo on one protocol until it stays up, has the scheduler looked at, and interrupts it. Its exit status is what Ctrl-C
/// makes it: whether latencies are within their bounds belongs to a quiet machine, while every count must be right on any.
async fn runs(flags: &[&str], while_it_is_up: impl AsyncFnOnce()) {
    let directory = tempfile::tempdir().unwrap();
    let verdict = directory.path().join("verdict.json");
    let own = ["demo", "--full-mode", "--protocols=nixlv2", "--streams=4", "--duration=1s", "--keep"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
    command.args(own).args(flags).arg("--observatory-listen=127.0.0.1:0").arg("--json").arg(&verdict);
    command.arg("--directory").arg(directory.path()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut scheduler = None;
    let mut said = Vec::new();
    loop {
        let Some(line) = lines.next_line().await.unwrap() else { panic!("the demo ended:\n{}", said.join("\n")) };
        if let ["nixlv2", "scheduler", addr, _] = line.split_whitespace().collect::<Vec<_>>()[..] {
            scheduler = Some(addr.parse().unwrap());
        }
        if line.starts_with("everything stays up") {
            break;
        }
        said.push(line);
    }
    let requests = is_right(&serde_json::from_slice(&std::fs::read(&verdict).unwrap()).unwrap());
    let seen = scrape(scheduler.unwrap()).await.unwrap();
    assert_eq!(seen.value("scheduler_scheduling_total", &[]), Some(requests), "the scheduler placed every request");
    for infer_type in ["prefill", "decode"] {
        assert_eq!(seen.sum("scheduler_instance_dispatch_total", &[("infer_type", infer_type)]), Some(requests));
    }
    assert_eq!(seen.value("scheduler_inflight_aged_total", &[]), Some(0.0), "every request was in a status");
    assert_eq!(seen.matching("instance_schedulable", &[]).filter(|sample| sample.value == 1.0).count(), 4);
    while_it_is_up().await;
    kill_process(Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap(), Signal::INT).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(INTERRUPTED));
}

/// Checks everything in a verdict that no clock has a say in. Returns how many requests there were.
fn is_right(verdicts: &Value) -> f64 {
    let verdict = &verdicts[0];
    assert_eq!((&verdict["title"], verdicts.as_array().unwrap().len()), (&Value::from("nixlv2"), 1));
    let holds = |check: &Value| assert_eq!(check["holds"]["state"], "yes", "{check}");
    verdict["sums"].as_array().unwrap().iter().for_each(holds);
    verdict["numbers"].as_array().unwrap().iter().filter(|number| number["unit"] == "").for_each(holds);
    let run = &verdict["run"];
    assert!(run["requests"].as_u64().unwrap() >= 4, "{run}");
    assert_eq!(run["requests"], run["completed"], "{run}");
    run["requests"].as_f64().unwrap()
}

#[tokio::test]
async fn over_a_cms_in_memory() {
    runs(&[], async || ()).await;
}

#[tokio::test]
async fn over_a_cms_in_redis_which_is_left_as_it_was_found() {
    let redis = Redis::start().await;
    let cms = format!("--cms={}", redis.url());
    runs(&[&cms], async || assert_eq!(redis.command("DBSIZE").await, ":8\r\n", "two records of each of four engines"))
        .await;
    assert_eq!(redis.command("DBSIZE").await, ":0\r\n");
}
