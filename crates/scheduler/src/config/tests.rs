use clap::{Args as _, Command, FromArgMatches as _};

use super::*;
use crate::reschedule::{Amount, Selection, Trigger};

fn faults(args: Args) -> Vec<String> {
    args.validate().unwrap_err().iter().map(Fault::to_string).collect()
}

fn parse(argv: &[&str]) -> Args {
    let command = Args::augment_args(Command::new("scheduler").no_binary_name(true));
    Args::from_arg_matches(&command.get_matches_from(argv)).unwrap()
}

#[test]
fn the_defaults_are_upstreams() {
    let config = Args::default().validate().unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8088");
    assert_eq!((config.policy.name(), config.policy.mode()), ("load-balance", Mode::Full));
    assert_eq!(config.account_patience, Duration::from_secs(10));
    assert!(config.keeps_account && config.election.is_none());
    let Source::Cms { store, status_interval, metadata_interval } = &config.source else { panic!("full mode") };
    assert_eq!(store.name(), "redis://redis.roles:10000");
    assert_eq!((*status_interval, *metadata_interval), (Duration::from_millis(50), Duration::from_secs(10)));
}

#[test]
fn names_are_unique_and_clap_agrees() {
    let names: std::collections::BTreeSet<_> = flags::all().map(|flag| flag.name).collect();
    assert_eq!(names.len(), flags::all().count());
    Args::augment_args(Command::new("scheduler")).debug_assert();
}

#[test]
fn the_command_line_reaches_the_configuration() {
    let args = parse(&[
        "--host=127.0.0.1",
        "--port",
        "0",
        "--cms",
        "redis://localhost:1234",
        "--scheduling-policy",
        "power-of-two",
        "--enable-instance-status-local-account=false",
        "--leader-election",
        "--advertise-endpoint",
        "here:1",
        "--allow-concurrent-scheduling=true",
    ]);
    let config = args.validate().unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:0");
    assert_eq!(config.policy.name(), "power-of-two");
    assert!(!config.keeps_account);
    let election = config.election.unwrap();
    assert_eq!(election.redis.to_string(), "redis://localhost:1234");
    assert_eq!(election.advertise.as_deref(), Some("here:1"));
}

#[test]
fn lite_mode_has_defaults_of_its_own() {
    let lite = Args::default().with("enable-full-mode-scheduling", "false");
    let config = lite.clone().validate().unwrap();
    assert_eq!(config.policy.mode(), Mode::Lite);
    let Source::Discovery(source) = &config.source else { panic!("lite mode") };
    assert_eq!(source.to_string(), "redis://redis:6379");
    let listed = lite.with("llm-backend-discovery", "endpoints").with("llm-backend-endpoints", "a,b:81,[::1]:82");
    let Source::Discovery(discovery::Source::Endpoints(instances)) = listed.validate().unwrap().source else {
        panic!("a list");
    };
    let endpoints: Vec<_> = instances.iter().map(|instance| instance.endpoint.to_string()).collect();
    assert_eq!(endpoints, ["a:80", "b:81", "[::1]:82"]);
}

#[test]
fn what_does_not_exist_yet_is_refused() {
    let args = Args::default()
        .with("kvs-retry-times", "5")
        .with("enable-predictor-enhanced-scheduling", "false")
        .with("tpot-migrate-out-ceil-threshold", "0.9")
        .with("scheduling-policy", "fastest");
    assert_eq!(
        faults(args),
        [
            "--kvs-retry-times: is not supported yet",
            "--tpot-migrate-out-ceil-threshold: is not supported yet",
            "--scheduling-policy: `fastest` is not known; supported: load-balance, cache-aware, flood, round-robin, power-of-two, least-latency, slo, adaptive-pd",
        ]
    );
}

