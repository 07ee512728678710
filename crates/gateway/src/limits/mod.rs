//! What models and keys may use: requests in flight, requests a minute, tokens a minute (`--limits-config`).
//!
//! A request is on up to two accounts, its model's and its key's, and either both have room for it or neither is charged.
//! It takes a place, counts as a request, and reserves the tokens of its prompt, as far as those are known then. What it really
//! used is charged when its end is known ([`Grant`]): prompt and answer as the engine counted them, else the prompt and the
//! tokens that passed. A request that was refused elsewhere before an engine had it, or that no engine served, gives its tokens
//! back; it stays counted as a request. The place is given back by dropping the grant, however the request ends.
//!
//! All accounts are behind one lock, which is taken twice a request and never across a wait. They outlive a reload of the
//! file: what is in flight is on the account under which it began. An account that the file no longer names is kept as
//! long as something is in flight on it.

mod account;
mod config;
mod file;
mod grant;
mod meter;
mod refusal;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use telemetry::clock::{self, Moment};

use account::{Account, Full};
pub(crate) use config::LimitsConfig;
use file::{Limit, OTHERS, Rules, Section};
pub(crate) use grant::Grant;
use grant::{Entries, Entry};
pub(crate) use refusal::{Exceeded, Rates};

use crate::caller::Caller;

/// Whose account it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    Model(Arc<str>),
    /// All models without an entry of their own, together: a client can make up as many names as it likes.
    OtherModels,
    Key(Arc<str>),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(name) => write!(f, "the model `{name}`"),
            Self::OtherModels => f.write_str("models without limits of their own"),
            Self::Key(name) => write!(f, "the key `{name}`"),
        }
    }
}

/// The limits in force, and what is in use of them. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    rules: Rules,
    models: Accounts,
    other_models: Account,
    keys: Accounts,
}

/// Accounts by name.
type Accounts = HashMap<Arc<str>, Account>;

impl Limits {
    /// Accounts on which nothing is in use.
    pub(crate) fn new(rules: Rules) -> Self {
        let mut books = Books::default();
        books.replace(rules, clock::now());
        Self { books: Arc::new(Mutex::new(books)) }
    }

    /// Other rules hold from now on.
    pub(crate) fn replace(&self, rules: Rules) {
        self.books.lock().replace(rules, clock::now());
    }

    /// Takes what a request for `model` with a prompt of so many tokens needs, on all accounts that it is on.
    ///
    /// # Errors
    /// Where one of them has no room; of several limits that have none, the one that takes longest to have room again.
    pub(crate) fn admit(
        &self,
        model: Option<&str>,
        caller: Option<&Caller>,
        prompt: u64,
    ) -> Result<Grant, Box<Exceeded>> {
        let now = clock::now();
        let mut books = self.books.lock();
        let holders = books.holders(model.unwrap_or_default(), caller);
        let mut worst: Option<(&Holder, Full)> = None;
        for holder in holders.iter().flatten() {
            let account = books.account(holder);
            account.advance(now);
            for full in account.full(prompt) {
                let later = worst.as_ref().is_none_or(|(_, worst)| waits_longer(&full, worst));
                worst = if later { Some((holder, full)) } else { worst };
            }
        }
        if let Some((holder, Full { kind, limit, used, wait })) = worst {
            let wanted = if kind == refusal::Kind::Tokens { prompt } else { 1 };
            let rates = books.rates(holders.iter().flatten());
            let holder = holder.clone();
            return Err(Box::new(Exceeded { holder, kind, limit, used, wanted, retry_after: wait, rates }));
        }
        let entries = holders.map(|holder| {
            let holder = holder?;
            let reserved = books.account(&holder).take(prompt);
            Some(Entry { holder, reserved })
        });
        drop(books);
        Ok(Grant::new(self.clone(), entries, prompt))
    }

    /// What `/config` shows: every account with its limit and what is in use of it.
    pub(crate) fn shown(&self) -> Value {
        let now = clock::now();
        let books = self.books.lock();
        let Books { rules, models, other_models, keys } = &*books;
        let other_keys = Account::new(rules.keys.others.unwrap_or_default());
        json!({
            "models": shown(&rules.models, *other_models, models, now),
            "keys": shown(&rules.keys, other_keys, keys, now),
        })
    }
}

/// Whether one limit has room later than another; what never has any is last of all.
fn waits_longer(one: &Full, other: &Full) -> bool {
    match (one.wait, other.wait) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(one), Some(other)) => one > other,
    }
}

impl Books {
    /// The accounts that a request is on: its model's, its key's.
    fn holders(&self, model: &str, caller: Option<&Caller>) -> [Option<Holder>; 2] {
        let named = |section: &Section, name: &str| section.named.get_key_value(name).map(|(name, _)| Arc::clone(name));
        let others = || self.rules.models.others.map(|_| Holder::OtherModels);
        let model = named(&self.rules.models, model).map(Holder::Model).or_else(others);
        let key = caller.and_then(|caller| {
            let any = || self.rules.keys.others.map(|_| caller.shared_name());
            named(&self.rules.keys, caller.name()).or_else(any).map(Holder::Key)
        });
        [model, key]
    }

    /// An account, which is opened where it is not yet.
    fn account(&mut self, holder: &Holder) -> &mut Account {
        let rules = &self.rules;
        let (accounts, name, limit) = match holder {
            Holder::OtherModels => return &mut self.other_models,
            Holder::Model(name) => (&mut self.models, name, rules.of_model(name)),
            Holder::Key(name) => (&mut self.keys, name, rules.of_key(name)),
        };
        accounts.entry(Arc::clone(name)).or_insert_with(|| Account::new(limit))
    }

    /// What the scarcest of these accounts have left.
    fn rates<'a>(&mut self, holders: impl Iterator<Item = &'a Holder>) -> Rates {
        let rates = holders.map(|holder| self.account(holder).rates());
        rates.fold(Rates::default(), Rates::scarcer)
    }

    /// A request that used so many tokens is over on all its accounts.
    fn settle(&mut self, entries: &Entries, used: u64, now: Moment) {
        for Entry { holder, reserved } in entries.iter().flatten() {
            let account = self.account(holder);
            account.advance(now);
            account.settle(*reserved, used);
            if account.is_over() {
                match holder {
                    Holder::OtherModels => None,
                    Holder::Model(name) => self.models.remove(name),
                    Holder::Key(name) => self.keys.remove(name),
                };
            }
        }
    }

    fn replace(&mut self, rules: Rules, now: Moment) {
        let keep = |account: &mut Account, limit: Limit| {
            account.set(limit, now);
            !account.is_over()
        };
        self.other_models.set(rules.of_other_models(), now);
        self.models.retain(|name, account| keep(account, rules.of_model(name)));
        self.keys.retain(|name, account| keep(account, rules.of_key(name)));
        self.rules = rules;
    }
}

/// The accounts of a section, also those that nobody has used yet.
fn shown(section: &Section, others: Account, accounts: &Accounts, now: Moment) -> Value {
    let named = section.named.iter().map(|(name, limit)| (&**name, Account::new(*limit)));
    let others = section.others.map(|_| (OTHERS, others));
    let used = accounts.iter().map(|(name, account)| (&**name, *account));
    let all: BTreeMap<&str, Account> = named.chain(others).chain(used).collect();
    all.into_iter().map(|(name, account)| (name.to_owned(), account.shown(now))).collect()
}

#[cfg(test)]
mod tests;
