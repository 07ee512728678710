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
fn anthropic_clients_get_their_own_shape() {
    let unauthorized = ApiError::new(ErrorKind::Unauthorized, "no key");
    assert_eq!(unauthorized.status(), 401);
    let shaped = String::from_utf8(unauthorized.to_json_for(Some(Api::Messages))).unwrap();
    assert_eq!(shaped, r#"{"type":"error","error":{"type":"authentication_error","message":"no key"}}"#);
    assert_eq!(unauthorized.to_json_for(Some(Api::ChatCompletions)), unauthorized.to_json());
    assert_eq!(unauthorized.to_json_for(None), unauthorized.to_json());
}

#[test]
fn every_api_has_an_error_event_that_a_meter_knows() {
    for api in Api::ALL {
        let event = refused().with_code("x").to_sse_event_for(api);
        let mut seen = 0;
        crate::sse::Scanner::default().push(&event, |event| {
            seen += 1;
            let chunk = crate::TokenMeter::new().feed(event.data);
            assert!(chunk.error && !chunk.malformed && event.event == Some(b"error"), "{api:?}");
        });
        assert_eq!(seen, 1, "{api:?}");
    }
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