#[test]
fn all_faults_are_listed_at_once() {
    let args = Args::default()
        .with("host", "nowhere")
        .with("port", "65536")
        .with("enable-full-mode-scheduling", "perhaps")
        .with("llm-backend-discovery", "dns")
        .with("failover-domain", "rack")
        .with("request-local-account-staleness-seconds", "0");
    assert_eq!(
        faults(args),
        [
            "--enable-full-mode-scheduling: `perhaps` is neither true nor false",
            "--host: `nowhere` is no IP address",
            "--port: `65536` is no whole number from 0 to 65535",
            "--llm-backend-discovery: `dns` is not known; supported: redis, etcd, endpoints",
            "--request-local-account-staleness-seconds: `0` is no number of seconds above 0",
        ]
    );
    let metric = Args::default().with("dispatch-decode-load-metric", "num_tokens").with("failover-domain", "rack");
    let faults = faults(metric);
    assert!(
        faults.len() == 1 && faults[0].starts_with("--scheduling-policy: [neutral]: `rack` is no failover"),
        "{faults:?}"
    );
}

#[test]
fn a_policy_can_come_from_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "name = \"mine\"\nmode = \"full\"\n[default]\nselector = { pick = \"best\", by = [\"num_requests\"] }\n";
    std::fs::write(file.path(), text).unwrap();
    let args = Args::default().with("policy-config", file.path().to_str().unwrap());
    assert_eq!(args.clone().validate().unwrap().policy.name(), "mine");
    let lite = faults(args.with("enable-full-mode-scheduling", "false"));
    assert_eq!(lite, ["--policy-config: the file's `mode` and --enable-full-mode-scheduling contradict each other"]);
    let missing = faults(Args::default().with("policy-config", "/nonexistent/policy.toml"));
    assert!(missing[0].starts_with("--policy-config: /nonexistent/policy.toml: "), "{missing:?}");
}

#[test]
fn secrets_are_shown_nowhere() {
    let args = Args::default().with("cms-redis-password", "sesame");
    assert!(!format!("{args:?}").contains("sesame"));
    assert!(!format!("{:?}", args.validate().unwrap()).contains("sesame"));
}

#[test]
fn prefixes_are_looked_up_where_it_is_said_how() {
    assert!(Args::default().validate().unwrap().prefix.is_none());
    let approximate = Args::default().with("kvs-backend", "approximate");
    let config = approximate.clone().validate().unwrap();
    let prefix = config.prefix.unwrap();
    assert_eq!((config.policy.name(), prefix.min_tokens, prefix.chunk), ("load-balance", 1024, 256));
    for mode in ["true", "false"] {
        let aware = approximate.clone().with("enable-cache-aware-scheduling", "true");
        let aware = aware.with("enable-full-mode-scheduling", mode).validate().unwrap();
        assert_eq!(aware.policy.name(), "cache-aware");
    }
    assert_eq!(
        faults(Args::default().with("scheduling-policy", "cache-aware")),
        ["--kvs-backend: must have a value for the policy `cache-aware`; supported: approximate"]
    );
    assert_eq!(
        faults(approximate.with("enable-cache-aware-scheduling", "true").with("scheduling-policy", "flood")),
        ["--enable-cache-aware-scheduling: is of no effect on the policy `flood`"]
    );
    for (backend, why) in [("mooncake", "is not supported yet"), ("hearsay", "is not known")] {
        let want = format!("--kvs-backend: `{backend}` {why}; supported: approximate");
        assert_eq!(faults(Args::default().with("kvs-backend", backend)), [want]);
    }
}

#[test]
fn rescheduling_is_off_unless_it_is_asked_for_and_its_flags_are_upstreams() {
    assert!(matches!(Args::default().validate().unwrap().rescheduling, Rescheduling::Off));
    let args = Args::default().with("colocated-rescheduling-mode", "true");
    let Rescheduling::Colocated(settings) = args.validate().unwrap().rescheduling else { panic!("beside placing") };
    let triggers: Vec<&str> = settings.triggers.iter().copied().map(Trigger::as_str).collect();
    assert_eq!(triggers, ["decode_load", "prefill_failover", "decode_failover", "neutral_failover"]);
    assert_eq!(settings.selection, Selection { order: "SR", amount: Amount::Tokens(1024) });
    assert_eq!((settings.interval, settings.timeout), (Duration::from_millis(500), Duration::from_secs(5)));
    let args = Args::default()
        .with("standalone-rescheduling-mode", "true")
        .with("rescheduling-req-select-rule", "RATIO")
        .with("rescheduling-req-select-value", "0.25")
        .with("rescheduling-load-balance-scope", "unit")
        .with("llumlet-grpc-timeout-seconds", "-1");
    let Rescheduling::Standalone(settings) = args.validate().unwrap().rescheduling else { panic!("alone") };
    assert_eq!(settings.selection.amount, Amount::Share(0.25));
    assert!(settings.within_unit);
    assert_eq!(settings.timeout, Duration::from_secs(5));
}

