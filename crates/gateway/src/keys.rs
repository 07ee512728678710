//! Who may use the gateway: API keys, known by their hashes.
//!
//! A file holds one `name:hash` a line, the hash being SHA-256 of the key in hexadecimal; so the file tells nobody a key, and
//! a key can be taken back by its name. The file is read again when it changes; one that is wrong in any line is not taken.
//!
//! Keys are compared by hash, all of them, in constant time: how long a refusal takes says nothing about how close a guess
//! came.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use proxy::Drain;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::caller::Caller;
use crate::reload;

#[cfg(test)]
mod tests;

/// Where Anthropic's clients put the key.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Longer names would only bloat spans and logs.
const LONGEST_NAME: usize = 64;

type Hash = [u8; 32];

/// The keys in force.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    path: PathBuf,
    /// The text that was read at the start, from which changes are told.
    text: String,
    current: Arc<ArcSwap<Vec<Key>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    hash: Hash,
    caller: Caller,
}

impl Keys {
    /// Reads a file of keys.
    ///
    /// # Errors
    /// Every fault there is, with its line.
    pub(crate) fn from_file(path: &Path) -> Result<Self, String> {
        let (text, keys) = reload::read(path, parse)?;
        Ok(Self { path: path.to_owned(), text, current: Arc::new(ArcSwap::from_pointee(keys)) })
    }

    /// Whose request it is; `None` where it has no key that is known.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> Option<Caller> {
        let hash: Hash = Sha256::digest(presented(headers)?).into();
        let keys = self.current.load();
        let mut found = Choice::from(0);
        let mut place = 0_u64;
        for (index, key) in (0_u64..).zip(keys.iter()) {
            let same = key.hash.ct_eq(&hash);
            place.conditional_assign(&index, same);
            found |= same;
        }
        let key = usize::try_from(place).ok().and_then(|place| keys.get(place));
        key.filter(|_| bool::from(found)).map(|key| key.caller.clone())
    }

    /// Takes up changes of the file until the drain begins.
    pub(crate) async fn keep_fresh(self, drain: Drain) {
        let Self { path, text, current } = self;
        reload::watch(path, text, drain, |text| {
            current.store(Arc::new(parse(text)?));
            Ok(())
        })
        .await;
    }
}

/// The key that a request presents: as a bearer, else as Anthropic's clients do.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, key) = value.as_bytes().split_at_checked(b"bearer ".len())?;
        return scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii());
    }
    headers.get(API_KEY).map(|value| value.as_bytes().trim_ascii())
}

/// Reads `name:hash` lines; empty ones and those that begin with `#` say nothing.
fn parse(text: &str) -> Result<Vec<Key>, String> {
    let (mut keys, mut faults): (Vec<Key>, Vec<String>) = (Vec::new(), Vec::new());
    let (mut names, mut hashes) = (BTreeSet::new(), BTreeSet::new());
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match key(line) {
            Ok(key) if !names.insert(key.caller.name().to_owned()) => {
                faults.push(format!("line {number}: the name is there twice"));
            }
            Ok(key) if !hashes.insert(key.hash) => faults.push(format!("line {number}: the hash is there twice")),
            Ok(key) => keys.push(key),
            Err(fault) => faults.push(format!("line {number}: {fault}")),
        }
    }
    if keys.is_empty() && faults.is_empty() {
        faults.push("it holds no key, so that nobody could use the gateway".to_owned());
    }
    if faults.is_empty() { Ok(keys) } else { Err(faults.join("; ")) }
}

fn key(line: &str) -> Result<Key, &'static str> {
    let (name, hash) = line.split_once(':').ok_or("expected `name:sha256-in-hexadecimal`")?;
    let (name, hash) = (name.trim(), hash.trim());
    let named = !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(|letter| letter.is_ascii_graphic());
    if !named {
        return Err("a name has 1 to 64 printable ASCII characters and no space");
    }
    let hash = unhex(hash).ok_or("the hash is no SHA-256 in hexadecimal: `printf %s KEY | sha256sum` makes one")?;
    Ok(Key { hash, caller: Caller::named(name) })
}

fn unhex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != hash.len() * 2 || !text.is_ascii() {
        return None;
    }
    for (byte, index) in hash.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(index..index + 2)?, 16).ok()?;
    }
    // `from_str_radix` takes a sign.
    text.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(hash)
}
