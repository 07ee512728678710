use std::time::Duration;

use proptest::prelude::*;
use tokio::time::advance;

use super::file::Rules;
use super::refusal::Kind;
use super::*;

fn limits(text: &str) -> Limits {
    Limits::new(Rules::parse(text).unwrap())
}

fn faults(text: &str) -> String {
    Rules::parse(text).unwrap_err()
}

fn ann() -> Caller {
    Caller::named("ann")
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

/// A number that `/config` shows.
fn shown(limits: &Limits, at: &str) -> u64 {
    limits.shown().pointer(at).and_then(Value::as_u64).unwrap()
}

#[test]
fn what_cannot_be_meant_is_a_fault_and_all_of_them_are_said() {
    for (text, fault) in [
        ("", "says nothing"),
        ("- a", "is no YAML mapping"),
        ("modles: {}", "`modles` is none of models, keys"),
        ("models: 3", "models is no mapping of names to limits"),
        ("models: {a: {}}", "models.a: limits nothing"),
        ("models: {a: {concurrency: 0}}", "models.a: concurrency is 0"),
        ("models: {a: {concurrency: -1}}", "models.a: "),
        ("models: {a: {requests: 1}}", "models.a: unknown field `requests`"),
        ("keys: {7: {concurrency: 1}}", "keys: `7` is no text"),
        ("keys: {a: {concurrency: 1}, a: {concurrency: 2}}", "duplicate"),
    ] {
        assert!(faults(text).contains(fault), "{text}: {}", faults(text));
    }
    let both = faults("models: {a: {concurrency: 0}}\nkeys: {b: {x: 1}}\n");
    assert!(both.contains("models.a") && both.contains("keys.b"), "{both}");
    assert_eq!(Rules::parse("{}").unwrap(), Rules::default());
}

#[tokio::test(start_paused = true)]
async fn places_are_given_back_by_dropping() {
    let limits = limits("models: {m: {concurrency: 2}}");
    let admit = || limits.admit(Some("m"), None, 5);
    let (first, _second) = (admit().unwrap(), admit().unwrap());
    let full = admit().unwrap_err();
    assert_eq!((full.kind, full.limit, full.used, full.retry_after), (Kind::Concurrency, 2, 2, seconds(1)));
    drop(first);
    assert!(admit().is_ok(), "and it is dropped at once");
    assert!(admit().is_ok());
    assert!(limits.admit(Some("other"), None, 5).is_ok(), "nobody limits it");
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_minute_come_back_one_by_one() {
    let limits = limits("keys: {ann: {requests-per-minute: 6}}");
    let admit = || limits.admit(None, Some(&ann()), 0);
    for left in (0..6).rev() {
        let grant = admit().unwrap();
        assert_eq!(grant.rates().requests.unwrap().remaining, left);
    }
    let full = admit().unwrap_err();
    assert_eq!((full.kind, full.retry_after), (Kind::Requests, seconds(10)));
    assert_eq!(full.rates().requests.unwrap().reset, Duration::from_mins(1));
    assert_eq!(
        full.to_string(),
        "rate limit reached for the key `ann` on requests per minute: limit 6, used 6, requested 1; try again in 10s"
    );
    advance(Duration::from_nanos(9_999_999_999)).await;
    assert_eq!(admit().unwrap_err().retry_after, Some(Duration::from_nanos(1)));
    advance(Duration::from_nanos(1)).await;
    assert!(admit().is_ok());
    assert!(admit().is_err());
}

#[tokio::test(start_paused = true)]
async fn tokens_are_reserved_by_the_prompt_and_charged_by_what_was_used() {
    let limits = limits("models: {m: {tokens-per-minute: 600}}");
    let admit = |prompt| limits.admit(Some("m"), None, prompt);
    let used = || shown(&limits, "/models/m/tokens-used");
    // The engine counts less of the prompt than was estimated, and its answer.
    let mut grant = admit(100).unwrap();
    assert_eq!(used(), 100);
    grant.begin();
    grant.usage(60, 500);
    drop(grant);
    assert_eq!(used(), 560);
    let full = admit(50).unwrap_err();
    assert_eq!((full.kind, full.limit, full.used, full.wanted), (Kind::Tokens, 600, 560, 50));
    assert_eq!(full.retry_after, seconds(1));
    assert!(admit(40).is_ok(), "and nothing served it, so that it costs nothing");
    assert_eq!(used(), 560);
    // The client left: the prompt, and what it had got of the answer.
    let mut grant = admit(10).unwrap();
    grant.begin();
    grant.tokens(5);
    drop(grant);
    assert_eq!(used(), 575);
    // Nobody served it.
    let mut grant = admit(10).unwrap();
    grant.begin();
    grant.fail();
    drop(grant);
    assert_eq!(used(), 575);
    advance(Duration::from_secs(30)).await;
    assert_eq!(used(), 275);
}

#[tokio::test(start_paused = true)]
async fn an_answer_longer_than_what_was_left_is_paid_off_before_anybody_is_let_in() {
    let limits = limits("models: {m: {tokens-per-minute: 60}}");
    let mut grant = limits.admit(Some("m"), None, 1).unwrap();
    grant.begin();
    grant.usage(1, 179);
    drop(grant);
    let full = limits.admit(Some("m"), None, 1).unwrap_err();
    assert_eq!((full.used, full.retry_after), (180, seconds(121)));
    assert_eq!(
        (full.rates().tokens.unwrap().remaining, full.rates().tokens.unwrap().reset),
        (0, Duration::from_mins(3))
    );
    advance(Duration::from_secs(121)).await;
    assert!(limits.admit(Some("m"), None, 1).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_never_fits_is_told_so() {
    let limits = limits("models: {m: {tokens-per-minute: 60, requests-per-minute: 1}}");
    let _taken = limits.admit(Some("m"), None, 0).unwrap();
    let full = limits.admit(Some("m"), None, 61).unwrap_err();
    assert_eq!((full.kind, full.retry_after), (Kind::Tokens, None));
    assert!(full.to_string().ends_with("it will never fit: make the prompt shorter"), "{full}");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_charged_on_both_accounts_or_on_none() {
    let limits = limits("models: {m: {requests-per-minute: 5}}\nkeys: {ann: {requests-per-minute: 2}}");
    for _ in 0..2 {
        limits.admit(Some("m"), Some(&ann()), 0).unwrap();
    }
    for _ in 0..9 {
        let full = limits.admit(Some("m"), Some(&ann()), 0).unwrap_err();
        assert_eq!(full.holder, Holder::Key("ann".into()));
    }
    assert_eq!(shown(&limits, "/models/m/requests-used"), 2, "who was refused cost the model nothing");
    assert_eq!(limits.admit(Some("m"), None, 0).unwrap().rates().requests.unwrap().remaining, 2);
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_the_models_share_an_account_and_the_rest_of_the_keys_have_one_each() {
    let limits = limits("models: {m: {concurrency: 9}, '*': {concurrency: 1}}\nkeys: {'*': {concurrency: 1}}");
    let bob = Caller::named("bob");
    let _ann = limits.admit(Some("m"), Some(&ann()), 0).unwrap();
    assert_eq!(limits.admit(Some("m"), Some(&ann()), 0).unwrap_err().rejection().as_str(), "key_concurrency");
    let _bob = limits.admit(Some("m"), Some(&bob), 0).unwrap();
    let _made_up = limits.admit(Some("made up"), None, 0).unwrap();
    let full = limits.admit(Some("*"), None, 0).unwrap_err();
    assert_eq!((full.holder.clone(), full.rejection().as_str()), (Holder::OtherModels, "model_concurrency"));
    assert_eq!(shown(&limits, "/models/*/in-flight"), 1);
    assert_eq!(limits.books.lock().models.len(), 1, "a made up name opens no account");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_outlives_a_reload_also_one_that_forgets_it() {
    let limits = limits("keys: {ann: {concurrency: 2, tokens-per-minute: 60}}");
    let admit = || limits.admit(None, Some(&ann()), 10);
    let first = admit().unwrap();
    let load = |text: &str| limits.replace(Rules::parse(text).unwrap());
    load("keys: {ann: {concurrency: 1, tokens-per-minute: 120}}");
    assert_eq!(admit().unwrap_err().kind, Kind::Concurrency);
    assert_eq!(shown(&limits, "/keys/ann/tokens-used"), 10);
    load("{}");
    let unlimited = admit().unwrap();
    load("keys: {ann: {concurrency: 1}}");
    assert_eq!(admit().unwrap_err().used, 1, "the one that began under a limit");
    drop(unlimited);
    assert_eq!(shown(&limits, "/keys/ann/in-flight"), 1);
    drop(first);
    let again = admit().unwrap();
    load("{}");
    assert_eq!(limits.books.lock().keys.len(), 1);
    drop(again);
    assert!(limits.books.lock().keys.is_empty(), "nobody needs it any more");
}

#[tokio::test(start_paused = true)]
async fn a_token_limit_that_comes_while_a_request_runs_is_charged_what_it_used_and_gives_back_nothing_of_others() {
    let limits = limits("models: {m: {concurrency: 9}}");
    let admit = |prompt| limits.admit(Some("m"), None, prompt).unwrap();
    let [mut small, mut large] = [admit(100), admit(100)];
    limits.replace(Rules::parse("models: {m: {tokens-per-minute: 600}}").unwrap());
    let _other = admit(50);
    for (grant, used) in [(&mut small, 40), (&mut large, 200)] {
        grant.begin();
        grant.usage(used, 0);
    }
    drop((small, large));
    assert_eq!(shown(&limits, "/models/m/tokens-used"), 290);
}

#[derive(Debug, Clone)]
enum Step {
    Admit { model: usize, key: usize, prompt: u64 },
    End { which: usize, used: Option<(u64, u64)>, served: bool },
    Wait(u64),
    Load(usize),
}

const FILES: [&str; 3] = [
    "models: {m: {concurrency: 3, tokens-per-minute: 1000}, '*': {requests-per-minute: 5}}\nkeys: {'*': {concurrency: 2}}",
    "models: {m: {requests-per-minute: 4}}\nkeys: {ann: {tokens-per-minute: 300}, bob: {concurrency: 1}}",
    "{}",
];

fn step() -> impl Strategy<Value = Step> {
    let used = proptest::option::of((0_u64..300, 0_u64..300));
    prop_oneof![
        4 => (0_usize..3, 0_usize..3, 0_u64..500).prop_map(|(model, key, prompt)| Step::Admit { model, key, prompt }),
        3 => (0_usize..9, used, any::<bool>()).prop_map(|(which, used, served)| Step::End { which, used, served }),
        2 => (0_u64..40_000_000_000).prop_map(Step::Wait),
        1 => (0_usize..FILES.len()).prop_map(Step::Load),
    ]
}

/// Whatever happens, in whatever order.
async fn go(limits: &Limits, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (models, keys) = (["m", "n", "o"], ["ann", "bob"].map(Caller::named));
    let mut grants: Vec<Grant> = Vec::new();
    for step in steps {
        match step {
            Step::Admit { model, key, prompt } => match limits.admit(Some(models[model]), keys.get(key), prompt) {
                Ok(grant) => grants.push(grant),
                Err(full) => {
                    let never = full.kind == Kind::Tokens && prompt > full.limit;
                    prop_assert_eq!(full.retry_after.is_none(), never);
                    prop_assert!(full.retry_after != Some(Duration::ZERO));
                }
            },
            Step::End { which, used, served } if !grants.is_empty() => {
                let mut grant = grants.swap_remove(which % grants.len());
                if served {
                    grant.begin();
                }
                used.into_iter().for_each(|(prompt, answer)| grant.usage(prompt, answer));
            }
            Step::End { .. } => {}
            Step::Wait(nanos) => advance(Duration::from_nanos(nanos)).await,
            Step::Load(file) => limits.replace(Rules::parse(FILES[file]).unwrap()),
        }
        let on = |books: &Books, holder: &Holder| match holder {
            Holder::Model(name) => books.models[name].in_flight,
            Holder::OtherModels => books.other_models.in_flight,
            Holder::Key(name) => books.keys[name].in_flight,
        };
        let books = limits.books.lock();
        for holder in grants.iter().flat_map(Grant::holders) {
            let of_it = grants.iter().flat_map(Grant::holders).filter(|other| *other == holder).count();
            prop_assert_eq!(on(&books, holder), of_it as u64);
        }
    }
    drop(grants);
    // A day later nothing is left in use.
    advance(Duration::from_hours(24)).await;
    let (books, now) = (limits.books.lock(), clock::now());
    for account in books.models.values().chain(books.keys.values()).chain([&books.other_models]) {
        prop_assert_eq!(account.in_flight, 0);
        let shown = account.shown(now);
        let used = ["requests-used", "tokens-used"].map(|name| shown[name].as_u64().unwrap_or(0));
        prop_assert_eq!(used, [0, 0]);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn accounts_neither_leak_nor_fall_below_nothing(steps in prop::collection::vec(step(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(go(&limits(FILES[0]), steps))?;
    }
}
