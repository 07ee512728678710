use proptest::prelude::*;

use super::*;
use crate::testing::at;

const PATIENCE: Duration = Duration::from_secs(10);

fn inflight(requests: i64, prefill: (i64, i64), decode: (i64, i64)) -> Inflight {
    Inflight {
        requests,
        prefill_requests: prefill.0,
        prefill_tokens: prefill.1,
        decode_requests: decode.0,
        decode_tokens: decode.1,
    }
}

#[test]
fn a_neutral_request_is_one_request_that_will_prefill_and_decode() {
    let account = Account::default();
    account.enter("n", InferType::Neutral, 100, at(0));
    assert_eq!(account.exact(), inflight(1, (1, 100), (1, 100)));
    account.enter("p", InferType::Prefill, 10, at(0));
    account.enter("d", InferType::Decode, 1, at(0));
    assert_eq!(account.exact(), inflight(3, (2, 110), (2, 101)));
    assert!(account.release("n") && !account.release("n"));
    assert_eq!(account.exact(), inflight(2, (1, 10), (1, 1)));
}

#[test]
fn an_id_that_comes_twice_counts_once() {
    let account = Account::default();
    account.enter("a", InferType::Neutral, 100, at(0));
    account.enter("a", InferType::Prefill, 7, at(1));
    assert_eq!(account.exact(), inflight(1, (1, 7), (0, 0)));
}

#[test]
fn a_status_settles_what_it_lists_under_the_engines_own_ids() {
    let account = Account::default();
    let uuid = "0199f5a2-7b1c-7d3e-8f00-aabbccddeeff";
    for id in ["a", "b", "c", uuid, "left-over"] {
        account.enter(id, InferType::Neutral, 1, at(0));
    }
    account.reconcile(["a", "cmpl-b-0", "chatcmpl-c+7f", &format!("chatcmpl-{uuid}-1a2b3c4d"), "unknown"]);
    assert_eq!(account.exact().requests, 1);
    assert!(account.release("left-over"));
}

#[test]
fn every_api_of_an_engine_names_requests_in_its_own_way() {
    let account = Account::default();
    for prefix in ["", "cmpl-", "chatcmpl-", "embd-", "msg_", "resp_"] {
        for tail in ["", "-0", "-12", "-1a2b3c4d", "-0-1a2b3c4d", "+word"] {
            account.enter("some-request", InferType::Neutral, 1, at(0));
            let listed = format!("{prefix}some-request{tail}");
            account.reconcile([&*listed]);
            assert_eq!(account.exact(), Inflight::default(), "{listed}");
        }
    }
}

#[test]
fn a_request_is_not_taken_for_one_whose_name_goes_on() {
    let account = Account::default();
    for id in ["load", "load-7", "load-last"] {
        account.enter(id, InferType::Neutral, 1, at(0));
    }
    account.reconcile(["cmpl-load-7", "cmpl-load-last"]);
    assert_eq!(account.exact().requests, 1);
    account.reconcile(["cmpl-load-last", "cmpl-load-elsewhere"]);
    assert!(account.release("load"), "whatever else is listed, it is not");
}

#[test]
fn age_settles_what_no_status_has() {
    let account = Account::default();
    account.enter("old", InferType::Decode, 5, at(0));
    account.enter("new", InferType::Decode, 6, at(8));
    assert_eq!(account.expire(at(10), PATIENCE), 0);
    assert_eq!(account.expire(at(11), PATIENCE), 1);
    assert_eq!(account.exact(), inflight(1, (0, 0), (1, 6)));
    assert_eq!(account.expire(at(0), PATIENCE), 0, "a clock that goes back settles nothing");
    account.clear();
    assert_eq!(account.exact(), Inflight::default());
}

#[derive(Clone, Debug)]
enum Step {
    Enter(u8, InferType, u64),
    Release(u8),
    Listed(Vec<u8>),
    Expire(u64),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let infer_type = proptest::sample::select(InferType::ALL.to_vec());
    prop_oneof![
        4 => (0..20_u8, infer_type, any::<u64>()).prop_map(|(id, kind, tokens)| Step::Enter(id, kind, tokens)),
        2 => (0..20_u8).prop_map(Step::Release),
        2 => proptest::collection::vec(0..20_u8, 0..6).prop_map(Step::Listed),
        1 => (0..40_u64).prop_map(Step::Expire),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    /// Whatever happens in whatever order, the sums are those of the entries, and nothing is left once all are settled.
    #[test]
    fn accounts_never_leak(steps in proptest::collection::vec(step(), 0..60)) {
        let account = Account::default();
        let mut now = 0;
        for step in steps {
            now += 1;
            match step {
                Step::Enter(id, kind, tokens) => account.enter(&id.to_string(), kind, tokens, at(now)),
                Step::Release(id) => { account.release(&id.to_string()); }
                Step::Listed(ids) => {
                    let ids: Vec<String> = ids.iter().map(|id| format!("cmpl-{id}-0")).collect();
                    account.reconcile(ids.iter().map(String::as_str));
                }
                Step::Expire(seconds) => { account.expire(at(seconds), PATIENCE); }
                Step::Clear => account.clear(),
            }
            let mut sums = Inflight::default();
            for entry in account.entries.lock().values() {
                sums.requests += 1;
                if entry.infer_type != InferType::Decode {
                    sums.prefill_requests += 1;
                    sums.prefill_tokens += entry.tokens;
                }
                if entry.infer_type != InferType::Prefill {
                    sums.decode_requests += 1;
                    sums.decode_tokens += entry.tokens;
                }
            }
            prop_assert_eq!(account.read(), sums);
        }
        account.expire(at(now + 11), PATIENCE);
        prop_assert_eq!(account.exact(), Inflight::default());
    }
}

#[test]
fn what_is_cached_is_not_to_be_computed_and_needs_room_all_the_same() {
    let account = Account::default();
    account.enter("r", InferType::Neutral, 100, at(0));
    account.cached("r", 70);
    account.cached("unknown", 70);
    assert_eq!((account.read().prefill_tokens, account.read().decode_tokens), (30, 100));
    account.cached("r", u64::MAX);
    assert_eq!(account.read().prefill_tokens, 0, "no more than the prompt");
    account.enter("r", InferType::Prefill, 50, at(1));
    assert_eq!((account.read().prefill_tokens, account.read().requests), (50, 1), "placed anew elsewhere in the cache");
    account.release("r");
    assert_eq!(account.read(), Inflight::default());
}
