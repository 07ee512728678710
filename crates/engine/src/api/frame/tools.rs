//! A function call as generated output: arguments that grow token by token.
//!
//! The simulated model fills one string argument with its text. Generated text needs no escaping, so only the marks around
//! it are escaped where arguments stand inside a JSON string.

use super::{Ending, put, quote};
use crate::core::hash;

/// The function that an answer calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tools {
    /// Its name.
    pub(crate) name: String,
    /// The argument that is filled.
    pub(crate) argument: String,
    /// What the calls' ids are made of.
    pub(crate) seed: u64,
}

impl Tools {
    /// The id of the call of choice `index`, after `prefix`.
    pub(super) fn id(&self, prefix: &str, index: usize) -> String {
        format!("{prefix}{:016x}", hash::fold(self.seed, index as u64))
    }

    /// How the arguments begin.
    pub(super) fn opening(&self) -> String {
        format!("{{{}:\"", quote(&self.argument))
    }

    /// How they end, where they do: a call that met the token limit is cut off.
    pub(super) const fn closing(closes: bool) -> &'static str {
        if closes { "\"}" } else { "" }
    }

    /// The arguments of a call that has `ended` with this text.
    pub(super) fn arguments(&self, text: &str, ending: Ending<'_>) -> String {
        if text.is_empty() && ending.reason != "stop" {
            return String::new();
        }
        format!("{}{text}{}", self.opening(), Self::closing(ending.reason == "stop"))
    }

    /// A piece of arguments as it grows.
    pub(super) fn piece(&self, (carried, own): (&str, &str), first: bool, closes: bool) -> String {
        let opening = if first { self.opening() } else { String::new() };
        format!("{opening}{carried}{own}{}", Self::closing(closes))
    }

    /// The call in a chat chunk.
    pub(super) fn part(&self, index: usize, text: (&str, &str), first: bool, closes: bool, out: &mut Vec<u8>) {
        let arguments = quote(&self.piece(text, first, closes));
        if first {
            let (id, name) = (self.id("chatcmpl-tool-", index), quote(&self.name));
            put(
                out,
                format_args!(
                    r#"{{"id":"{id}","type":"function","index":0,"function":{{"name":{name},"arguments":{arguments}}}}}"#
                ),
            );
        } else {
            put(out, format_args!(r#"{{"index":0,"function":{{"arguments":{arguments}}}}}"#));
        }
    }

    /// The call in a chat document.
    pub(super) fn whole(&self, index: usize, text: &str, ending: Ending<'_>) -> String {
        let (id, name) = (self.id("chatcmpl-tool-", index), quote(&self.name));
        let arguments = quote(&self.arguments(text, ending));
        format!(r#"{{"id":"{id}","type":"function","function":{{"name":{name},"arguments":{arguments}}}}}"#)
    }
}
