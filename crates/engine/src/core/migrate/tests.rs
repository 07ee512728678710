use super::super::latency::{Formula, Model, Source};
use super::super::{Config, Summary};
use super::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn core() -> Core {
    let formula = Formula {
        prefill_base: ms(50),
        prefill_per_token: Duration::ZERO,
        decode_step: ms(10),
        decode_per_sequence: Duration::ZERO,
    };
    Core::new(Config {
        block_size: 4,
        blocks: 65,
        max_num_seqs: 4,
        max_num_batched_tokens: 64,
        prefix_caching: false,
        hold_timeout: ms(1_000),
        latency: Model { source: Source::Formula(formula), ..Model::zero() },
        seed: 7,
    })
}

fn spec(seed: u32, len: u32, max_tokens: u32) -> Spec {
    let mut chain = BlockChain::new(4, 0);
    chain.extend((0..len).map(|i| seed * 1_000 + i));
    Spec::new(chain, u64::from(seed), max_tokens)
}

/// Runs so many steps; what came out of them.
fn steps(core: &mut Core, now: &mut Duration, count: usize) -> Vec<Output> {
    let mut outputs = Vec::new();
    for _ in 0..count {
        let step = core.schedule(*now).unwrap();
        *now += step.duration;
        core.complete(*now);
        outputs.extend(core.take_outputs());
        core.check().unwrap();
    }
    outputs
}

/// Has a request leave between two steps.
fn left(core: &mut Core, id: RequestId, now: Duration) -> Departure {
    core.leave(id);
    core.schedule(now);
    let mut departures = core.take_departures();
    assert_eq!(departures.len(), 1);
    departures.remove(0).1
}

/// Takes a request in, KV and all.
fn arrive(core: &mut Core, id: RequestId, departure: Departure, now: Duration) -> u32 {
    core.add(id, departure.into_spec(), now);
    assert_eq!(core.schedule(now), None);
    let fetch = core.take_fetches().remove(0);
    core.fetched(id, true, now);
    fetch.blocks
}

fn ended(outputs: &[Output]) -> Summary {
    outputs.iter().find_map(|output| output.finished).unwrap()
}

#[test]
fn a_request_that_moves_twice_says_what_one_says_that_stays() {
    let (mut a, mut b, mut c, mut stays) = (core(), core(), core(), core());
    let mut now = Duration::ZERO;
    a.add(1, spec(1, 10, 9), now);
    assert_eq!(steps(&mut a, &mut now, 3).len(), 3);
    // Prompt and generated tokens but the last have KV: 12 of 13, in 3 blocks.
    let departure = left(&mut a, 1, now);
    assert_eq!((departure.computed, departure.generated), (12, 3));
    assert_eq!(arrive(&mut b, 5, departure, now), 3);
    assert!(a.release(1), "the blocks that were read");
    assert_eq!(a.state().used, 0);
    let there = steps(&mut b, &mut now, 2);
    assert_eq!(there.iter().map(|output| output.tokens).collect::<Vec<_>>(), [4, 5]);
    let departure = left(&mut b, 5, now);
    let twin = {
        let mut now = Duration::ZERO;
        stays.add(1, spec(1, 10, 9), now);
        steps(&mut stays, &mut now, 5);
        left(&mut stays, 1, now)
    };
    assert_eq!(departure.chain.fingerprint(), twin.chain.fingerprint());
    assert_eq!((departure.computed, departure.generated), (twin.computed, twin.generated));
    arrive(&mut c, 1, departure, now);
    let there = steps(&mut c, &mut now, 4);
    assert_eq!((ended(&there).reason, ended(&there).output_tokens), (FinishReason::Length, 9));
    assert_eq!(c.state().used, 0);
}

