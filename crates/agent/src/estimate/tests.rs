use proptest::prelude::*;

use super::*;

const PACE: Pace = Pace {
    scrape_interval: Duration::from_millis(500),
    scrape_timeout: Duration::from_secs(2),
    follow_interval: Duration::from_millis(20),
    silent_after: Duration::from_secs(5),
    hang_after: Duration::from_secs(30),
};

fn at(millis: u64) -> Moment {
    Moment::from_nanos(1 << 50) + Duration::from_millis(millis)
}

fn estimate(infer_type: InferType) -> Estimate {
    let known = Known { kv_tokens: None, max_num_batched_tokens: 1, kv_endpoint: None };
    Estimate::new(infer_type, known, PACE, at(0))
}

/// Ten requests came so far, each of 100 prompt tokens of which 40 were computed.
fn observation(running: u32, waiting: u32) -> Observation {
    Observation {
        running,
        waiting,
        usage: 0.1 * f64::from(running),
        kv_tokens: Some(10_000),
        awake: true,
        requests: 10.0,
        prompt_tokens: 1000.0,
        computed_tokens: 400.0,
        progress: 1.0,
        ..Observation::default()
    }
}

fn flight(id: &str, sent: u64, first_token: bool) -> Flight {
    Flight { id: id.into(), sent: at(sent), streaming: true, first_token }
}

#[test]
fn an_engine_that_was_never_heard_is_not_sent_to() {
    let estimate = estimate(InferType::Neutral);
    assert_eq!(estimate.fitness(at(0)), Err(Unfit::Unknown));
    assert!(!estimate.status(at(0)).schedulable);
}

#[test]
fn a_scrape_alone_gives_counts_and_estimates_tokens() {
    let mut estimate = estimate(InferType::Neutral);
    estimate.scraped(at(0), at(1), observation(2, 3));
    let status = estimate.status(at(2));
    assert!(status.schedulable);
    assert_eq!((status.num_running_requests, status.num_waiting_requests), (2, 3));
    assert_eq!((status.num_total_gpu_tokens, status.num_used_gpu_tokens), (10_000, 2000));
    assert_eq!(status.num_uncomputed_tokens_all_waiting_prefills, 3 * 40);
    assert_eq!(status.num_uncomputed_tokens_scheduler_running_prefills, 0, "not known without a sidecar");
    assert_eq!(status.scheduler_running_to_decode_requests_num, 2);
    assert_eq!(status.scheduler_running_to_decode_tokens_num, 2000);
    assert_eq!(
        (status.scheduler_waiting_to_decode_requests_num, status.scheduler_waiting_to_decode_tokens_num),
        (3, 300)
    );
    assert!(status.recent_waiting_requests.is_empty());
}

#[test]
fn a_prefill_instance_decodes_nothing() {
    let mut estimate = estimate(InferType::Prefill);
    estimate.scraped(at(0), at(1), observation(2, 3));
    let status = estimate.status(at(2));
    assert_eq!(
        (status.scheduler_running_to_decode_requests_num, status.scheduler_waiting_to_decode_requests_num),
        (0, 0)
    );
    assert_eq!((status.scheduler_running_to_decode_tokens_num, status.scheduler_waiting_to_decode_tokens_num), (0, 0));
    assert_eq!(status.num_uncomputed_tokens_all_waiting_prefills, 120);
}

#[test]
fn what_was_sent_since_the_scrape_began_is_added_and_what_ended_is_taken_off() {
    let mut estimate = estimate(InferType::Neutral);
    estimate.followed(at(0), vec![flight("old", 0, true), flight("older", 0, true)]);
    estimate.scraped(at(10), at(12), observation(2, 0));
    // One of the two ends; two more come, of which one has its first token.
    estimate.followed(at(30), vec![flight("old", 0, true), flight("new", 20, false), flight("quick", 21, true)]);
    let status = estimate.status(at(31));
    assert_eq!((status.num_running_requests, status.num_waiting_requests), (2, 1));
    assert_eq!(status.num_used_gpu_tokens, 2000 - 1000 + 100);
    assert_eq!(status.waiting_requests, ["new"]);
    assert_eq!(status.recent_waiting_requests, ["new", "old", "older", "quick"]);
    // The next scrape knows all that.
    estimate.scraped(at(40), at(41), observation(2, 1));
    let status = estimate.status(at(42));
    assert_eq!((status.num_running_requests, status.num_waiting_requests), (2, 1));
    assert_eq!(status.num_used_gpu_tokens, 2000);
    let status = estimate.status(at(2100));
    assert_eq!(status.recent_waiting_requests, ["new"], "the others are no longer recent");
}

