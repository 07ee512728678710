use super::hash::BlockChain;
use super::latency::{Formula, Model, Source, Transfer};
use super::*;
use proptest::prelude::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn config() -> Config {
    let formula = Formula {
        prefill_base: ms(50),
        prefill_per_token: Duration::ZERO,
        decode_step: ms(10),
        decode_per_sequence: Duration::ZERO,
    };
    Config {
        block_size: 4,
        blocks: 33,
        max_num_seqs: 4,
        max_num_batched_tokens: 64,
        prefix_caching: true,
        hold_timeout: ms(1_000),
        latency: Model { source: Source::Formula(formula), ..Model::zero() },
        seed: 7,
    }
}

fn prompt(seed: u32, len: u32) -> BlockChain {
    chain(0, (0..len).map(|i| seed * 1_000 + i))
}

fn chain(salt: u64, tokens: impl Iterator<Item = TokenId>) -> BlockChain {
    let mut chain = BlockChain::new(4, salt);
    chain.extend(tokens);
    chain
}

fn spec(seed: u32, len: u32, max_tokens: u32) -> Spec {
    Spec::new(prompt(seed, len), u64::from(seed), max_tokens)
}

/// A core with its time and what came out of it.
struct Bench {
    core: Core,
    now: Duration,
    outputs: Vec<(Duration, Output)>,
}

impl Bench {
    fn new(config: Config) -> Self {
        Self { core: Core::new(config), now: Duration::ZERO, outputs: Vec::new() }
    }

    fn add(&mut self, id: RequestId, spec: &Spec) {
        self.core.add(id, spec.clone(), self.now);
    }

    /// Runs one step to its end; false when there was nothing to run.
    fn step(&mut self) -> bool {
        let step = self.core.schedule(self.now);
        if let Some(step) = step {
            self.now += step.duration;
            self.core.complete(self.now);
        }
        self.collect();
        step.is_some()
    }

    fn run(&mut self) {
        while self.step() {
            assert!(self.outputs.len() < 100_000, "the core never comes to rest");
        }
    }

    fn collect(&mut self) {
        let now = self.now;
        self.outputs.extend(self.core.take_outputs().into_iter().map(|output| (now, output)));
    }

    fn token_times(&self, id: RequestId) -> Vec<u128> {
        let of = self.outputs.iter().filter(|(_, output)| output.id == id && output.gap.is_some());
        of.map(|(at, _)| at.as_millis()).collect()
    }

    fn summary(&self, id: RequestId) -> Summary {
        let mut ends = self.outputs.iter().filter(|(_, o)| o.id == id).filter_map(|(_, o)| o.finished);
        let end = ends.next().unwrap_or_else(|| panic!("request {id} has not ended"));
        assert_eq!(ends.next(), None, "request {id} ended twice");
        end
    }
}

#[test]
fn a_request_is_prefilled_then_decoded_token_by_token() {
    let mut bench = Bench::new(config());
    bench.add(1, &spec(1, 10, 4));
    bench.run();
    assert_eq!(bench.token_times(1), [50, 60, 70, 80]);
    let summary = bench.summary(1);
    assert_eq!(summary.reason, FinishReason::Length);
    assert_eq!((summary.prompt_tokens, summary.output_tokens), (10, 4));
    assert_eq!(bench.core.state().used, 0);
}

#[test]
fn a_long_prompt_is_computed_in_chunks_while_others_decode() {
    let mut bench = Bench::new(config());
    bench.add(1, &spec(1, 8, 20));
    bench.step();
    bench.add(2, &spec(2, 100, 1));
    bench.run();
    // 63 tokens beside one decoding request, then the other 37: both steps cost prefill and decode.
    assert_eq!(bench.token_times(1)[..4], [50, 110, 170, 180]);
    assert_eq!(bench.token_times(2), [170]);
}

