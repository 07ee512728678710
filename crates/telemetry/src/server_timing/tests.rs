use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::{SERVER_TIMING, ServerTiming};

#[test]
fn writes_milliseconds_with_three_decimals() {
    let timing = ServerTiming::default()
        .describe("origin", "gateway")
        .with("prefill", Some(50_123_499))
        .with("kv_transfer", None)
        .with("total", Some(999_999_600));
    assert_eq!(timing.to_header(), "origin;desc=gateway, prefill;dur=50.123, total;dur=1000.000");
}

#[test]
fn reads_what_others_write() {
    let mut headers = HeaderMap::new();
    headers.append(SERVER_TIMING, HeaderValue::from_static(r#"cache;desc="Cache, Read";dur=23.2, miss , db; dur=53"#));
    headers.append(SERVER_TIMING, HeaderValue::from_static("bad;dur=-3, worse;dur=NaN, ;dur=1, app;dur=47.2;dur=9"));
    let timing = ServerTiming::from_headers(&headers);
    assert_eq!(timing.nanos("cache"), Some(23_200_000));
    assert_eq!(timing.description("cache"), Some("Cache, Read"));
    assert_eq!(timing.nanos("db"), Some(53_000_000));
    assert_eq!(timing.nanos("app"), Some(47_200_000));
    for absent in ["miss", "bad", "worse", "nothing"] {
        assert_eq!(timing.nanos(absent), None, "{absent}");
    }
}

#[test]
fn a_trailer_completes_the_header() {
    let mut timing = ServerTiming::parse("origin;desc=gateway, prefill;dur=50.000");
    timing.merge(ServerTiming::parse("prefill;dur=50.001, total;dur=99"));
    assert_eq!(timing.to_header(), "origin;desc=gateway, prefill;dur=50.001, total;dur=99.000");
}

proptest! {
    #[test]
    fn a_duration_survives_to_the_microsecond(nanos in 0_u64..1 << 50) {
        let read = ServerTiming::parse(&ServerTiming::default().with("x", Some(nanos)).to_header());
        let back = read.nanos("x").unwrap();
        prop_assert!(back.abs_diff(nanos) <= 501, "{} {}", nanos, back);
    }

    #[test]
    fn no_value_panics(value in "[ -~]{0,60}") {
        let _ = ServerTiming::parse(&value).to_header();
    }
}
