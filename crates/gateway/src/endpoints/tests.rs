use super::*;

fn parse(text: &str) -> Result<String, String> {
    text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()).map_err(|error| error.to_string())
}

#[test]
fn endpoints_are_read_with_and_without_port_and_scheme() {
    for (text, want) in [
        ("decode-0:8000", "decode-0:8000"),
        ("10.1.2.3:8000", "10.1.2.3:8000"),
        ("decode-0", "decode-0:80"),
        ("decode-0:", "decode-0:80"),
        ("[::1]:8000", "[::1]:8000"),
        ("[::1]", "[::1]:80"),
        ("http://decode-0:8000/", "decode-0:8000"),
    ] {
        assert_eq!(parse(text).as_deref(), Ok(want), "{text}");
    }
}

#[test]
fn what_is_no_endpoint_is_refused_with_its_own_text() {
    for text in
        ["", "a b:1", "user@host:1", "host:0", "host:65536", "host:port", "host/path:1", "https://host:1", ":80"]
    {
        let error = parse(text).expect_err(text);
        assert!(error.contains(&format!("`{text}`")), "{error}");
    }
}

#[test]
fn a_neutral_roster_has_nobody_to_prefill_for_others() {
    let roster = Roster::neutral(vec!["a:1".parse().unwrap(), "b:2".parse().unwrap()]);
    assert!(roster.prefill().is_empty());
    assert_eq!(roster.serving().len(), 2);
    assert_eq!(roster.serving()[1].role, Role::Neutral);
    assert_eq!(roster.serving()[1].header, "b:2");
}
