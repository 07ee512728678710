use telemetry::exposition;

use super::{Endpoint, Scrape};

fn scrape(pages: &[&str]) -> Scrape {
    let mut scrape = Scrape::default();
    for page in pages {
        scrape.add(exposition::parse(page).expect("an exposition"));
    }
    scrape
}

const BEFORE: &str =
    "request_total{model=\"a\",status_code=\"200\"} 5\nt_sum{model=\"a\"} 10\nt_count{model=\"a\"} 2\n";
const AFTER: &str = "request_total{model=\"a\",status_code=\"200\"} 9\nrequest_total{model=\"b\",status_code=\"200\"} 1\n\
     request_total{model=\"b\",status_code=\"503\"} 2\nt_sum{model=\"a\"} 25.5\nt_count{model=\"a\"} 5\n";

#[test]
fn growth_is_counted_from_the_scrape_before() {
    let delta = scrape(&[AFTER]).since(&scrape(&[BEFORE]));
    assert_eq!(delta.counter("request_total", &[("status_code", "200")]), Some(5.0));
    assert_eq!(delta.counter("request_total", &[("model", "b"), ("status_code", "503")]), Some(2.0));
    assert_eq!(delta.counter("request_total", &[("status_code", "404")]), Some(0.0));
    assert_eq!(delta.counter("nobody_exposes_this", &[]), None);
    assert_eq!(delta.histogram("t"), Some((15.5, 3.0)));
    let grown: Vec<String> = delta.values_of("request_total", "status_code").into_iter().collect();
    assert_eq!(grown, ["200", "503"]);
}

#[test]
fn series_of_several_processes_are_added_up() {
    let delta = scrape(&[AFTER, AFTER]).since(&Scrape::default());
    assert_eq!(delta.counter("request_total", &[]), Some(24.0));
}

#[test]
fn an_endpoint_without_a_path_is_slash_metrics() {
    assert_eq!(Endpoint::at("http://127.0.0.1:9464").expect("a URL").path, "/metrics");
    assert_eq!(Endpoint::at("http://127.0.0.1:9464/m").expect("a URL").path, "/m");
    assert!(Endpoint::at("ftp://127.0.0.1").is_err());
}
