//! The metrics, against their formulas written out by hand.

use super::*;

/// Every field a different number, so that one taken for another shows.
fn busy() -> InstanceStatus {
    InstanceStatus {
        num_waiting_requests: 1,
        num_loading_requests: 2,
        num_running_requests: 4,
        scheduler_waiting_to_decode_requests_num: 8,
        scheduler_running_to_decode_requests_num: 16,
        hybrid_scheduler_waiting_to_decode_requests_num: 32,
        num_total_gpu_tokens: 1 << 20,
        num_used_gpu_tokens: 1 << 10,
        num_uncomputed_tokens_all_waiting_prefills: 1 << 11,
        num_uncomputed_tokens_scheduler_running_prefills: 1 << 12,
        num_unallocated_tokens_scheduler_running_prefills: 1 << 13,
        num_unallocated_tokens_hybrid_scheduler_waiting_decodes: 1 << 14,
        hybrid_scheduler_waiting_to_decode_tokens_num: 1 << 15,
        scheduler_waiting_to_decode_tokens_num: 1 << 16,
        scheduler_running_to_decode_tokens_num: 1 << 17,
        num_tokens_loading_requests: 1 << 18,
        step_duration: 2.5,
        ..status("a", 1)
    }
}

fn of(metric: Metric, mode: Mode, prompt_tokens: u64) -> f64 {
    let view = view(&[(metadata("a", InferType::Neutral), busy())]);
    let account = &view.instances[0].seat.account;
    account.enter("n", InferType::Neutral, 3, at(0));
    account.enter("p", InferType::Prefill, 5, at(0));
    account.enter("d", InferType::Decode, 7, at(0));
    let wanted = InferType::Neutral;
    metric.of(&view.instances[0], &Weighing { mode, wanted, prompt_tokens, hits: None, now: at(0) })
}

#[test]
fn full_mode() {
    let (prefills, decodes) = (3.0 + 5.0, 3.0 + 7.0);
    for (metric, want) in [
        (Metric::KvCacheUsageRatioProjected, (1024.0 + 2048.0 + 8192.0 + 16384.0 + decodes) / 1_048_576.0),
        (Metric::DecodeBatchSize, 32.0 + 2.0 + 8.0 + 16.0 + 2.0),
        (Metric::NumWaitingRequests, 1.0 + 3.0),
        (Metric::AllPrefillsTokensNum, 2048.0 + 4096.0 + prefills),
        (Metric::AllDecodesTokensNum, 32768.0 + 65536.0 + 131_072.0 + 262_144.0 + decodes),
        (Metric::NumRequests, 1.0 + 2.0 + 4.0 + 3.0),
        // (2048 + 4096 + 8 + 900) tokens in steps of 1000, 2.5 ms each.
        (Metric::EstimatedLatencyMs, 8.0 * 2.5),
        (Metric::WeightedRequests, (10.0 + 1.0) * 2.5),
    ] {
        assert_eq!(of(metric, Mode::Full, 900), want, "{}", metric.as_str());
    }
}

#[test]
fn a_cache_of_unknown_size_is_full() {
    let mut unknown = busy();
    unknown.num_total_gpu_tokens = 0;
    let view = view(&[(metadata("a", InferType::Neutral), unknown)]);
    let (mode, wanted) = (Mode::Full, InferType::Neutral);
    let weighing = Weighing { mode, wanted, prompt_tokens: 0, hits: None, now: at(0) };
    let ratio = Metric::KvCacheUsageRatioProjected.of(&view.instances[0], &weighing);
    assert_eq!(ratio, f64::from(f32::MAX));
}

#[test]
fn names_are_upstreams_and_unique() {
    for metric in Metric::ALL {
        assert_eq!(Metric::parse(metric.as_str()), Ok(metric));
    }
    assert!(Metric::parse("adaptive_decode_batch_size").unwrap_err().contains("not supported yet"));
    assert!(Metric::parse("tpot").unwrap_err().contains("not known"));
}
