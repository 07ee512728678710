use serde_json::json;

use super::*;

#[test]
fn a_request_looks_as_a_go_gateway_writes_it() {
    let text = r#"{"id":"r1","model":"m","gateway_id":"10.0.0.9:4711","scheduling_mode":"pd_staged",
        "scheduling_stage":"prefill","prompt_num_tokens":7,"prompt_token_ids":null}"#;
    let request: SchedulingRequest = serde_json::from_str(text).unwrap();
    assert_eq!(request.scheduling_mode, SchedulingMode::PdStaged);
    assert_eq!(request.scheduling_stage, Some(SchedulingStage::Prefill));
    assert_eq!(request.prompt_num_tokens, 7);
    assert!(request.prompt_token_ids.is_empty() && request.scheduling_result.is_empty());
    let written = serde_json::to_value(&request).unwrap();
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).unwrap());
}

#[test]
fn an_answer_names_instances_with_every_member() {
    let answer = SchedulingRequest {
        id: "r2".to_owned(),
        scheduling_result: vec![LlmInstance {
            version: 3,
            id: "10.0.0.1_instance0_1".to_owned(),
            model: "m".to_owned(),
            infer_type: InferType::Decode,
            endpoint: Endpoint { host: "10.0.0.1".to_owned(), port: 8000 },
            aux_ip: "10.1.0.1".to_owned(),
            aux_port: 5600,
            dp_rank: 0,
            dp_size: 1,
        }],
        ..SchedulingRequest::default()
    };
    let written = serde_json::to_value(&answer).unwrap();
    assert_eq!(
        written,
        json!({
            "id": "r2", "model": "", "scheduling_mode": "neutral", "scheduling_stage": "", "prompt_token_ids": null,
            "scheduling_result": [{
                "version": 3, "id": "10.0.0.1_instance0_1", "model": "m", "infer_type": "decode",
                "endpoint": {"host": "10.0.0.1", "port": 8000},
                "aux_ip": "10.1.0.1", "aux_port": 5600, "dp_rank": 0, "dp_size": 1,
            }],
        })
    );
    let read: SchedulingRequest = serde_json::from_value(written).unwrap();
    assert_eq!(read, answer);
    assert_eq!(
        read.placed_on(InferType::Decode).map(|instance| instance.endpoint.to_string()).unwrap(),
        "10.0.0.1:8000"
    );
    assert_eq!(read.placed_on(InferType::Prefill), None);
}

#[test]
fn what_is_not_known_is_refused_and_named() {
    let stage = serde_json::from_str::<SchedulingRequest>(r#"{"id":"r","scheduling_stage":"both"}"#).unwrap_err();
    assert!(stage.to_string().contains("both"), "{stage}");
    let mode = serde_json::from_str::<SchedulingRequest>(r#"{"id":"r","scheduling_mode":"pd"}"#).unwrap_err();
    assert!(mode.to_string().contains("pd"), "{mode}");
    assert_eq!("encoder".parse::<InferType>(), Err(UnknownInferType("encoder".to_owned())));
    assert_eq!("prefill".parse(), Ok(InferType::Prefill));
}

#[test]
fn reports_are_upstreams() {
    let text = r#"[{"kind":"prefill_done","id":"r","model":"m","infer_type":"neutral","instance_id":"i","gateway_id":"g",
        "num_tokens":12},{"kind":"state_update","id":"r","model":"m","infer_type":"decode","instance_id":"i","gateway_id":"g",
        "num_tokens":13}]"#;
    let events: Vec<ReportEvent> = serde_json::from_str(text).unwrap();
    assert_eq!(events[0].kind, ReportKind::PrefillDone);
    assert_eq!((events[1].kind, events[1].num_tokens), (ReportKind::StateUpdate, 13));
    assert_eq!(serde_json::to_value(&events).unwrap(), serde_json::from_str::<serde_json::Value>(text).unwrap());
}

#[test]
fn an_endpoint_is_written_as_an_address() {
    assert_eq!(Endpoint { host: "::1".to_owned(), port: 80 }.to_string(), "[::1]:80");
}

#[test]
fn hashes_of_the_text_are_there_only_where_the_gateway_has_them() {
    let plain = SchedulingRequest { id: "r".to_owned(), ..SchedulingRequest::default() };
    assert!(!serde_json::to_string(&plain).unwrap().contains("prompt_text"));
    let prompt_text = Some(TextBlocks { block_bytes: 256, bytes: 300, hashes: vec![u64::MAX] });
    let hashed = SchedulingRequest { prompt_text, ..plain };
    let written = serde_json::to_string(&hashed).unwrap();
    assert!(
        written.contains(r#""prompt_text":{"block_bytes":256,"bytes":300,"hashes":[18446744073709551615]}"#),
        "{written}"
    );
    assert_eq!(serde_json::from_str::<SchedulingRequest>(&written).unwrap(), hashed);
}
