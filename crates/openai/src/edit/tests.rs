use bytes::Bytes;

use crate::{Api, Body};

fn body(text: &'static str) -> Body {
    Body::parse(Bytes::from_static(text.as_bytes())).unwrap()
}

#[test]
fn untouched_text_stays_as_it_is() {
    let request = body("\n{ \"seed\" : 9007199254740993 ,\n  \"t\":1.0e0,\"stream\": true , \"p\":\"\\u00e4\" }\n");
    let edited = request.edit().set("stream", b"false").remove("t").set("max_tokens", b"1").build();
    assert_eq!(edited, "\n{ \"seed\" : 9007199254740993 ,\"stream\": false , \"p\":\"\\u00e4\" ,\"max_tokens\":1}\n");
}

#[test]
fn an_edit_without_changes_is_the_same_memory() {
    let request = body(r#"{ "a" : 1 }"#);
    assert_eq!(request.edit().build().as_ptr(), request.bytes().as_ptr());
    assert_eq!(request.edit().remove("b").build(), r#"{ "a" : 1 }"#);
    assert_eq!(body("{ }").edit().remove("b").build(), "{ }");
    assert_eq!(body("{ }").edit().set("b", b"1").build(), r#"{"b":1}"#);
}

#[test]
fn no_spelling_of_a_name_survives_its_removal() {
    let request = body(
        r#"{"kv_transfer_params":1,"a":2,"kv_transfer\u005fparams":{"remote_host":"x"},"\u006bv_transfer_params":3}"#,
    );
    assert_eq!(request.edit().remove("kv_transfer_params").build(), r#"{"a":2}"#);
    assert_eq!(request.edit().set("kv_transfer_params", b"{}").build(), r#"{"a":2,"\u006bv_transfer_params":{}}"#);
}

#[test]
fn a_parent_is_created_where_it_is_missing_or_no_object() {
    let [path, _] = Api::Generate.token_limits() else { panic!("two limits") };
    for text in ["{}", r#"{"sampling_params":null}"#, r#"{"sampling_params":[1]}"#] {
        assert_eq!(body(text).edit().set_at(*path, b"1").build(), r#"{"sampling_params":{"max_tokens":1}}"#);
    }
    let some = body(r#"{"sampling_params": {"top_p": 0.90 } }"#);
    assert_eq!(some.edit().set_at(*path, b"1").build(), r#"{"sampling_params": {"top_p": 0.90 ,"max_tokens":1} }"#);
    assert_eq!(some.edit().remove_in("sampling_params", "top_p").build(), r#"{"sampling_params": {} }"#);
    assert_eq!(some.edit().remove_in("other", "x").build(), some.bytes());
}

#[test]
fn a_later_change_overrides_an_earlier_one() {
    let request = body(r#"{"a":{"x":1}}"#);
    assert_eq!(request.edit().set_in("a", "x", b"2").remove("a").build(), "{}");
    assert_eq!(request.edit().remove("a").set_in("a", "y", b"2").build(), r#"{"a":{"y":2}}"#);
    assert_eq!(request.edit().set("a", br#"{"z":3}"#).set_in("a", "y", b"2").build(), r#"{"a":{"z":3,"y":2}}"#);
}

#[test]
fn a_decode_leg_gets_its_members_back() {
    let client = body(r#"{"stream" : true,"stream_options":{"include_usage":true},"max_tokens":100.0}"#);
    let prefill = client
        .edit()
        .set("stream", b"false")
        .remove("stream_options")
        .set("max_tokens", b"1")
        .set("max_completion_tokens", b"1");
    let prefill = Body::parse(prefill.build()).unwrap();
    assert_eq!(prefill.bytes(), r#"{"stream" : false,"max_tokens":1,"max_completion_tokens":1}"#);
    let names = ["stream", "stream_options", "max_tokens", "max_completion_tokens"];
    let decode = names.iter().fold(prefill.edit(), |edit, name| edit.restore(name, &client)).build();
    assert_eq!(decode, r#"{"stream" : true,"max_tokens":100.0,"stream_options":{"include_usage":true}}"#);
}

#[test]
fn a_name_with_special_characters_is_escaped() {
    assert_eq!(body("{}").edit().set("a\"\\\n", b"1").build(), r#"{"a\"\\\u000a":1}"#);
}