#[test]
fn the_batch_is_bounded_and_served_first_come_first_served() {
    let mut bench = Bench::new(Config { max_num_seqs: 2, ..config() });
    for id in 1..=3 {
        bench.add(id, &spec(id as u32, 8, 2));
    }
    bench.step();
    assert_eq!(bench.core.state().running, 2);
    assert_eq!(bench.core.state().waiting, 1);
    bench.run();
    assert_eq!(bench.token_times(1), [50, 60]);
    assert_eq!(bench.token_times(3), [110, 120]);
}

#[test]
fn a_stop_position_ends_before_the_limit() {
    let mut bench = Bench::new(config());
    bench.add(1, &Spec { stop_after: Some(3), ..spec(1, 8, 9) });
    bench.add(2, &Spec { stop_after: Some(30), ..spec(2, 8, 9) });
    bench.run();
    assert_eq!((bench.summary(1).reason, bench.summary(1).output_tokens), (FinishReason::Stop, 3));
    assert_eq!((bench.summary(2).reason, bench.summary(2).output_tokens), (FinishReason::Length, 9));
}

#[test]
fn a_repeated_prompt_hits_the_cache_except_for_its_last_token() {
    let mut bench = Bench::new(config());
    for (id, len) in [(1, 16), (2, 16), (3, 18)] {
        bench.add(id, &spec(1, len, 1));
        bench.run();
    }
    assert_eq!(bench.summary(1).local_hits, 0);
    assert_eq!(bench.summary(2).local_hits, 12, "a full hit would leave nothing to sample from");
    assert_eq!(bench.summary(3).local_hits, 16);
    assert_eq!(bench.core.totals().prefix_hits, 28);
    assert_eq!(bench.core.totals().prefix_queries, 50);
}

#[test]
fn generated_tokens_are_a_prefix_for_the_next_turn() {
    let mut bench = Bench::new(config());
    bench.add(1, &spec(1, 8, 9));
    bench.run();
    let answer = (0..9).map(|index| generated(1, index));
    let turn = (0..8).map(|i| 1_000 + i).chain(answer);
    bench.add(2, &Spec::new(chain(0, turn), 2, 1));
    bench.run();
    assert_eq!(bench.summary(2).local_hits, 16);
}

#[test]
fn a_salt_separates_caches() {
    let mut bench = Bench::new(config());
    bench.add(1, &spec(1, 16, 1));
    bench.run();
    bench.add(2, &Spec::new(chain(1, (0..16).map(|i| 1_000 + i)), 1, 1));
    bench.run();
    assert_eq!(bench.summary(2).local_hits, 0);
}

#[test]
fn a_held_prefill_keeps_its_blocks_until_released() {
    let mut bench = Bench::new(config());
    bench.add(1, &Spec { hold: true, ..spec(1, 10, 1) });
    bench.run();
    assert_eq!(bench.summary(1).held_blocks, 3);
    let state = bench.core.state();
    assert_eq!((state.used, state.held, state.holds), (3, 3, 1));
    assert!(bench.core.release(1));
    assert!(!bench.core.release(1), "released once");
    assert_eq!(bench.core.state().used, 0);
}

#[test]
fn an_unfetched_hold_expires() {
    let mut bench = Bench::new(config());
    bench.add(1, &Spec { hold: true, ..spec(1, 10, 1) });
    bench.run();
    assert_eq!(bench.core.next_expiry(), Some(ms(1_050)));
    assert!(bench.core.expire(ms(1_049)).is_empty());
    assert_eq!(bench.core.expire(ms(1_050)), [1]);
    assert_eq!(bench.core.state().used, 0);
    assert_eq!(bench.core.totals().expired_holds, 1);
}

#[test]
fn only_a_prefill_that_ran_to_its_limit_is_held() {
    let mut bench = Bench::new(config());
    bench.add(1, &Spec { hold: true, stop_after: Some(1), ..spec(1, 10, 1) });
    bench.run();
    assert_eq!(bench.core.state().used, 0);
}

