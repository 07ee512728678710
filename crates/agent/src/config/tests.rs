use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn validate(flags: &[&str]) -> Result<Config, Vec<String>> {
    let cli = Cli::try_parse_from([&["agent"], flags].concat()).unwrap();
    cli.args.validate().map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

#[test]
fn an_engine_and_a_store_are_enough() {
    let config = validate(&["--engine=http://10.0.0.1:8000", "--cms=redis://r"]).unwrap();
    assert_eq!(config.infer_type, InferType::Neutral);
    assert_eq!(config.publication.id(), "10.0.0.1:8000");
    assert_eq!(config.publication.endpoint, Some(("10.0.0.1".to_owned(), 8000)));
    assert_eq!(config.pace.hang_after, Duration::from_secs(30));
}

#[test]
fn requests_may_go_to_a_sidecar() {
    let flags = ["--engine=127.0.0.1:8200", "--cms=redis://r", "--advertise=10.0.0.1:8000", "--infer-type=decode"];
    let config =
        validate(&[&flags[..], &["--sidecar=127.0.0.1:9464", "--kv-endpoint=10.0.0.1:8998"]].concat()).unwrap();
    assert_eq!(config.publication.endpoint, Some(("10.0.0.1".to_owned(), 8000)));
    assert_eq!(config.known.kv_endpoint, Some(("10.0.0.1".to_owned(), 8998)));
    assert!(config.sidecar.is_some());
}

#[test]
fn all_faults_are_reported_together() {
    let flags =
        ["--engine=http://nowhere", "--infer-type=encoder", "--scrape-interval=0s", "--kv-endpoint=x", "--sidecar=y"];
    let faults = validate(&flags).unwrap_err();
    let expected =
        ["--engine: ", "--infer-type: ", "--sidecar: ", "--kv-endpoint: ", "--scrape-interval: ", "--cms or "];
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}");
    }
}
