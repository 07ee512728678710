//! The load is compared with what can be reckoned by hand, and with itself recounted from outside.

use super::super::hash::BlockChain;
use super::super::latency::Model;
use super::super::{Config, External, Spec};
use super::*;
use proptest::prelude::*;

const BLOCK: u32 = 4;

fn core(blocks: u32, max_num_batched_tokens: u32) -> Core {
    Core::new(Config {
        block_size: BLOCK,
        blocks: blocks + 1,
        max_num_seqs: 4,
        max_num_batched_tokens,
        prefix_caching: false,
        hold_timeout: Duration::from_secs(1),
        latency: Model::zero(),
        seed: 1,
    })
}

fn spec(len: u32, max_tokens: u32) -> Spec {
    let mut prompt = BlockChain::new(BLOCK, 0);
    prompt.extend(0..len);
    Spec::new(prompt, u64::from(len), max_tokens)
}

fn weight(requests: u32, tokens: u64) -> Weight {
    Weight { requests, tokens }
}

#[test]
fn a_prompt_waits_is_computed_in_chunks_and_decodes() {
    let now = Duration::ZERO;
    let mut core = core(32, 6);
    core.add(1, spec(10, 3), now);
    core.add(2, spec(5, 1), now);
    let load = core.load();
    assert_eq!((load.waiting, load.waiting_to_decode), (weight(2, 15), weight(1, 10)));
    assert_eq!((load.uncomputed_waiting, load.total_tokens, load.used_tokens), (15, 128, 0));
    assert_eq!((load.waiting_ids, load.last_step), (vec![1, 2], None));

    // Six tokens of the first prompt: uncomputed while the step runs. Their two blocks have room for eight of the ten.
    core.schedule(now);
    let load = core.load();
    assert_eq!((load.running, load.running_to_decode), (weight(1, 10), weight(1, 10)));
    assert_eq!((load.uncomputed_running, load.unallocated_running, load.used_tokens), (10, 2, 8));
    assert_eq!((load.waiting, load.uncomputed_waiting), (weight(1, 5), 5));
    core.complete(now);
    assert_eq!((core.load().uncomputed_running, core.load().steps), (4, 1));
    assert_eq!(core.load().last_step, Some((Duration::ZERO, 6)));

    // The rest of it, and two tokens of the second prompt.
    core.schedule(now);
    core.complete(now);
    let load = core.load();
    assert_eq!((load.running, load.running_to_decode), (weight(2, 16), weight(1, 11)));
    assert_eq!((load.uncomputed_running, load.unallocated_running), (3, 1), "only the second prompt's");
    assert_eq!(load.waiting, Weight::default());
    while core.schedule(now).is_some() {
        core.complete(now);
    }
    let load = core.load();
    assert_eq!((load.running, load.used_tokens, load.uncomputed_running), (Weight::default(), 0, 0));
}

#[test]
fn a_request_whose_kv_is_fetched_is_loading_and_then_lacks_one_token() {
    let now = Duration::ZERO;
    let mut core = core(32, 64);
    core.add(1, Spec { external: External::Peer(8), ..spec(8, 5) }, now);
    core.schedule(now);
    let load = core.load();
    assert_eq!((load.loading, load.waiting, load.used_tokens), (weight(1, 8), Weight::default(), 8));
    assert_eq!((load.uncomputed_waiting, load.uncomputed_running), (0, 0));
    core.fetched(1, true, now);
    let load = core.load();
    assert_eq!((load.loading, load.waiting), (Weight::default(), weight(1, 8)));
    assert_eq!((load.waiting_to_decode, load.uncomputed_waiting), (weight(1, 8), 1));
}

#[test]
fn blocks_held_for_another_instance_are_in_use() {
    let now = Duration::ZERO;
    let mut core = core(32, 64);
    core.add(1, Spec { hold: true, ..spec(8, 1) }, now);
    core.schedule(now);
    core.complete(now);
    let load = core.load();
    assert_eq!((load.running, load.used_tokens), (Weight::default(), 8));
    core.release(1);
    assert_eq!(core.load().used_tokens, 0);
}

proptest! {
    #[test]
    fn it_agrees_with_the_state_at_every_moment(
        requests in proptest::collection::vec((1_u32..40, 1_u32..8), 1..12),
        budget in 1_u32..32,
        calls in proptest::collection::vec(0_u8..4, 1..80),
    ) {
        let mut core = core(24, budget);
        let mut waiting = requests.into_iter().enumerate();
        let now = Duration::ZERO;
        for call in calls {
            match call {
                0 => {
                    if let Some((id, (len, max_tokens))) = waiting.next() {
                        core.add(id as RequestId, spec(len, max_tokens), now);
                    }
                }
                1 => { core.schedule(now); }
                2 => core.complete(now),
                _ => core.abort(0, now),
            }
            let (load, state) = (core.load(), core.state());
            prop_assert_eq!(load.running.requests as usize, state.running);
            prop_assert_eq!(load.waiting.requests as usize, state.waiting);
            prop_assert_eq!(load.waiting_ids.len(), state.waiting);
            prop_assert_eq!(load.loading.requests as usize, state.fetching);
            prop_assert_eq!(load.used_tokens, u64::from(state.used * BLOCK));
            prop_assert_eq!(load.total_tokens, u64::from(state.capacity * BLOCK));
            prop_assert!(load.uncomputed_waiting <= load.waiting.tokens);
            prop_assert!(load.unallocated_running <= load.uncomputed_running);
            prop_assert!(load.uncomputed_running <= load.running.tokens);
            if state.running + state.waiting == 0 {
                prop_assert_eq!(load.used_tokens, 0);
            }
        }
    }
}