#[test]
fn a_fetched_prompt_costs_one_decode_step() {
    let mut bench = Bench::new(config());
    bench.add(1, &Spec { external: External::Peer(10), ..spec(1, 10, 2) });
    assert!(!bench.step(), "nothing runs while KV is on its way");
    assert_eq!(bench.core.take_fetches(), [Fetch { id: 1, blocks: 3 }]);
    assert_eq!(bench.core.state().fetching, 1);
    bench.now = ms(3);
    bench.core.fetched(1, true, bench.now);
    bench.run();
    assert_eq!(bench.token_times(1), [13, 23]);
    let summary = bench.summary(1);
    assert_eq!((summary.external_hits, summary.local_hits), (10, 0));
    assert_eq!(summary.scheduled, Some(ms(3)), "queue time contains the transfer");
}

#[test]
fn a_prompt_cached_here_is_still_fetched_for_so_that_the_peer_can_free_it() {
    let mut bench = Bench::new(config());
    bench.add(1, &spec(1, 16, 1));
    bench.run();
    bench.add(2, &Spec { external: External::Peer(16), ..spec(1, 16, 1) });
    bench.add(3, &Spec { external: External::Store(12), ..spec(1, 16, 1) });
    bench.step();
    assert_eq!(bench.core.take_fetches(), [Fetch { id: 2, blocks: 1 }]);
    assert_eq!(bench.summary(3).external_hits, 0, "the store has nothing that is not here");
    bench.core.fetched(2, true, bench.now);
    bench.run();
    assert_eq!((bench.summary(2).local_hits, bench.summary(2).external_hits), (12, 4));
}

#[test]
fn a_failed_fetch_ends_the_request_with_an_error() {
    let mut bench = Bench::new(config());
    bench.add(1, &Spec { external: External::Peer(10), ..spec(1, 10, 2) });
    bench.step();
    bench.core.fetched(1, false, ms(1));
    bench.collect();
    assert_eq!(bench.summary(1).reason, FinishReason::Error);
    assert_eq!(bench.core.state().used, 0);
}

#[test]
fn too_little_cached_hands_the_request_back() {
    let mut bench = Bench::new(config());
    let picky = |len| Spec { cache_hit_threshold: 0.5, ..spec(1, len, 2) };
    bench.add(1, &picky(16));
    bench.run();
    assert_eq!(bench.summary(1).reason, FinishReason::CacheThreshold);
    assert_eq!(bench.summary(1).output_tokens, 0);
    bench.add(2, &Spec { external: External::Store(8), ..picky(16) });
    bench.step();
    assert_eq!(bench.core.state().fetching, 1, "what a store has counts");
}

#[test]
fn an_abort_frees_blocks_when_the_step_ends() {
    let mut bench = Bench::new(config());
    bench.add(1, &spec(1, 10, 5));
    bench.core.schedule(bench.now).unwrap();
    bench.core.abort(1, bench.now);
    assert_eq!(bench.core.state().used, 3, "the running step still writes to them");
    bench.core.complete(ms(50));
    bench.collect();
    assert_eq!(bench.core.state().used, 0);
    assert_eq!(bench.summary(1).reason, FinishReason::Abort);
    assert_eq!(bench.token_times(1), [] as [u128; 0]);
}

#[test]
fn an_abort_during_a_fetch_waits_for_it() {
    let mut bench = Bench::new(config());
    bench.add(1, &Spec { external: External::Peer(10), ..spec(1, 10, 2) });
    bench.step();
    bench.core.abort(1, ms(1));
    assert_eq!(bench.core.state().used, 3);
    bench.core.fetched(1, true, ms(3));
    bench.collect();
    assert_eq!(bench.core.state().used, 0);
    assert_eq!(bench.summary(1).reason, FinishReason::Abort);
}

#[test]
fn short_memory_preempts_the_youngest_which_starts_again() {
    // 8 usable blocks of 4 tokens; two requests of 12 prompt and 12 generated tokens need 6 each.
    let mut bench = Bench::new(Config { blocks: 9, prefix_caching: false, ..config() });
    bench.add(1, &spec(1, 12, 12));
    bench.add(2, &spec(2, 12, 12));
    bench.run();
    assert_eq!(bench.summary(1).preemptions, 0);
    assert!(bench.summary(2).preemptions > 0);
    assert_eq!(bench.summary(2).output_tokens, 12, "no token is generated twice");
    assert_eq!(bench.core.totals().preemptions, u64::from(bench.summary(2).preemptions));
    assert_eq!(bench.core.state().used, 0);
}

