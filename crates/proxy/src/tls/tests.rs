use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;

/// Writes a certificate and its key for `name`, dated `age` seconds after the epoch.
fn write_pair(dir: &Path, name: &str, age: u64) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    for (file, text) in [("tls.crt", made.cert.pem()), ("tls.key", made.signing_key.serialize_pem())] {
        let path = dir.join(file);
        fs::write(&path, text).unwrap();
        date(&path, age);
    }
}

fn date(path: &Path, age: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(age)).unwrap();
}

#[test]
fn a_changed_pair_is_taken_and_an_unchanged_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    write_pair(dir.path(), "one.example", 1);
    let tls = ServerTls::from_dir(dir.path()).unwrap();
    let first = tls.config();
    assert!(!tls.reload_if_changed().unwrap());
    write_pair(dir.path(), "two.example", 2);
    assert!(tls.reload_if_changed().unwrap());
    assert!(!Arc::ptr_eq(&first, &tls.config()));
    assert!(!tls.reload_if_changed().unwrap());
}

#[test]
fn a_broken_pair_leaves_the_old_one_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    write_pair(dir.path(), "one.example", 1);
    let tls = ServerTls::from_dir(dir.path()).unwrap();
    let first = tls.config();
    let key = dir.path().join("tls.key");
    fs::write(&key, "half a key").unwrap();
    date(&key, 2);
    for _ in 0..2 {
        let error = tls.reload_if_changed().unwrap_err();
        assert!(error.to_string().contains("tls.key"), "{error}");
        assert!(Arc::ptr_eq(&first, &tls.config()));
    }
    write_pair(dir.path(), "one.example", 3);
    assert!(tls.reload_if_changed().unwrap());
}

#[test]
fn what_is_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = ServerTls::from_dir(dir.path()).unwrap_err();
    assert!(missing.to_string().contains("tls.crt"), "{missing}");
    write_pair(dir.path(), "one.example", 1);
    let other = rcgen::generate_simple_self_signed(["two.example".to_owned()]).unwrap();
    fs::write(dir.path().join("tls.key"), other.signing_key.serialize_pem()).unwrap();
    let mismatch = ServerTls::from_dir(dir.path()).unwrap_err();
    assert!(matches!(mismatch, TlsError::Config(_)), "{mismatch}");
}