#[test]
fn what_is_generated_elsewhere_arrives_once_and_is_counted_there() {
    let mut core = core();
    let mut now = Duration::ZERO;
    core.add(1, spec(1, 10, 9), now);
    steps(&mut core, &mut now, 2);
    left(&mut core, 1, now);
    assert!(core.relay(1, 4, now) && core.relay(1, 4, now) && core.relay(1, 3, now) && core.relay(1, 99, now));
    let outputs = core.take_outputs();
    assert_eq!(outputs.iter().map(|output| (output.tokens, output.gap)).collect::<Vec<_>>(), [(4, None), (9, None)]);
    core.relay_end(1, FinishReason::Length, now);
    assert_eq!(ended(&core.take_outputs()).output_tokens, 9);
    assert!(!core.relay(1, 9, now), "it has ended");
    assert_eq!(core.state().used, 0);
}

#[test]
fn one_that_comes_back_with_its_blocks_decodes_and_one_without_is_computed_again() {
    let mut core = core();
    let mut now = Duration::ZERO;
    core.add(1, spec(1, 10, 9), now);
    steps(&mut core, &mut now, 2);
    left(&mut core, 1, now);
    core.come_back(1);
    let (before, outputs) = (now, steps(&mut core, &mut now, 1));
    assert_eq!((outputs[0].tokens, now - before), (3, ms(10)));
    left(&mut core, 1, now);
    core.relay(1, 5, now);
    core.take_outputs();
    assert!(core.release(1) && !core.release(1));
    core.come_back(1);
    let (before, outputs) = (now, steps(&mut core, &mut now, 1));
    assert_eq!((outputs[0].tokens, now - before), (6, ms(50)), "prompt and five tokens are computed again");
    assert_eq!(ended(&steps(&mut core, &mut now, 3)).output_tokens, 9);
}

#[test]
fn a_request_that_is_given_up_while_it_is_away_leaves_nothing() {
    let mut core = core();
    let mut now = Duration::ZERO;
    core.add(1, spec(1, 10, 9), now);
    steps(&mut core, &mut now, 2);
    left(&mut core, 1, now);
    assert_eq!(core.load().away.requests, 1);
    core.abort(1, now);
    assert_eq!(ended(&core.take_outputs()).reason, FinishReason::Abort);
    assert_eq!((core.state().used, core.load().away.requests), (0, 0));
    core.come_back(1);
    assert_eq!(core.schedule(now), None);
}

#[test]
fn orders_and_amounts_are_a_llumlets() {
    let mut core = core();
    let mut now = Duration::ZERO;
    for (id, len) in [(1, 12), (2, 20), (3, 5), (4, 16), (5, 9), (6, 7)] {
        core.add(id, spec(id as u32, len, 9), now);
    }
    steps(&mut core, &mut now, 1);
    let chosen = |order, amount| core.choose(Order::parse(order).unwrap(), amount);
    // Four run (with a token each by now), two wait.
    assert_eq!(chosen("LCR", Amount::All), [4, 3, 2, 1]);
    assert_eq!(chosen("FCR", Amount::Requests(2)), [1, 2]);
    assert_eq!(chosen("LR", Amount::Requests(3)), [2, 4, 1]);
    assert_eq!(chosen("SR", Amount::All), [3, 1, 4, 2]);
    assert_eq!(chosen("FCW", Amount::All), [5, 6]);
    assert_eq!(chosen("FCWSR", Amount::Requests(3)), [5, 6, 3]);
    // 6 + 13 tokens are more than 18, 6 alone are not.
    assert_eq!(chosen("SR", Amount::Tokens(18)), [3, 1]);
    assert_eq!(chosen("SR", Amount::Tokens(0)), [0; 0]);
    // Of 256 tokens of room, a tenth are 25.
    assert_eq!(chosen("SR", Amount::Share(0.1)), [3, 1, 4]);
    assert_eq!(Order::parse("NEW"), None);
    core.leave(3);
    assert_eq!(core.choose(Order::Shortest, Amount::All), [1, 4, 2], "it leaves already");
}
