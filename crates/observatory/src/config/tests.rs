use clap::{Args as _, Command, FromArgMatches as _};

use super::*;

fn parse(argv: &[&str]) -> Args {
    let command = Args::augment_args(Command::new("observatory").no_binary_name(true));
    Args::from_arg_matches(&command.get_matches_from(argv)).unwrap()
}

#[test]
fn the_defaults_are_for_one_machine() {
    let config = parse(&[]).validate().unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8090");
    assert_eq!(config.limits.retention, Duration::from_secs(6 * 3600));
    assert_eq!(config.token, None);
}

#[test]
fn listening_beyond_this_machine_needs_a_token() {
    let open = "0.0.0.0:8090";
    assert_eq!(parse(&["--listen", open]).validate().unwrap_err(), [Fault::Open(open.parse().unwrap())]);
    assert_eq!(parse(&["--listen", open, "--token="]).validate().unwrap_err().len(), 1, "empty is none");
    let config = parse(&["--listen", open, "--token=sesame"]).validate().unwrap();
    assert!(!format!("{config:?}").contains("sesame"));
}

#[test]
fn targets_are_read() {
    let config =
        parse(&["--scrape=http://a:1;job=x", "--scrape", "http://b:2/m,http://c:3", "--scrape-http-sd=http://d/sd"]);
    let config = config.validate().unwrap();
    let urls: Vec<_> = config.targets.iter().map(|target| target.url()).collect();
    assert_eq!(urls, ["http://a:1/metrics", "http://b:2/m", "http://c:3/metrics"]);
    assert_eq!(config.discovery.len(), 1);
}

#[test]
fn all_faults_are_listed_at_once() {
    let args = parse(&[
        "--token=a\u{7f}",
        "--retention=1s",
        "--max-bytes=1",
        "--max-series=0",
        "--query-timeout=0s",
        "--scrape-interval=1ms",
        "--scrape-timeout=1m",
        "--query-max-samples=0",
    ]);
    assert_eq!(args.validate().unwrap_err().len(), 8);
}

#[test]
fn urls_of_other_stores_are_checked() {
    for wrong in ["prometheus:9090", "ftp://a", "http://a/?b=c", "http://"] {
        let faults = parse(&["--prometheus-url", wrong]).validate().unwrap_err();
        assert!(matches!(faults.as_slice(), [Fault::Url { flag: "prometheus-url", .. }]), "{wrong}: {faults:?}");
    }
    let config = parse(&["--tempo-url", "http://monitoring/tempo/"]).validate().unwrap();
    assert!(config.tempo.is_some() && config.prometheus.is_none());
}
