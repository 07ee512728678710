use super::*;

fn refused() -> ApiError {
    ApiError::new(ErrorKind::InvalidRequest, "no \"model\"\n").with_param("model")
}

#[test]
fn both_shapes_hold_the_same_error() {
    assert_eq!(
        String::from_utf8(refused().with_code("missing").to_json()).unwrap(),
        r#"{"error":{"message":"no \"model\"\u000a","type":"invalid_request_error","param":"model","code":"missing"}}"#
    );
    assert_eq!(
        String::from_utf8(ApiError::new(ErrorKind::Unavailable, "decode node is not ready").to_vllm_json()).unwrap(),
        r#"{"object":"error","message":"decode node is not ready","type":"ServiceUnavailable","param":"","code":503}"#
    );
}

#[test]
fn an_error_within_a_stream_is_one_event_that_a_meter_knows() {
    let event = refused().to_sse_event();
    let mut seen = 0;
    crate::sse::Scanner::default().push(&event, |event| {
        seen += 1;
        assert_eq!(event.event, Some(&b"error"[..]));
        assert!(crate::TokenMeter::new().feed(event.data).error);
    });
    assert_eq!(seen, 1);
}
