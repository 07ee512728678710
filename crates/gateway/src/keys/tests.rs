use std::fs;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

/// SHA-256 of `sesame` and of `open`.
const SESAME: &str = "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";

fn hash(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keys(text: &str) -> Keys {
    let current = Arc::new(ArcSwap::from_pointee(parse(text).unwrap()));
    Keys { path: PathBuf::new(), text: text.to_owned(), current }
}

fn with(name: HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

fn caller(keys: &Keys, headers: &HeaderMap) -> Option<String> {
    keys.identify(headers).map(|caller| caller.name().to_owned())
}

#[test]
fn a_key_is_known_by_its_hash_wherever_clients_put_it() {
    assert_eq!(hash("sesame"), SESAME);
    let keys = keys(&format!("# people\n\nann:{SESAME}\n bob : {}\n", hash("open").to_uppercase()));
    for (headers, expected) in [
        (with(AUTHORIZATION, "Bearer sesame"), Some("ann")),
        (with(AUTHORIZATION, "bearer  open "), Some("bob")),
        (with(API_KEY, "sesame"), Some("ann")),
        (with(AUTHORIZATION, "Basic sesame"), None),
        (with(AUTHORIZATION, "Bearer"), None),
        (with(AUTHORIZATION, "Bearer "), None),
        (with(AUTHORIZATION, "Bearer Sesame"), None),
        (with(API_KEY, ""), None),
        (HeaderMap::new(), None),
    ] {
        assert_eq!(caller(&keys, &headers).as_deref(), expected, "{headers:?}");
    }
}

#[test]
fn every_fault_of_a_file_is_told_with_its_line_and_without_hashes() {
    let text = format!(
        "ann:{SESAME}\nann:{}\nbob:{SESAME}\nno hash\n:{SESAME}\nc:{}\nd:+{}\n",
        hash("x"),
        "g".repeat(64),
        "1".repeat(63)
    );
    let faults = parse(&text).unwrap_err();
    for line in 2..=7 {
        assert!(faults.contains(&format!("line {line}:")), "{line}: {faults}");
    }
    assert!(!faults.contains(SESAME));
    assert!(parse("# nobody\n").unwrap_err().contains("no key"));
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_changes_who_is_known_and_a_broken_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    fs::write(&path, format!("ann:{SESAME}\n")).unwrap();
    let keys = Keys::from_file(&path).unwrap();
    let drain = Drain::new();
    let watching = drain.spawn(keys.clone().keep_fresh(drain.clone()));
    let (ann, bob) = (with(API_KEY, "sesame"), with(API_KEY, "open"));
    fs::write(&path, format!("ann:{SESAME}\nbob:nonsense\n")).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(caller(&keys, &ann).as_deref(), Some("ann"));
    fs::write(&path, format!("bob:{}\n", hash("open"))).unwrap();
    while caller(&keys, &bob).is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(caller(&keys, &ann), None);
    drain.begin();
    watching.await.unwrap();
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}(\\n\\PC{0,80}){0,3}") {
        if let Ok(keys) = parse(&text) {
            prop_assert!(!keys.is_empty());
        }
    }

    #[test]
    fn only_the_very_key_opens(key in "[!-~]{1,40}", guess in "[!-~]{1,40}") {
        let keys = keys(&format!("k:{}\n", hash(&key)));
        let known = caller(&keys, &with(API_KEY, &guess)).is_some();
        prop_assert_eq!(known, key == guess);
        prop_assert!(caller(&keys, &with(API_KEY, &key)).is_some());
    }
}
