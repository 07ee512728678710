//! What each leg says, against the facts about the engines, and that nothing else of the client's body changes.

#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use openai::{Api, Body};
use pd::bootstrap::Engines;
use pd::{CachedTokens, Concurrent, Handover, Meeting, Peer, Plan, PlanError, Protocol, Room, Serial, hosts};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const SGLANG: Protocol = Protocol::SgLang { bootstrap_port: 8998 };

fn body(text: &str) -> Body {
    Body::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn peer() -> Peer {
    Peer::new("10.0.0.7").with_kv_address("10.0.0.8", 28000)
}

fn serial<'a>(protocol: Protocol, api: Api, body: &'a Body) -> Serial<'a> {
    match protocol.plan(api, body, &peer(), None).unwrap() {
        Plan::Serial(serial) => serial,
        other => panic!("{protocol} is serial, not {other:?}"),
    }
}

fn concurrent(body: &Body, host: &str, room: Room) -> Concurrent {
    match SGLANG.plan(Api::ChatCompletions, body, &Peer::new(host), Some(&Meeting::Room(room))).unwrap() {
        Plan::Concurrent(concurrent) => concurrent,
        other => panic!("sglang is concurrent, not {other:?}"),
    }
}

/// The response of a real vLLM 0.32 prefill instance, shortened in its choices.
const PREFILLED: &str = r#"{"id":"cmpl-1","choices":[],"usage":{"prompt_tokens":402,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":384}},"kv_transfer_params":{"do_remote_prefill":true,"do_remote_decode":false,"remote_block_ids":[[1,2, 3]],"remote_engine_id":"d3f3be17","remote_request_id":"cmpl-1-0","remote_host":"127.0.0.1","remote_port":5600,"tp_size":1,"remote_blocks_expiry_time":1.50e3,"transfer_mode":"pull"}}"#;
const PARAMS: &str = r#"{"do_remote_prefill":true,"do_remote_decode":false,"remote_block_ids":[[1,2, 3]],"remote_engine_id":"d3f3be17","remote_request_id":"cmpl-1-0","remote_host":"127.0.0.1","remote_port":5600,"tp_size":1,"remote_blocks_expiry_time":1.50e3,"transfer_mode":"pull"}"#;

fn prefilled(serial: &Serial<'_>) -> Handover {
    serial.handover(Bytes::from_static(PREFILLED.as_bytes()), &peer()).unwrap()
}

#[test]
fn a_nixl_prefill_has_all_six_fields_and_asks_for_one_token() {
    let client = body(
        r#"{"model":"m","prompt":"p","stream":true,"stream_options":{"include_usage":true},"max_tokens":100,"min_tokens":7,"seed":12345678901234567890}"#,
    );
    let prefill = value(&serial(Protocol::NixlV2, Api::Completions, &client).prefill());
    assert_eq!(
        prefill["kv_transfer_params"],
        json!({"do_remote_decode": true, "do_remote_prefill": false, "remote_engine_id": null,
               "remote_block_ids": null, "remote_host": null, "remote_port": null})
    );
    for (name, expected) in [("stream", json!(false)), ("max_tokens", json!(1)), ("min_tokens", json!(1))] {
        assert_eq!(prefill[name], expected, "{name}");
    }
    assert_eq!(prefill["max_completion_tokens"], json!(1), "set although the client did not");
    assert!(prefill.get("stream_options").is_none());
    assert_eq!(prefill["seed"].as_u64(), Some(12_345_678_901_234_567_890));
}

