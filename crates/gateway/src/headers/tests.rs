use super::*;

fn head(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn id(fields: &[(&'static str, &str)]) -> String {
    let id = request_id(&head(fields), telemetry::clock::now());
    id.to_str().unwrap().to_owned()
}

#[test]
fn one_printable_id_is_kept() {
    let longest = "x".repeat(128);
    for value in ["a", "abc-123", "with space", longest.as_str()] {
        assert_eq!(id(&[("x-request-id", value)]), value);
    }
}

#[test]
fn any_other_id_is_replaced_by_a_new_one() {
    let too_long = "x".repeat(129);
    for fields in [
        &[][..],
        &[("x-request-id", "")],
        &[("x-request-id", too_long.as_str())],
        &[("x-request-id", "caf\u{e9}")],
        &[("x-request-id", "a"), ("x-request-id", "a")],
    ] {
        let uuid: uuid::Uuid = id(fields).parse().unwrap();
        assert_eq!(uuid.get_version_num(), 7);
    }
}

#[test]
fn new_ids_differ_and_carry_the_time() {
    assert_ne!(id(&[]), id(&[]));
    let now = telemetry::clock::now();
    let uuid: uuid::Uuid = new_request_id(now).to_str().unwrap().parse().unwrap();
    let (seconds, _) = uuid.get_timestamp().unwrap().to_unix();
    assert_eq!(seconds, now.unix_nanos() / 1_000_000_000);
}

#[test]
fn a_request_goes_on_without_what_is_not_the_clients_to_say() {
    let mut headers = head(&[
        ("host", "gateway"),
        ("content-length", "2"),
        ("connection", "keep-alive, x-private"),
        ("x-private", "1"),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("accept-encoding", "gzip"),
        ("x-prefiller-host-port", "evil:1"),
        ("x-encoder-hosts-ports", "evil:1"),
        ("x-data-parallel-host-port", "evil:1"),
        ("x-candor-elapsed-us", "1"),
        ("authorization", "Bearer x"),
        ("baggage", "a=b"),
        ("x-custom", "1"),
        ("x-custom", "2"),
    ]);
    strip_request(&mut headers);
    let mut left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    left.sort_unstable();
    assert_eq!(left, [("authorization", "Bearer x"), ("baggage", "a=b"), ("x-custom", "1"), ("x-custom", "2")]);
}

#[test]
fn event_streams_are_known_by_type_and_only_uncompressed() {
    assert!(is_event_stream(&head(&[("content-type", "text/event-stream")])));
    assert!(is_event_stream(&head(&[("content-type", "Text/Event-Stream; charset=utf-8")])));
    assert!(!is_event_stream(&head(&[("content-type", "application/json")])));
    assert!(!is_event_stream(&head(&[])));
    assert!(!is_event_stream(&head(&[("content-type", "text/event-stream"), ("content-encoding", "gzip")])));
}
