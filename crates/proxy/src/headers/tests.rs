use super::*;

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).fold(
        HeaderMap::new(),
        |mut map, (name, value)| {
            map.append(name, value);
            map
        },
    )
}

#[test]
fn drops_the_fields_of_one_hop_and_no_other() {
    let mut map = headers(&[
        ("connection", "close, X-Private"),
        ("connection", "x-more"),
        ("x-private", "1"),
        ("x-more", "2"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("expect", "100-continue"),
        ("trailer", "server-timing"),
        ("content-length", "3"),
        ("traceparent", "00-1-2-01"),
    ]);
    strip_hop_by_hop(&mut map);
    let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["content-length", "traceparent", "trailer"]);
}

#[test]
fn connection_cannot_name_what_the_message_needs() {
    let mut map = headers(&[
        ("connection", "host, content-length, authorization, content-type"),
        ("host", "x"),
        ("content-length", "3"),
        ("authorization", "Bearer k"),
        ("content-type", "application/json"),
    ]);
    strip_hop_by_hop(&mut map);
    assert_eq!(map.len(), 4);
}

#[test]
fn nonsense_in_connection_is_harmless() {
    let mut map = headers(&[("connection", ",, (?) ,"), ("x", "1")]);
    map.append(header::CONNECTION, HeaderValue::from_bytes(b"\xff").unwrap());
    strip_hop_by_hop(&mut map);
    assert_eq!(map.len(), 1);
}

#[test]
fn trailers_are_accepted_by_te_alone() {
    assert!(accepts_trailers(&headers(&[("te", "gzip;q=0.5, Trailers")])));
    assert!(!accepts_trailers(&headers(&[("te", "gzip"), ("trailer", "x")])));
    assert!(!accepts_trailers(&HeaderMap::new()));
}
