use std::io::Write as _;

use clap::{Args as _, Command, FromArgMatches as _};

use super::*;
use crate::endpoints::Role;

fn neutral() -> Args {
    Args::default().with("neutral-endpoints", "a:1,b:2")
}

fn parse(argv: &[&str]) -> Args {
    let command = Args::augment_args(Command::new("gateway").no_binary_name(true));
    Args::from_arg_matches(&command.get_matches_from(argv)).unwrap()
}

fn faults(args: Args) -> Vec<String> {
    args.validate().unwrap_err().iter().map(Fault::to_string).collect()
}

fn effective<'a>(config: &'a Config, name: &str) -> &'a Effective {
    config.effective().iter().find(|setting| setting.name == name).unwrap()
}

#[test]
fn the_defaults_need_only_an_engine() {
    let config = neutral().validate().unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8089");
    assert_eq!(config.max_body_bytes, 64 << 20);
    assert!(!config.exact_token_accounting);
    assert_eq!(config.roster.serving().len(), 2);
    assert_eq!(config.injected_routing_delay, None);
}

#[test]
fn every_flag_has_its_own_name_and_variable() {
    let names: std::collections::BTreeSet<_> = flags().map(|flag| flag.name).collect();
    let variables: std::collections::BTreeSet<_> = flags().map(|flag| flag.env).collect();
    assert_eq!(names.len(), flags().count());
    assert_eq!(variables.len(), flags().count());
    for flag in flags() {
        assert_eq!(flag.env, format!("CANDOR_GATEWAY_{}", flag.name.replace('-', "_").to_uppercase()));
    }
    Args::augment_args(Command::new("gateway")).debug_assert();
}

#[test]
fn the_command_line_reaches_the_configuration() {
    let args = parse(&[
        "--prefill-endpoints=p0:1,p1:1",
        "--decode-endpoints",
        "d0:2",
        "--port",
        "0",
        "--host",
        "[::1]",
        "--exact-token-accounting",
        "--inject-routing-delay",
        "2ms",
        "--port",
        "7",
    ]);
    let config = args.validate().unwrap();
    assert_eq!(config.listen.to_string(), "[::1]:7", "the last one wins");
    assert_eq!(config.roster.prefill().len(), 2);
    assert_eq!(config.roster.serving()[0].role, Role::Decode);
    assert!(config.exact_token_accounting);
    assert_eq!(config.injected_routing_delay, Some(Duration::from_millis(2)));
    assert_eq!(effective(&config, "port").source, "flag");
    assert_eq!(effective(&config, "max-body-bytes").source, "default");
}

#[test]
fn a_boolean_can_be_said_to_be_false() {
    let args = parse(&["--neutral-endpoints", "a:1", "--exact-token-accounting=false"]);
    assert!(!args.validate().unwrap().exact_token_accounting);
}

#[test]
fn the_upstream_name_of_the_neutral_list_is_known() {
    let config = Args::default().with("llm-backend-endpoints", "a,b:81").validate().unwrap();
    let endpoints: Vec<_> = config.roster.serving().iter().map(|instance| instance.endpoint.to_string()).collect();
    assert_eq!(endpoints, ["a:80", "b:81"]);
}

#[test]
fn all_faults_are_listed_at_once() {
    let args = Args::default()
        .with("host", "nowhere")
        .with("port", "65536")
        .with("decode-endpoints", "d:1,d:1,user@x:1")
        .with("max-body-bytes", "0")
        .with("connect-timeout", "0s")
        .with("stream-idle-timeout", "soon")
        .with("exact-token-accounting", "perhaps")
        .with("llm-backend-discovery", "redis")
        .with("scheduling-policy", "dice");
    let faults = faults(args);
    let want = [
        "--host: `nowhere` is no IP address",
        "--port: `65536` is no whole number from 0 to 65535",
        "--llm-backend-discovery: `redis` is not supported yet; supported: endpoints",
        "--scheduling-policy: `dice` is not known; supported: round-robin",
        "--decode-endpoints: `d:1` is there twice",
        "--decode-endpoints: `user@x:1` is no endpoint: it should be host:port",
        "--decode-endpoints: needs --prefill-endpoints beside it; engines that do both are --neutral-endpoints",
        "--max-body-bytes: `0` is no whole number from 1 to 18446744073709551615",
        "--exact-token-accounting: `perhaps` is neither true nor false",
        "--connect-timeout: must be longer than nothing",
        "--stream-idle-timeout: `soon` is no duration, as `2ms`, `30s` or `5m` are",
    ];
    assert_eq!(faults, want);
}

#[test]
fn lists_of_engines_must_make_sense_together() {
    for (lists, want) in [
        (&[][..], "no engine is named"),
        (&["prefill-endpoints"][..], "needs --decode-endpoints"),
        (&["decode-endpoints"][..], "needs --prefill-endpoints"),
        (&["prefill-endpoints", "decode-endpoints", "neutral-endpoints"][..], "excludes"),
        (&["neutral-endpoints", "llm-backend-endpoints"][..], "another name"),
    ] {
        let args = lists.iter().fold(Args::default(), |args, list| args.with(list, "x:1"));
        let faults = faults(args);
        assert!(faults.len() == 1 && faults[0].contains(want), "{lists:?}: {faults:?}");
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn a_settings_file_lies_under_the_command_line() {
    let file = file("port: 1234\nmax-body-bytes: 17\nneutral-endpoints: [a:1, b:2]\nexact-token-accounting: true\n");
    let path = file.path().to_str().unwrap();
    let config = parse(&["--config", path, "--port", "4321"]).validate().unwrap();
    assert_eq!(config.listen.port(), 4321);
    assert_eq!(config.max_body_bytes, 17);
    assert!(config.exact_token_accounting);
    assert_eq!(config.roster.serving().len(), 2);
    assert_eq!(effective(&config, "port").source, "flag");
    assert_eq!(effective(&config, "max-body-bytes").source, "file");
    assert_eq!(effective(&config, "neutral-endpoints").value.as_deref(), Some("a:1,b:2"));
}

#[test]
fn a_settings_file_must_make_sense() {
    let unknown = file("prot: 1\nconfig: other.yaml\nport: {a: 1}\nneutral-endpoints: a:1\n");
    let path = unknown.path().to_str().unwrap();
    let faults = faults(Args::default().with("config", path));
    assert_eq!(
        faults,
        [
            "--config: the file sets `config`, which is no setting",
            "--config: `port` is neither a value nor a list of values",
            "--config: the file sets `prot`, which is no setting",
        ]
    );
    let broken = file("a: [");
    let path = broken.path().to_str().unwrap();
    assert!(neutral().with("config", path).validate().is_err());
    assert!(neutral().with("config", "/nonexistent/candor.yaml").validate().is_err());
}

#[test]
fn secrets_are_shown_nowhere() {
    let config = neutral().with("engine-api-key", "sesame").validate().unwrap();
    assert_eq!(effective(&config, "engine-api-key").value.as_deref(), Some("***"));
    assert!(!format!("{config:?}").contains("sesame"));
    let faults = faults(neutral().with("engine-api-key", "ses\u{7f}ame"));
    assert!(!faults[0].contains("ses"), "{faults:?}");
}
