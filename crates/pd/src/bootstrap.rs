//! Mooncake's bootstrap service: which engine, by id, serves which data-parallel rank of a prefill server.
//!
//! A decoder finds the prefill's KV by the name of a transfer, which both legs carry, and by the id of the engine that
//! holds it, which only the prefill server can tell. So it is asked before the legs are planned. An engine has a new id
//! after each start: what was learnt is not for keeping, and whoever keeps it for a while must drop it when a leg fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rand::RngExt as _;
use rand::seq::IteratorRandom as _;
use serde_json::Value;

/// The path that a bootstrap service answers.
pub const QUERY_PATH: &str = "/query";

/// The engines behind one prefill server, by data-parallel rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engines(BTreeMap<u32, Box<str>>);

/// Why an answer names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnginesError {
    /// It is no JSON object.
    #[error("the bootstrap service's answer is not a JSON object: {0}")]
    NotJson(String),
    /// Nobody has registered.
    #[error("the bootstrap service knows of no engine yet")]
    Nobody,
    /// A member has another shape than `"<rank>": {"engine_id": "…"}`.
    #[error("the bootstrap service's answer names no engine_id for `{0}`")]
    NoEngineId(String),
}

/// A transfer that both legs of one attempt name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    id: Box<str>,
    engine_id: Box<str>,
    rank: u32,
    bootstrap: Box<str>,
}

impl Engines {
    /// Reads what [`QUERY_PATH`] answers: `{"0": {"engine_id": "…"}, …}`.
    ///
    /// # Errors
    /// Where it names no engine.
    pub fn parse(answer: &[u8]) -> Result<Self, EnginesError> {
        let ranks: BTreeMap<String, Value> =
            serde_json::from_slice(answer).map_err(|error| EnginesError::NotJson(error.to_string()))?;
        let engines = ranks.iter().map(|(rank, value)| {
            let number = rank.parse::<u32>().ok();
            let id = value.get("engine_id").and_then(Value::as_str);
            number.zip(id.map(Into::into)).ok_or_else(|| EnginesError::NoEngineId(rank.clone()))
        });
        let engines = engines.collect::<Result<BTreeMap<_, _>, _>>()?;
        if engines.is_empty() { Err(EnginesError::Nobody) } else { Ok(Self(engines)) }
    }

    /// A new transfer from one of the engines, chosen at random; `bootstrap` is the service's `host:port`.
    #[must_use]
    pub fn transfer(&self, bootstrap: &str) -> Transfer {
        let chosen = self.0.iter().choose(&mut rand::rng());
        // There is at least one, so the empty name is never taken.
        let (rank, engine_id) = chosen.map(|(rank, id)| (*rank, id.clone())).unwrap_or_default();
        Transfer { id: transfer_id(), engine_id, rank, bootstrap: bootstrap.into() }
    }
}

impl Transfer {
    /// The rank that the prefill leg must run on.
    #[must_use]
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// `kv_transfer_params` of the prefill leg.
    pub(crate) fn prefill(&self) -> Vec<u8> {
        let id = Value::from(&*self.id);
        format!(r#"{{"do_remote_decode":true,"do_remote_prefill":false,"transfer_id":{id}}}"#).into_bytes()
    }

    /// `kv_transfer_params` of the decode leg.
    pub(crate) fn decode(&self) -> Vec<u8> {
        let (id, engine) = (Value::from(&*self.id), Value::from(&*self.engine_id));
        let address = Value::from(format!("http://{}", self.bootstrap));
        let text = format!(
            r#"{{"do_remote_decode":false,"do_remote_prefill":true,"transfer_id":{id},"remote_bootstrap_addr":{address},"remote_engine_id":{engine}}}"#
        );
        text.into_bytes()
    }
}

/// `xfer-` and 128 random bits: nobody else's name, and not to be guessed.
fn transfer_id() -> Box<str> {
    let mut id = String::from("xfer-");
    // Writing to a string does not fail.
    let _ = write!(id, "{:032x}", rand::rng().random::<u128>());
    id.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_is_chosen_at_some_time_and_each_transfer_has_its_own_name() {
        let engines = Engines::parse(br#"{"0":{"engine_id":"a"},"10":{"engine_id":"b","more":1}}"#).unwrap();
        let transfers: Vec<_> = (0..64).map(|_| engines.transfer("10.0.0.1:8998")).collect();
        for (rank, id) in [(0, "a"), (10, "b")] {
            assert!(transfers.iter().any(|transfer| transfer.rank == rank && &*transfer.engine_id == id));
        }
        let mut names: Vec<_> = transfers.iter().map(|transfer| &transfer.id).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), transfers.len());
    }

    #[test]
    fn an_answer_that_names_nobody_is_an_error() {
        assert_eq!(Engines::parse(b"{}"), Err(EnginesError::Nobody));
        for bad in [&br#"{"0":{}}"#[..], br#"{"zero":{"engine_id":"a"}}"#, br#"{"0":{"engine_id":7}}"#] {
            assert!(matches!(Engines::parse(bad), Err(EnginesError::NoEngineId(_))));
        }
        assert!(matches!(Engines::parse(b"<html>"), Err(EnginesError::NotJson(_))));
        assert!(matches!(Engines::parse(b"[1]"), Err(EnginesError::NotJson(_))));
    }
}