#[test]
fn zero_latency_takes_no_time() {
    let mut bench = Bench::new(Config { latency: Model::zero(), ..config() });
    bench.add(1, &spec(1, 10, 50));
    bench.run();
    assert_eq!(bench.now, Duration::ZERO);
    assert_eq!(bench.summary(1).output_tokens, 50);
}

#[derive(Clone, Debug)]
enum Act {
    Add {
        spec: Spec,
    },
    Abort(u64),
    Begin,
    End,
    Fetched {
        pick: usize,
        success: bool,
    },
    Release(u64),
    /// So many requests are to go to another instance.
    Leave(u64),
    /// One of them comes back, after its blocks were read or not.
    Back {
        pick: usize,
        read: bool,
    },
    Wait(u64),
}

fn arbitrary_spec() -> impl Strategy<Value = Spec> {
    let lengths = (0_u32..4, 1_u32..60, 1_u32..30, proptest::option::of(1_u32..30));
    let kv = (0_u8..4, proptest::bool::ANY, prop_oneof![3 => Just(0.0), 1 => Just(0.6)]);
    (lengths, kv).prop_map(|((seed, len, max_tokens, stop_after), (source, hold, threshold))| Spec {
        external: match source {
            0 => External::Peer(len),
            1 => External::Store(len / 4 * 4),
            _ => External::None,
        },
        stop_after,
        hold,
        cache_hit_threshold: threshold,
        ..spec(seed, len, max_tokens)
    })
}

fn arbitrary_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => arbitrary_spec().prop_map(|spec| Act::Add { spec }),
        1 => (0_u64..40).prop_map(Act::Abort),
        6 => Just(Act::Begin),
        6 => Just(Act::End),
        2 => (0_usize..4, proptest::bool::weighted(0.8)).prop_map(|(pick, success)| Act::Fetched { pick, success }),
        1 => (0_u64..40).prop_map(Act::Release),
        1 => (1_u64..3).prop_map(Act::Leave),
        1 => (0_usize..4, any::<bool>()).prop_map(|(pick, read)| Act::Back { pick, read }),
        1 => (0_u64..700).prop_map(Act::Wait),
    ]
}

/// Plays `acts` and then lets everything come to an end; checks the invariants after each.
fn play(acts: &[Act]) -> Vec<(Duration, Output)> {
    let mut bench = Bench::new(Config {
        blocks: 25,
        latency: Model {
            jitter: 0.3,
            transfer: Transfer { base: ms(1), ..Model::zero().transfer },
            ..config().latency
        },
        ..config()
    });
    let mut pending = Vec::new();
    let mut away: Vec<RequestId> = Vec::new();
    let mut added = 0;
    for act in acts {
        match act {
            Act::Add { spec } if bench.core.fits(spec.prompt.len(), spec.max_tokens) => {
                added += 1;
                bench.add(added, spec);
            }
            Act::Add { .. } => {}
            Act::Abort(id) => bench.core.abort(*id, bench.now),
            Act::Begin => begin(&mut bench),
            Act::End => bench.core.complete(bench.now),
            Act::Fetched { pick, success } if !pending.is_empty() => {
                let fetch: Fetch = pending.remove(pick % pending.len());
                bench.core.fetched(fetch.id, *success, bench.now);
            }
            Act::Fetched { .. } => {}
            Act::Release(id) => {
                bench.core.release(*id);
            }
            Act::Leave(requests) => {
                let chosen = bench.core.choose(Order::FirstWaitingThenShortest, Amount::Requests(*requests));
                chosen.into_iter().for_each(|id| bench.core.leave(id));
            }
            Act::Back { pick, read } if !away.is_empty() => {
                let id = away.remove(pick % away.len());
                if *read {
                    bench.core.release(id);
                }
                bench.core.come_back(id);
            }
            Act::Back { .. } => {}
            Act::Wait(millis) => {
                bench.now += ms(*millis);
                bench.core.expire(bench.now);
            }
        }
        settle(&mut bench, &mut pending);
        away.extend(bench.core.take_departures().into_iter().map(|(id, _)| id));
    }
    bench.core.complete(bench.now);
    bench.core.depart();
    away.extend(bench.core.take_departures().into_iter().map(|(id, _)| id));
    away.into_iter().for_each(|id| bench.core.come_back(id));
    finish_all(&mut bench, pending);
    let ended = bench.outputs.iter().filter(|(_, output)| output.finished.is_some()).count() as u64;
    assert_eq!(ended, added, "every admitted request ends exactly once");
    assert_eq!(bench.core.state().used, 0, "no block leaked");
    bench.outputs
}