#[test]
fn running_requests_without_a_first_token_are_being_prefilled() {
    let mut estimate = estimate(InferType::Neutral);
    let flights = vec![flight("a", 0, false), flight("b", 0, false), flight("c", 0, true)];
    estimate.followed(at(5), flights);
    estimate.scraped(at(10), at(12), observation(2, 1));
    let status = estimate.status(at(13));
    assert_eq!(status.num_uncomputed_tokens_scheduler_running_prefills, 40, "one of the two waits");
    assert_eq!(status.scheduler_running_to_decode_requests_num, 1);
    assert_eq!(status.scheduler_running_to_decode_tokens_num, 1900);
}

#[test]
fn silence_sleep_and_a_lack_of_progress_make_it_unfit_and_recovery_fit() {
    let mut estimate = estimate(InferType::Neutral);
    estimate.scraped(at(0), at(0), observation(1, 0));
    assert_eq!(estimate.fitness(at(5000)), Ok(()));
    assert_eq!(estimate.fitness(at(5001)), Err(Unfit::Silent(Duration::from_millis(5001))));
    for second in 1..=30 {
        estimate.scraped(at(second * 1000), at(second * 1000), observation(1, 0));
    }
    assert_eq!(estimate.fitness(at(30_000)), Ok(()));
    estimate.scraped(at(30_001), at(30_001), observation(1, 0));
    assert_eq!(estimate.fitness(at(30_001)), Err(Unfit::Hangs(Duration::from_millis(30_001))));
    assert!(!estimate.status(at(30_001)).schedulable);
    estimate.scraped(at(30_002), at(30_002), Observation { progress: 2.0, ..observation(1, 0) });
    assert_eq!(estimate.fitness(at(30_002)), Ok(()));
    for second in 31..100 {
        estimate.scraped(at(second * 1000), at(second * 1000), observation(0, 0));
    }
    assert_eq!(estimate.fitness(at(99_000)), Ok(()), "an engine with nothing to do does not hang");
    estimate.scraped(at(99_500), at(99_500), Observation { awake: false, ..observation(0, 0) });
    assert_eq!(estimate.fitness(at(99_500)), Err(Unfit::Asleep));
}

proptest! {
    #[test]
    fn no_number_is_negative_or_beyond_what_there_is(
        running in 0_u32..50,
        waiting in 0_u32..50,
        loading in 0_u32..50,
        usage in proptest::num::f64::ANY,
        sent in proptest::collection::vec((0_u64..40, any::<bool>(), any::<bool>()), 0..60),
        left in 0_usize..60,
    ) {
        let mut estimate = estimate(InferType::Decode);
        let mut flights: Vec<_> = sent
            .iter()
            .enumerate()
            .map(|(id, (sent, streaming, first_token))| Flight {
                id: id.to_string().into(),
                sent: at(*sent),
                streaming: *streaming,
                first_token: *first_token,
            })
            .collect();
        estimate.followed(at(18), flights.clone());
        // A reader that is handed nonsense: `Observation` lets no infinite number through, but may see any share.
        let usage = if usage.is_finite() { usage } else { 0.5 };
        estimate.scraped(at(20), at(22), Observation { loading, usage, ..observation(running, waiting) });
        flights.truncate(left);
        estimate.followed(at(41), flights);
        let status = estimate.status(at(42));
        let numbers = [
            status.num_running_requests,
            status.num_waiting_requests,
            status.scheduler_running_to_decode_requests_num,
            status.num_used_gpu_tokens,
            status.num_uncomputed_tokens_all_waiting_prefills,
            status.num_uncomputed_tokens_scheduler_running_prefills,
            status.scheduler_running_to_decode_tokens_num,
        ];
        prop_assert!(numbers.iter().all(|number| *number >= 0), "{numbers:?}");
        prop_assert!(status.num_used_gpu_tokens <= status.num_total_gpu_tokens);
        prop_assert!(status.scheduler_running_to_decode_requests_num <= status.num_running_requests);
        prop_assert!(status.num_running_requests as usize <= running as usize + sent.len());
    }
}
