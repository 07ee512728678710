use std::time::Duration;

use pd::Protocol;

use super::{Args, Config, OnPrefillFailure, Serving};

fn valid(flags: &[&str]) -> Config {
    valid_in(flags, &[])
}

fn valid_in(flags: &[&str], environment: &[(&str, &str)]) -> Config {
    let args = Args::from_flags(flags).unwrap();
    args.validate_in(&|name| variable(environment, name)).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn faults(flags: &[&str]) -> Vec<String> {
    let args = Args::from_flags(flags).unwrap();
    let faults = args.validate_in(&|_| None).expect_err("faults");
    faults.iter().map(ToString::to_string).collect()
}

fn variable(environment: &[(&str, &str)], name: &str) -> Option<String> {
    environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

#[test]
fn the_defaults_are_those_of_the_llm_d_sidecar() {
    let config = valid(&[]);
    assert_eq!((config.port, config.decoder_port, config.ranks), (8000, 8200, 1));
    assert_eq!(config.protocol, Protocol::NixlV2);
    assert_eq!(config.serving, Serving::SelfSigned, "TLS is on");
    assert!(!config.prefill_tls.enabled && !config.decode_tls.enabled);
    assert_eq!((config.prefill_retries, config.prefill_backoff), (0, Duration::from_millis(200)));
    assert_eq!(config.max_idle_per_host, 1024);
    assert!(!config.sampling && !config.tracing && config.pool.is_none());
}

#[test]
fn and_candors_own() {
    let config = valid(&[]);
    assert_eq!(config.prefill_timeout, Duration::from_secs(300));
    assert_eq!(config.drain_timeout, Duration::from_secs(60));
    assert_eq!(config.max_body, 64 << 20);
    assert_eq!(config.metrics_port, Some(9464));
    assert_eq!(config.on_prefill_failure, OnPrefillFailure::Error);
    assert!(!config.exact_token_accounting);
}

#[test]
fn a_flag_beats_yaml_and_yaml_beats_the_environment() {
    let yaml = "--configuration={sglang-bootstrap-port: 9001, kv-connector: sglang, port: 9000, enable-tls: [decoder]}";
    let environment = [("SGLANG_BOOTSTRAP_PORT", "9002"), ("ENABLE_PREFILLER_SAMPLING", "true")];
    let config = valid_in(&[yaml, "--port=7000"], &environment);
    assert_eq!(config.port, 7000);
    assert_eq!(config.protocol, Protocol::SgLang { bootstrap_port: 9001 });
    assert!(config.decode_tls.enabled && !config.prefill_tls.enabled);
    assert!(config.sampling, "from the environment");
}

#[test]
fn yaml_is_strict_and_every_unknown_key_is_named() {
    let faults = faults(&["--configuration={prot: 1, port: 9000, por: 2, prefill-allow: 7}"]);
    let [first, second, third] = &faults[..] else { panic!("{faults:?}") };
    assert!(first.contains("`prot` is not") && second.contains("`por` is not"), "{faults:?}");
    assert!(third.starts_with("--prefill-allow: "), "{faults:?}");
}

#[test]
fn yaml_comes_from_a_file_or_from_the_command_line_not_both() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sidecar.yaml");
    std::fs::write(&path, "port: 9123\nsecure-proxy: false\n").unwrap();
    let flag = format!("--configuration-file={}", path.display());
    let config = valid(&[&flag]);
    assert_eq!((config.port, config.serving), (9123, Serving::Plain));
    assert!(faults(&[&flag, "--configuration={}"])[0].contains("together"));
    assert!(faults(&["--configuration-file=/nowhere/x.yaml"])[0].contains("cannot read"));
    assert!(faults(&["--configuration=[1]"])[0].contains("mapping"));
    assert!(faults(&["--configuration={"])[0].contains("YAML"));
}

#[test]
fn all_faults_are_listed_at_once() {
    let faults = faults(&[
        "--port=70000",
        "--kv-connector=nixl",
        "--enable-tls=prefiller,router",
        "--prefill-timeout=soon",
        "--prefill-max-retries=2",
        "--prefill-retry-backoff=0s",
        "--prefill-allow=10.0.0.0/33",
        "--on-prefill-failure=panic",
        "--tracing=maybe",
        "--cert-path=/nowhere",
    ]);
    let settings = [
        "port",
        "enable-tls",
        "prefill-retry-backoff",
        "kv-connector",
        "cert-path",
        "cert-path",
        "prefill-allow",
        "prefill-timeout",
        "on-prefill-failure",
        "tracing",
    ];
    for setting in settings {
        assert!(faults.iter().any(|fault| fault.starts_with(&format!("--{setting}: "))), "{setting}: {faults:#?}");
    }
    assert_eq!(faults.len(), settings.len(), "{faults:#?}");
    assert!(faults.iter().all(|fault| !fault.contains('\n')));
}

#[test]
fn what_is_not_built_yet_says_so() {
    for flag in [
        "--kv-connector=offloading",
        "--ec-connector=ec-nixl",
        "--enable-p2p-pull",
        "--decode-chunk-size=64",
        "--moriio-write-mode",
        "--moriio-dp-size=8",
        "--p2p-connector-port=7777",
        "--enable-tls=encoder",
        "--configuration={enable-speculative-prefill: true}",
    ] {
        let faults = faults(&[flag]);
        assert!(faults.len() == 1 && faults[0].contains("not supported yet"), "{flag}: {faults:?}");
    }
    for inert in ["--ec-connector=", "--enable-p2p-pull=false", "--decode-chunk-size=0", "--moriio-write-mode=false"] {
        valid(&[inert]);
    }
}

#[test]
fn older_names_still_work_and_are_noted() {
    let config = valid(&[
        "--vllm-port=8001",
        "--connector=lmcache",
        "--secure-proxy=false",
        "--prefiller-use-tls",
        "--decoder-use-tls=false",
        "--prefiller-tls-insecure-skip-verify=true",
        "--zap-log-level=5",
    ]);
    assert_eq!((config.decoder_port, config.protocol), (8001, Protocol::SharedStorage));
    assert_eq!(config.serving, Serving::Plain);
    assert!(config.prefill_tls.enabled && config.prefill_tls.skip_verify && !config.decode_tls.enabled);
    assert_eq!(config.warnings.len(), 4, "{:?}", config.warnings);
}

#[test]
fn ranks_must_fit_and_must_not_meet_the_engine() {
    assert!(faults(&["--port=65535", "--data-parallel-size=2"])[0].contains("no room"));
    assert!(faults(&["--data-parallel-size=0"])[0].contains("less than 1"));
    assert!(faults(&["--port=8200"])[0].contains("overlaps"));
    assert!(faults(&["--port=8198", "--data-parallel-size=4"])[0].contains("overlaps"));
    assert_eq!(valid(&["--port=8000", "--data-parallel-size=8"]).ranks, 8);
}

#[test]
fn a_pool_needs_a_name_and_an_api_server() {
    assert!(faults(&["--enable-ssrf-protection"])[0].contains("needs --inference-pool"));
    assert!(faults(&["--inference-pool=a/b/c", "--kubernetes-api=http://127.0.0.1:1"])[0].contains("a/b/c"));
    assert!(faults(&["--inference-pool=pool"])[0].contains("outside of a cluster"));
    let cluster = [("KUBERNETES_SERVICE_HOST", "10.96.0.1"), ("INFERENCE_POOL", "ns/pool")];
    let pool = valid_in(&[], &cluster).pool.unwrap();
    assert_eq!(pool.access.url, "https://10.96.0.1:443");
    assert!(valid_in(&["--enable-ssrf-protection=false"], &cluster).pool.is_none());
    let old = [("INFERENCE_POOL_NAMESPACE", "ns"), ("INFERENCE_POOL_NAME", "pool"), cluster[0]];
    assert_eq!(valid_in(&[], &old).pool.unwrap().pool, pool.pool);
}

#[test]
fn metrics_can_be_moved_and_turned_off() {
    assert_eq!(valid(&["--metrics-port=off"]).metrics_port, None);
    assert_eq!(valid(&["--metrics-port=0"]).metrics_port, Some(0));
    assert_eq!(valid_in(&[], &[("MORIIO_METRICS_ADDR", ":9999")]).metrics_port, Some(9999));
}