fn begin(bench: &mut Bench) {
    let limits = config();
    if let Some(step) = bench.core.schedule(bench.now) {
        assert!(step.tokens <= limits.max_num_batched_tokens);
        assert!(step.sequences <= limits.max_num_seqs);
        bench.now += step.duration;
    }
}

fn settle(bench: &mut Bench, pending: &mut Vec<Fetch>) {
    bench.core.check().unwrap();
    bench.collect();
    pending.extend(bench.core.take_fetches());
}

fn finish_all(bench: &mut Bench, mut pending: Vec<Fetch>) {
    bench.core.complete(bench.now);
    for _ in 0..10_000 {
        let stepped = bench.step();
        settle(bench, &mut pending);
        let progressed = stepped || !pending.is_empty();
        for fetch in pending.drain(..) {
            bench.core.fetched(fetch.id, true, bench.now);
        }
        match bench.core.next_expiry() {
            Some(at) if !progressed => {
                bench.now = bench.now.max(at);
                bench.core.expire(bench.now);
            }
            None if !progressed && bench.core.state().fetching == 0 && bench.core.state().waiting == 0 => {
                return;
            }
            _ => {}
        }
    }
    panic!("the core never came to rest: {:?} {:#?}", bench.core.state(), bench.core);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_the_invariants(acts in proptest::collection::vec(arbitrary_act(), 1..120)) {
        play(&acts);
    }

    #[test]
    fn the_same_history_has_the_same_outcome(acts in proptest::collection::vec(arbitrary_act(), 1..60)) {
        prop_assert_eq!(play(&acts), play(&acts));
    }

    #[test]
    fn tokens_never_run_ahead_of_the_limit(acts in proptest::collection::vec(arbitrary_act(), 1..80)) {
        let mut last = HashMap::new();
        for (at, output) in play(&acts) {
            let (tokens, before) = last.insert(output.id, (output.tokens, at)).unwrap_or_default();
            let brought = u32::from(output.gap.is_some());
            prop_assert_eq!(output.tokens, tokens + brought, "one token at a time");
            prop_assert!(at >= before);
            if let Some(end) = output.finished {
                prop_assert_eq!(end.output_tokens, output.tokens);
                prop_assert!(end.cached_tokens() <= end.prompt_tokens);
            }
        }
    }

    #[test]
    fn prefix_hits_are_contiguous_from_block_zero(cached in proptest::collection::vec(any::<bool>(), 1..20)) {
        let mut chain = BlockChain::new(1, 0);
        chain.extend(0..cached.len() as TokenId);
        let mut pool = BlockPool::new(64, true);
        let mut ids = Vec::new();
        prop_assert!(pool.allocate(cached.len() as u32, &mut ids));
        for ((id, hash), _) in ids.iter().zip(chain.hashes()).zip(&cached).filter(|(_, known)| **known) {
            pool.remember(*id, *hash);
        }
        pool.release(&ids);
        let expected = cached.iter().take_while(|known| **known).count();
        prop_assert_eq!(pool.hits(chain.hashes()), expected);
        pool.check().unwrap();
    }
}
