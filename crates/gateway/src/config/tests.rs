use std::io::Write as _;

use clap::{Args as _, Command, FromArgMatches as _};

use super::*;
use crate::endpoints::{Role, Roster};

fn neutral() -> Args {
    open().with("neutral-endpoints", "a:1,b:2")
}

/// Arguments that let everybody in, so that a test of something else need not say who may come.
fn open() -> Args {
    Args::default().with("insecure-no-auth", "true")
}

fn parse(argv: &[&str]) -> Args {
    let command = Args::augment_args(Command::new("gateway").no_binary_name(true));
    Args::from_arg_matches(&command.get_matches_from(argv)).unwrap().with("insecure-no-auth", "true")
}

fn roster(config: &Config) -> &Roster {
    match &config.discovery {
        DiscoveryConfig::Endpoints(roster) => roster,
        DiscoveryConfig::Source(source) => panic!("{source}"),
    }
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
    assert_eq!(roster(&config).serving().len(), 2);
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
    assert_eq!(roster(&config).prefill().len(), 2);
    assert_eq!(roster(&config).serving()[0].role, Role::Decode);
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
    let config = open().with("llm-backend-endpoints", "a,b:81").validate().unwrap();
    let endpoints: Vec<_> = roster(&config).serving().iter().map(|instance| instance.endpoint.to_string()).collect();
    assert_eq!(endpoints, ["a:80", "b:81"]);
}

#[test]
fn all_faults_are_listed_at_once() {
    let args = open()
        .with("host", "nowhere")
        .with("port", "65536")
        .with("decode-endpoints", "d:1,d:1,user@x:1")
        .with("max-body-bytes", "0")
        .with("connect-timeout", "0s")
        .with("stream-idle-timeout", "soon")
        .with("exact-token-accounting", "perhaps")
        .with("llm-backend-discovery", "kubernetes")
        .with("scheduling-policy", "dice");
    let faults = faults(args);
    let want = [
        "--host: `nowhere` is no IP address",
        "--port: `65536` is no whole number from 0 to 65535",
        "--max-body-bytes: `0` is no whole number from 1 to 18446744073709551615",
        "--llm-backend-discovery: `kubernetes` is not supported yet; supported: endpoints, redis, etcd",
        "--decode-endpoints: `d:1` is there twice",
        "--decode-endpoints: `user@x:1` is no endpoint: it should be host:port",
        "--decode-endpoints: needs --prefill-endpoints beside it; engines that do both are --neutral-endpoints",
        "--scheduling-policy: `dice` is not known; supported: round-robin, load-balance, flood, slo, cache-aware, \
         power-of-two, least-latency",
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
        let args = lists.iter().fold(open(), |args, list| args.with(list, "x:1"));
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
    assert_eq!(roster(&config).serving().len(), 2);
    assert_eq!(effective(&config, "port").source, "flag");
    assert_eq!(effective(&config, "max-body-bytes").source, "file");
    assert_eq!(effective(&config, "neutral-endpoints").value.as_deref(), Some("a:1,b:2"));
}

#[test]
fn a_settings_file_must_make_sense() {
    let unknown = file("prot: 1\nconfig: other.yaml\nport: {a: 1}\nneutral-endpoints: a:1\n");
    let path = unknown.path().to_str().unwrap();
    let faults = faults(open().with("config", path));
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

#[test]
fn an_open_gateway_beyond_the_loopback_must_be_wanted() {
    let keys = file(&format!("ann:{}\n", "0".repeat(64)));
    let keys = keys.path().to_str().unwrap();
    let closed = Args::default().with("neutral-endpoints", "a:1");
    let told = faults(closed.clone());
    assert!(told.len() == 1 && told[0].starts_with("--insecure-no-auth: 0.0.0.0 is reachable"), "{told:?}");
    for args in [
        closed.clone().with("host", "127.0.0.1"),
        closed.clone().with("host", "::1"),
        closed.clone().with("api-keys-file", keys),
        closed.with("insecure-no-auth", "true"),
    ] {
        assert!(args.validate().is_ok());
    }
}

#[test]
fn files_and_origins_of_access_are_read_at_the_start() {
    let wrong = file("ann\n");
    let path = wrong.path().to_str().unwrap();
    let faults = faults(
        neutral()
            .with("api-keys-file", path)
            .with("cert-path", "/nonexistent")
            .with("cors-allow-origin", "example.com"),
    );
    let flags: Vec<_> = faults.iter().map(|fault| fault.split(':').next().unwrap()).collect();
    assert_eq!(flags, ["--api-keys-file", "--cert-path", "--cors-allow-origin"], "{faults:?}");
}

#[test]
fn extra_arguments_win_over_all_others() {
    let args =
        neutral().with("port", "1").with("extra-args", "port=2,neutral-endpoints=[x:1,y:2,z:3],engine-api-key='a,b'");
    let config = args.validate().unwrap();
    assert_eq!((config.listen.port(), roster(&config).serving().len()), (2, 3));
    assert_eq!(effective(&config, "port").source, "extra-args");
    assert_eq!(effective(&config, "extra-args").value.as_deref(), Some("***"), "they may hold secrets");
    assert_eq!(config.engine_api_key.as_ref().map(Secret::reveal), Some("a,b"));
    let told = faults(neutral().with("extra-args", "prot=1,config=x,port=1,port=2"));
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[2].contains("`port` is there twice"), "{told:?}");
    assert!(faults(neutral().with("extra-args", "port"))[0].contains("has no value"));
}

#[test]
fn a_tokenizer_is_where_its_path_says_and_nowhere_else() {
    let told = faults(neutral().with("tokenizer-name", "Qwen/Qwen3-8B").with("chat-template", "x.jinja"));
    assert!(told.len() == 2 && told.iter().all(|fault| fault.contains("needs --tokenizer-path")), "{told:?}");
    let told = faults(neutral().with("tokenizer-path", "/nonexistent").with("max-model-len", "-1"));
    assert!(told[0].starts_with("--tokenizer-path: /nonexistent/tokenizer.json"), "{told:?}");
    assert!(told[1].starts_with("--max-model-len"), "{told:?}");
}
