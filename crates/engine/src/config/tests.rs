use super::*;
use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn validate(flags: &[&str]) -> Result<Config, Vec<String>> {
    let cli = Cli::try_parse_from([&["engine"], flags].concat()).unwrap();
    cli.args.validate().map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

#[test]
fn the_defaults_are_valid() {
    let config = validate(&[]).unwrap();
    assert_eq!(config.models, ["candor-sim"]);
    assert_eq!(config.service_name(), "vllm");
    assert_eq!(config.core.hold_timeout, Duration::from_secs(480));
    assert_eq!(config.connectors, [Connector::Nixl, Connector::Lmcache, Connector::Sglang]);
}

#[test]
fn flags_are_vllms() {
    let config = validate(&[
        "--served-model-name",
        "a",
        "b",
        "--role",
        "decode",
        "--kv-connector",
        "shared-storage",
        "--nixl-abort-timeout",
        "2",
        "--room-timeout",
        "500ms",
        "--zero-latency",
    ])
    .unwrap();
    assert_eq!(config.models, ["a", "b"]);
    assert_eq!(config.service_name(), "vllm-decode");
    assert_eq!(config.connectors, [Connector::Lmcache]);
    assert_eq!(config.core.hold_timeout, Duration::from_secs(2));
    assert_eq!(config.room_timeout, Duration::from_millis(500));
    assert_eq!(config.core.latency, Model::zero());
}

#[test]
fn all_faults_are_reported_together() {
    let faults = validate(&[
        "--block-size",
        "0",
        "--jitter",
        "2",
        "--mean-output-tokens",
        "NaN",
        "--profile",
        "/nonexistent",
        "--shared-store",
        "nowhere",
    ])
    .unwrap_err();
    assert_eq!(faults.len(), 6, "{faults:#?}");
    assert!(faults.contains(&"--jitter must be between 0 and 1, not 2".to_owned()));
    assert!(faults.iter().any(|fault| fault.contains("fewer than --max-model-len 32768")));
}

#[test]
fn a_profile_replaces_the_formula() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        r#"{"ttft": [{"tokens_num": 1, "p50": 5}], "tpot": [{"batch_size": 1, "tokens_per_request": 1, "p50": 2}]}"#,
    )
    .unwrap();
    let config = validate(&["--profile", file.path().to_str().unwrap()]).unwrap();
    assert!(matches!(config.core.latency.source, Source::Profile(_)));
}

#[test]
fn what_is_published_has_ids_of_its_own_or_the_engines() {
    let redis = "--cms=redis://127.0.0.1:6379";
    assert!(validate(&["--instance-id=a"]).unwrap().publication.is_none(), "no store, nothing to publish");
    let config = validate(&[redis, "--engine-id=e"]).unwrap();
    let publication = config.publication.unwrap();
    assert_eq!((publication.id().as_str(), publication.unit_id.as_str()), ("e", "e"));
    assert!(!publication.node_id.is_empty());
    let flags = [redis, "--discovery=etcd://a:2379,b:2379", "--instance-id=a", "--dp-rank=1", "--dp-size=2"];
    let publication = validate(&[&flags[..], &["--advertise=[::1]:80"]].concat()).unwrap().publication.unwrap();
    assert_eq!(publication.id(), "a_dp1");
    assert_eq!(publication.endpoint, Some(("::1".to_owned(), 80)));
}

#[test]
fn what_cannot_be_published_is_refused() {
    let flags = ["--cms=memory", "--discovery=ftp://a", "--advertise=nowhere", "--dp-rank=2", "--dp-size=2"];
    let faults = validate(&flags).unwrap_err();
    let expected = ["--dp-rank: 2 is not below --dp-size 2", "--cms: ", "--discovery: ", "--advertise: \"nowhere\""];
    assert_eq!(faults.len(), expected.len());
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}");
    }
}
