//! Scrapes of a real vLLM 0.32, and made-up ones where that had nothing to say.

use telemetry::exposition::parse;

use super::*;

fn fixture(text: &str) -> Observation {
    Observation::read(&parse(text).unwrap(), None).unwrap()
}

#[test]
fn a_real_vllm_is_read() {
    let alone = fixture(include_str!("../../tests/fixtures/metrics.txt"));
    assert_eq!(alone.dialect, Dialect::Vllm);
    assert_eq!(alone.model.as_deref(), Some("tiny"));
    assert_eq!((alone.running, alone.waiting, alone.loading, alone.usage), (0, 0, 0, 0.0));
    assert_eq!((alone.block_size, alone.kv_tokens), (Some(128), Some(4095 * 128)));
    assert!(alone.awake && alone.started.unwrap() > 1.7e9);
    assert!(alone.requests > 0.0 && alone.prompt_tokens > 0.0 && alone.progress > 0.0);
}

#[test]
fn a_real_decode_instance_computes_little_of_its_prompts() {
    let decode = fixture(include_str!("../../tests/fixtures/metrics-nixl-decode.txt"));
    assert_eq!((decode.requests, decode.prompt_tokens, decode.computed_tokens), (5.0, 2040.0, 18.0));
    assert_eq!(decode.steps, Some(60.0));
    let prefill = fixture(include_str!("../../tests/fixtures/metrics-nixl-prefill.txt"));
    assert!(prefill.computed_tokens > 100.0, "{prefill:?}");
}

#[test]
fn requests_whose_kv_is_on_its_way_do_not_wait() {
    let text = "vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_waiting{engine=\"0\"} 5\n\
                vllm:num_requests_waiting_by_reason{engine=\"0\",reason=\"capacity\"} 1\n\
                vllm:num_requests_waiting_by_reason{engine=\"0\",reason=\"deferred\"} 4\n\
                vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\nvllm:engine_sleep_state{sleep_state=\"awake\"} 0\n";
    let read = fixture(text);
    assert_eq!((read.running, read.waiting, read.loading, read.usage), (3, 1, 4, 0.25));
    assert!(!read.awake);
}

#[test]
fn a_rank_is_told_from_its_neighbours() {
    let text = "vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_running{engine=\"1\"} 4\n\
                vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\nvllm:kv_cache_usage_perc{engine=\"1\"} 0.5\n";
    let scrape = parse(text).unwrap();
    assert_eq!(Observation::read(&scrape, Some(1)).map(|read| (read.running, read.usage)), Ok((4, 0.5)));
    let error = Observation::read(&scrape, Some(2)).unwrap_err();
    assert!(error.to_string().ends_with("of rank 2"), "{error}");
}

#[test]
fn an_sglang_is_read() {
    let text = "sglang:num_running_reqs{model_name=\"m\"} 2\nsglang:num_queue_reqs{model_name=\"m\"} 3\n\
                sglang:token_usage{model_name=\"m\"} 0.5\nsglang:max_total_num_tokens{model_name=\"m\"} 1000\n\
                sglang:prompt_tokens_total{model_name=\"m\"} 900\nsglang:cached_tokens_total{model_name=\"m\"} 300\n\
                sglang:num_requests_total{model_name=\"m\"} 3\nsglang:num_decode_transfer_queue_reqs{model_name=\"m\"} 1\n";
    let read = fixture(text);
    assert_eq!((read.dialect, read.running, read.waiting, read.loading), (Dialect::Sglang, 2, 3, 1));
    assert_eq!((read.kv_tokens, read.computed_tokens), (Some(1000), 600.0));
}

#[test]
fn what_is_no_engine_is_said() {
    let error = Observation::read(&parse("up 1\n").unwrap(), None).unwrap_err();
    assert!(error.to_string().contains("vllm:num_requests_running"), "{error}");
}
