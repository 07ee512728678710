use super::*;

fn prepared(text: &'static str, exact: bool) -> Prepared {
    read(Api::ChatCompletions, text, exact).unwrap()
}

fn read(api: Api, text: &'static str, exact: bool) -> Result<Prepared, BodyError> {
    let body = parse(Bytes::from_static(text.as_bytes()))?;
    prepare(api, &body, PromptTokens::of(&body), exact)
}

fn text(prepared: &Prepared) -> &str {
    std::str::from_utf8(&prepared.body).unwrap()
}

#[test]
fn a_request_without_a_stream_goes_on_byte_for_byte() {
    let body = "{ \"model\" : \"tiny\", \"temperature\":1.0e0, \"temperature\":0.5,\n\"messages\":[] }";
    let prepared = prepared(body, true);
    assert_eq!(text(&prepared), body);
    assert_eq!(prepared.model.as_deref(), Some("tiny"));
    assert!(!prepared.stream);
    assert_eq!(prepared.hide, HideUsage::default());
}

#[test]
fn a_stream_is_asked_for_usage_which_is_then_hidden() {
    let prepared = prepared(r#"{"model":"tiny","stream":true}"#, false);
    assert_eq!(text(&prepared), r#"{"model":"tiny","stream":true,"stream_options":{"include_usage":true}}"#);
    assert_eq!(prepared.hide, HideUsage { last: true, continuous: false });
}

#[test]
fn a_client_that_asked_for_usage_itself_gets_what_it_asked_for() {
    let body = r#"{"stream":true,"stream_options":{"include_usage":true}}"#;
    let prepared = prepared(body, false);
    assert_eq!(text(&prepared), body);
    assert_eq!(prepared.hide, HideUsage::default());
}

#[test]
fn an_explicit_no_is_overruled_in_place() {
    let prepared = prepared(r#"{"stream":true,"stream_options":{"include_usage":false,"x":1},"z":0}"#, false);
    assert_eq!(text(&prepared), r#"{"stream":true,"stream_options":{"include_usage":true,"x":1},"z":0}"#);
    assert!(prepared.hide.last);
}

#[test]
fn exact_accounting_asks_for_a_running_count() {
    let prepared = prepared(r#"{"stream":true,"stream_options":{"include_usage":true}}"#, true);
    assert_eq!(
        text(&prepared),
        r#"{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}"#
    );
    assert_eq!(prepared.hide, HideUsage { last: false, continuous: true });
}

#[test]
fn members_that_name_hosts_are_removed() {
    let body = r#"{"a":1,"kv_transfer_params":{"remote_host":"evil"},"bootstrap_host":"evil","bootstrap_port":1,"bootstrap_room":2,"ec_transfer_params":{},"z":0}"#;
    let prepared = prepared(body, false);
    assert_eq!(text(&prepared), r#"{"a":1,"z":0}"#);
}

#[test]
fn what_is_wrong_is_said_with_its_offset() {
    for (body, want) in [
        ("{\"a\":", "byte 5"),
        ("[]", "byte 0"),
        ("", "byte 0"),
        ("{\"model\":7}", "byte 9"),
        ("{\"stream\":\"yes\"}", "byte 10"),
        ("{\"stream_options\":[]}", "byte 18"),
    ] {
        let error = read(Api::Completions, body, false).unwrap_err();
        assert!(error.to_string().contains(want), "{body}: {error}");
    }
}