#[test]
fn a_minimum_that_one_token_satisfies_is_left_alone() {
    for minimum in ["0", "1"] {
        let client = body(&format!(r#"{{"prompt":"p","min_tokens":{minimum}}}"#));
        let prefill = value(&serial(Protocol::NixlV2, Api::Completions, &client).prefill());
        assert_eq!(prefill["min_tokens"].to_string(), minimum);
    }
    let client = body(r#"{"prompt":"p"}"#);
    assert!(value(&serial(Protocol::NixlV2, Api::Completions, &client).prefill()).get("min_tokens").is_none());
}

#[test]
fn each_api_keeps_its_limits_where_it_has_them() {
    let client = body(r#"{"input":"x"}"#);
    let responses = value(&serial(Protocol::NixlV2, Api::Responses, &client).prefill());
    assert_eq!(responses["max_output_tokens"], json!(1));
    assert!(responses.get("max_tokens").is_none());

    let client = body(r#"{"token_ids":[1],"sampling_params":{"temperature":0.50,"max_tokens":9,"min_tokens":3}}"#);
    let plan = serial(Protocol::NixlV2, Api::Generate, &client);
    let sampling = &value(&plan.prefill())["sampling_params"];
    assert_eq!((&sampling["max_tokens"], &sampling["min_tokens"]), (&json!(1), &json!(1)));
    let decode = plan.decode(&prefilled(&plan));
    let text = std::str::from_utf8(&decode).unwrap();
    assert!(text.contains(r#""sampling_params":{"temperature":0.50,"max_tokens":9,"min_tokens":3}"#), "{text}");

    let client = body(r#"{"token_ids":[1]}"#);
    let plan = serial(Protocol::NixlV2, Api::Generate, &client);
    assert_eq!(value(&plan.prefill())["sampling_params"], json!({"max_tokens": 1}));
    assert!(value(&plan.decode(&prefilled(&plan))).get("sampling_params").is_none());
}

#[test]
fn what_the_prefill_hands_over_reaches_the_decoder_byte_for_byte() {
    let client = body(r#"{"prompt":"p", "stream" : true,"max_tokens":1e2}"#);
    let plan = serial(Protocol::NixlV2, Api::Completions, &client);
    let handover = prefilled(&plan);
    assert_eq!(handover.cached_tokens(), Some(384));
    let expected = format!(r#"{{"prompt":"p", "stream" : true,"max_tokens":1e2,"kv_transfer_params":{PARAMS}}}"#);
    assert_eq!(plan.decode(&handover), expected);
}

#[test]
fn a_prefill_that_names_no_blocks_leaves_the_decoder_to_compute() {
    let client = body(r#"{"prompt":"p"}"#);
    let plan = serial(Protocol::NixlV2, Api::Completions, &client);
    for silent in [r#"{"choices":[]}"#, r#"{"choices":[],"kv_transfer_params":null}"#] {
        let handover = plan.handover(Bytes::from_static(silent.as_bytes()), &peer()).unwrap();
        assert!(!handover.names_blocks());
        assert_eq!(value(&plan.decode(&handover))["kv_transfer_params"], Value::Null);
        assert_eq!(plan.release(&handover), None, "nothing is held");
    }
    assert!(plan.handover(Bytes::from_static(b"<html>"), &peer()).is_err());
}

#[test]
fn a_release_asks_for_one_token_of_the_held_blocks() {
    let client = body(r#"{"prompt":"p","stream":true,"stream_options":{},"max_tokens":500,"min_tokens":400}"#);
    let plan = serial(Protocol::NixlV2, Api::Completions, &client);
    let release = plan.release(&prefilled(&plan)).unwrap();
    let release = value(&release);
    assert_eq!(release["kv_transfer_params"], value(PARAMS.as_bytes()));
    assert_eq!((&release["max_tokens"], &release["min_tokens"]), (&json!(1), &json!(1)));
    assert_eq!(release["stream"], json!(false));
    assert!(release.get("stream_options").is_none());
}

#[test]
fn a_shared_store_needs_no_params_and_tries_the_decoder_first_when_asked() {
    let client =
        body(r#"{"prompt":"p","stream":true,"max_tokens":9,"min_tokens":5,"kv_transfer_params":{"remote_host":"x"}}"#);
    let plan = serial(Protocol::SharedStorage, Api::Completions, &client);
    assert_eq!(plan.decode_first(), None);
    assert!(!plan.reads_prefill());
    let prefill = value(&plan.prefill());
    assert_eq!(
        prefill,
        json!({"prompt":"p","stream":true,"max_tokens":1,"min_tokens":1,"max_completion_tokens":1,"cache_hit_threshold":0})
    );
    let decode = plan.decode(&plan.handover(Bytes::from_static(b"data: [DONE]\n\n"), &peer()).unwrap());
    assert_eq!(decode, r#"{"prompt":"p","stream":true,"max_tokens":9,"min_tokens":5,"cache_hit_threshold":0}"#);

    let client = body(r#"{"prompt":"p","cache_hit_threshold":0.80}"#);
    let plan = serial(Protocol::SharedStorage, Api::Completions, &client);
    assert_eq!(plan.decode_first().unwrap(), client.bytes());
    assert_eq!(value(&plan.prefill())["cache_hit_threshold"], json!(0));
    assert_eq!(value(&plan.decode(&Handover::default()))["cache_hit_threshold"], json!(0));
}

#[test]
fn both_sglang_legs_meet_in_a_room_that_the_client_does_not_choose() {
    let client =
        body(r#"{"bootstrap_room":7,"stream":true,"bootstrap_host":"evil","max_tokens":50,"bootstrap_port":1}"#);
    let room = Room::random();
    let legs = concurrent(&client, "fd00::7", room);
    assert_eq!(legs.prefill, legs.decode);
    assert_eq!(
        value(&legs.decode),
        json!({"stream":true,"max_tokens":50,"bootstrap_host":"fd00::7","bootstrap_port":8998,"bootstrap_room":room.number()})
    );
}

#[test]
fn rooms_are_positive_fit_63_bits_and_do_not_repeat() {
    let rooms: std::collections::HashSet<u64> = (0..10_000).map(|_| Room::random().number()).collect();
    assert_eq!(rooms.len(), 10_000);
    assert!(rooms.iter().all(|room| (1..1 << 62).contains(room)));
    // Not a counter and not a clock: the high bits move too.
    let high: std::collections::HashSet<u64> = rooms.iter().map(|room| room >> 52).collect();
    assert!(high.len() > 500, "{} different high parts", high.len());
}

#[test]
fn members_that_name_hosts_never_pass() {
    let hostile = [
        r#"{"kv_transfer_params":{"remote_host":"169.254.169.254"},"prompt":"p"}"#,
        r#"{"prompt":"p","kv_transfer_\u0070arams":{"remote_host":"h"}}"#,
        r#"{"ec_transfer_params":{},"bootstrap_host":"h","bootstrap_port":1,"prompt":"p","bootstrap_room":2}"#,
        r#"{"kv_transfer_params":1,"prompt":"p","kv_transfer_params":{"remote_host":"h"}}"#,
    ];
    for text in hostile {
        assert!(hosts::suspicious(text.as_bytes()), "{text}");
        assert_eq!(value(&hosts::strip(&body(text))), json!({"prompt":"p"}), "{text}");
    }
    let nested = body(
        r#"{"vllm_xargs":{"a":1,"kv_transfer_params":{}},"sampling_params":{"n":1,"extra_args":{"b":2,"kv_transfer_params":{}}}}"#,
    );
    assert_eq!(
        value(&hosts::strip(&nested)),
        json!({"vllm_xargs":{"a":1},"sampling_params":{"n":1,"extra_args":{"b":2}}})
    );
    let utf16: Vec<u8> = r#"{"bootstrap_host":"h"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(hosts::suspicious(&utf16));
    let innocent = body(r#"{"prompt":"about kv_transfer_params and \u00e9"}"#);
    assert_eq!(hosts::strip(&innocent), innocent.bytes());
}

#[test]
fn the_cached_tokens_are_those_of_the_prefill() {
    let client = body(r#"{"prompt":"p"}"#);
    let plan = serial(Protocol::NixlV2, Api::Completions, &client);
    let known = CachedTokens::of(&prefilled(&plan));
    let decoder =
        Bytes::from_static(br#"{"usage":{"prompt_tokens":402,"prompt_tokens_details":{"cached_tokens":401}}}"#);
    assert_eq!(
        known.correct(&decoder).unwrap(),
        r#"{"usage":{"prompt_tokens":402,"prompt_tokens_details":{"cached_tokens":384}}}"#
    );
    let silent = Bytes::from_static(br#"{"usage":{"prompt_tokens":402}}"#);
    assert_eq!(value(&known.correct(&silent).unwrap())["usage"]["prompt_tokens_details"]["cached_tokens"], json!(384));

    let unknown = CachedTokens::of(&Handover::default());
    assert_eq!(unknown.correct(&silent), None);
    assert_eq!(value(&unknown.correct(&decoder).unwrap())["usage"]["prompt_tokens_details"]["cached_tokens"], json!(0));
    assert_eq!(known.correct(&Bytes::from_static(b"[DONE]")), None);
    assert_eq!(known.correct(&Bytes::from_static(br#"{"choices":[]}"#)), None);
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A client's body: members of its own, mixed with those that plans touch.
fn client_body() -> impl Strategy<Value = Map<String, Value>> {
    let names = prop_oneof![
        3 => "[a-z_]{1,10}",
        1 => Just("kv_transfer_params".to_owned()),
        1 => Just("bootstrap_room".to_owned()),
        1 => Just("max_tokens".to_owned()),
        1 => Just("min_tokens".to_owned()),
        1 => Just("stream".to_owned()),
        1 => Just("stream_options".to_owned()),
        1 => Just("sampling_params".to_owned()),
    ];
    proptest::collection::hash_map(names, json_value(), 0..10).prop_map(|map| map.into_iter().collect())
}

const HOST_MEMBERS: [&str; 6] = [
    "kv_transfer_params",
    "ec_transfer_params",
    "bootstrap_host",
    "bootstrap_port",
    "bootstrap_room",
    "bootstrap_pair_key",
];

/// `map` without members that name hosts and without those in `planned`.
fn rest(map: &Map<String, Value>, planned: &[&str]) -> Map<String, Value> {
    let mut rest = map.clone();
    rest.retain(|name, _| !HOST_MEMBERS.contains(&name.as_str()) && !planned.contains(&name.as_str()));
    rest
}

proptest! {
    #[test]
    fn a_decode_leg_is_the_clients_body_except_for_planned_members(map in client_body()) {
        let text = Value::Object(map.clone()).to_string();
        let client = body(&text);
        for (protocol, planned) in [(Protocol::NixlV2, vec![]), (Protocol::SharedStorage, vec!["cache_hit_threshold"])] {
            let plan = serial(protocol, Api::ChatCompletions, &client);
            let decode = value(&plan.decode(&prefilled(&plan)));
            prop_assert_eq!(rest(decode.as_object().unwrap(), &planned), rest(&map, &planned));
        }
        let legs = concurrent(&client, "h", Room::random());
        prop_assert_eq!(rest(value(&legs.decode).as_object().unwrap(), &[]), rest(&map, &[]));
        let alone = value(&hosts::strip(&client));
        prop_assert_eq!(alone.as_object().unwrap(), &rest(&map, &[]));
    }

    #[test]
    fn a_prefill_leg_differs_in_limits_and_streaming_alone(map in client_body()) {
        let client = body(&Value::Object(map.clone()).to_string());
        let prefill = value(&serial(Protocol::NixlV2, Api::ChatCompletions, &client).prefill());
        let planned = ["max_tokens", "max_completion_tokens", "min_tokens", "stream", "stream_options"];
        prop_assert_eq!(rest(prefill.as_object().unwrap(), &planned), rest(&map, &planned));
    }
}

#[test]
fn mooncake_legs_name_one_transfer_and_only_the_prefill_is_for_one_token() {
    let client = body(
        r#"{"prompt":"p","stream":true,"stream_options":{},"max_tokens":9,"kv_transfer_params":{"remote_host":"evil"}}"#,
    );
    let protocol = Protocol::Mooncake { bootstrap_port: 8998 };
    let engines = Engines::parse(br#"{"3":{"engine_id":"e-3"}}"#).unwrap();
    let meeting = Meeting::Transfer(engines.transfer("[fd00::7]:8998"));
    let Plan::Concurrent(legs) = protocol.plan(Api::Completions, &client, &peer(), Some(&meeting)).unwrap() else {
        panic!("mooncake is concurrent");
    };
    let (prefill, decode) = (value(&legs.prefill), value(&legs.decode));
    let id = prefill["kv_transfer_params"]["transfer_id"].clone();
    assert!(id.as_str().unwrap().starts_with("xfer-"));
    assert_eq!(
        prefill,
        json!({"prompt":"p","stream":false,"max_tokens":1,"max_completion_tokens":1,
            "kv_transfer_params":{"do_remote_decode":true,"do_remote_prefill":false,"transfer_id":id}})
    );
    assert_eq!(
        decode,
        json!({"prompt":"p","stream":true,"stream_options":{},"max_tokens":9,
            "kv_transfer_params":{"do_remote_decode":false,"do_remote_prefill":true,"transfer_id":id,
                "remote_bootstrap_addr":"http://[fd00::7]:8998","remote_engine_id":"e-3"}})
    );
    assert_eq!(legs.rank, Some(3));
    assert_eq!(protocol.plan(Api::Completions, &client, &peer(), None).unwrap_err(), PlanError::NoMeeting("mooncake"));
}

#[test]
fn kvt_sends_the_decoder_to_the_prefill_instances_connector() {
    let client = body(r#"{"prompt":"p","stream":true}"#);
    let batch = Protocol::Kvt { staged: false };
    let Plan::Decode(decode) = batch.plan(Api::Completions, &client, &peer(), None).unwrap() else {
        panic!("a decode leg alone");
    };
    let expected =
        r#"{"prompt":"p","stream":true,"kv_transfer_params":{"remote_host":"10.0.0.8","remote_port":28000}}"#;
    assert_eq!(decode, expected);
    let nowhere = batch.plan(Api::Completions, &client, &Peer::new("10.0.0.7"), None);
    assert_eq!(nowhere.unwrap_err(), PlanError::NoKvAddress);
}

#[test]
fn a_staged_kvt_prefill_is_found_by_address() {
    let client = body(r#"{"prompt":"p","stream":true,"max_tokens":7}"#);
    let plan = serial(Protocol::Kvt { staged: true }, Api::Completions, &client);
    let prefill = value(&plan.prefill());
    assert_eq!(
        prefill,
        json!({"prompt":"p","stream":false,"max_tokens":1,"max_completion_tokens":1,"kv_transfer_params":{"do_remote_decode":true}})
    );
    let handover = plan.handover(Bytes::from_static(br#"{"usage":{"prompt_tokens":3}}"#), &peer()).unwrap();
    let expected = json!({"do_remote_prefill":true,"remote_host":"10.0.0.8","remote_port":28000});
    assert_eq!(value(&plan.decode(&handover))["kv_transfer_params"], expected);
    assert_eq!(value(&plan.release(&handover).unwrap())["kv_transfer_params"], expected);
}