#[test]
fn every_fault_of_rescheduling_is_told() {
    let args = Args::default()
        .with("standalone-rescheduling-mode", "true")
        .with("colocated-rescheduling-mode", "true")
        .with("leader-election", "true")
        .with("rescheduling-policies", "decode_load,binpacking_mitigation,prefill_load,idle")
        .with("rescheduling-decode-load-metric", "num_tokens")
        .with("rescheduling-req-select-order", "NEW")
        .with("rescheduling-req-select-value", "-1")
        .with("rescheduling-load-balance-scope", "rack");
    let known = "neutral_load, decode_load, neutral_failover, prefill_failover, decode_failover";
    assert_eq!(
        faults(args),
        [
            "--standalone-rescheduling-mode: excludes --colocated-rescheduling-mode and --enable-rescheduling".to_owned(),
            "--standalone-rescheduling-mode: excludes --leader-election: it would take the lease from those that place \
             requests. Run one"
                .to_owned(),
            "--rescheduling-decode-load-metric: this metric says nothing of an instance's load".to_owned(),
            format!("--rescheduling-policies: `binpacking_mitigation` is not supported yet; supported: {known}"),
            format!("--rescheduling-policies: `prefill_load` is not known; supported: {known}"),
            format!("--rescheduling-policies: `idle` is not known; supported: {known}"),
            "--rescheduling-req-select-order: `NEW` is not known; supported: LCR, FCR, LR, SR, FCW, FCWSR".to_owned(),
            "--rescheduling-req-select-value: must be 0 or more, and no more than 1 for RATIO".to_owned(),
            "--rescheduling-load-balance-scope: `rack` is not known; supported: cluster, unit".to_owned(),
        ]
    );
    let lite = Args::default()
        .with("enable-full-mode-scheduling", "false")
        .with("llm-backend-discovery", "endpoints")
        .with("llm-backend-endpoints", "a:1")
        .with("enable-rescheduling", "true");
    let told = faults(lite);
    assert!(told[0].starts_with("--colocated-rescheduling-mode: needs --enable-full-mode-scheduling"), "{told:?}");
}

#[test]
fn predictions_are_made_where_somebody_wants_them() {
    assert!(Args::default().validate().unwrap().predictor.is_none());
    let slo = Args::default().with("scheduling-policy", "slo");
    assert_eq!(slo.clone().validate().unwrap().predictor.unwrap().warmup, 20);
    assert_eq!(slo.with("enable-adaptive-pd", "true").validate().unwrap().policy.name(), "adaptive-pd");
    let enhanced = Args::default().with("enable-predictor-enhanced-scheduling", "true");
    assert!(enhanced.clone().with("num-predictor-warmup-samples", "5").validate().unwrap().predictor.is_some());
    let wrong = enhanced.with("enable-full-mode-scheduling", "false").with("scheduling-policy", "slo");
    let wrong = wrong.with("ttft-profiling-data-path", "/nonexistent.json");
    let faults = faults(wrong);
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].starts_with("--scheduling-policy: `slo` needs full mode; supported: load-balance"));
    assert!(faults[1].starts_with("--ttft-profiling-data-path: /nonexistent.json: "));
    assert!(faults[2].starts_with("--enable-predictor-enhanced-scheduling: needs full mode"));
    let other = Args::default().with("enable-adaptive-pd", "true");
    assert_eq!(
        tests::faults(other),
        ["--enable-adaptive-pd: goes with --scheduling-policy slo, not with `load-balance`"]
    );
}

#[test]
fn a_profile_is_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"results": [{"tokens_num": 100, "p50": 20.0}]}"#).unwrap();
    let args = Args::default().with("ttft-profiling-data-path", file.path().to_str().unwrap());
    assert_eq!(args.validate().unwrap().predictor.unwrap().prefills.unwrap().at(7.0), 20.0);
    let args = Args::default().with("tpot-profiling-data-path", file.path().to_str().unwrap());
    assert!(faults(args)[0].contains("it is no profile"));
}
