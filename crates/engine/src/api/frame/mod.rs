//! Rendering answers: stream events and whole documents, in the shape of each API.
//!
//! No value tree is built for completions, which carry the load of benchmarks: the members that repeat in every chunk of an
//! answer are rendered once per request, and a token adds its text between two constant strings. Members and their order
//! are those of the samples.

mod messages;
mod openai;
mod responses;
#[cfg(test)]
mod tests;
mod tools;

use super::{Dialect, Refusal};
use ::openai::Api;
use messages::Message;
use openai::Completion;
use responses::Responding;
use std::io::Write as _;

pub(crate) use tools::Tools;

/// Token counts of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Prompt length.
    pub(crate) prompt: u32,
    /// Tokens generated, over all choices.
    pub(crate) completion: u32,
    /// Prompt tokens found in a cache, where the instance is told to say so.
    pub(crate) cached: Option<u32>,
}

/// How one choice ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending<'a> {
    /// `finish_reason`.
    pub(crate) reason: &'a str,
    /// `stop_reason`: the stop string that was met.
    pub(crate) stop: Option<&'a str>,
}

/// What is known of an answer before it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    /// Whose shape it has.
    pub(crate) api: Api,
    /// Whose manners.
    pub(crate) dialect: Dialect,
    /// Its name.
    pub(crate) id: &'a str,
    /// The model that answers.
    pub(crate) model: &'a str,
    /// Unix seconds.
    pub(crate) created: u64,
    /// Prompt length.
    pub(crate) prompt: u32,
    /// The prompt's length where every chunk is to carry usage.
    pub(crate) continuous: Option<u32>,
}

/// An answer's shape, and what its events share.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    /// `/v1/completions` and `/v1/chat/completions`.
    Completion(Completion),
    /// `/v1/messages`.
    Message(Box<Message>),
    /// `/v1/responses`.
    Response(Box<Responding>),
}

impl Frame {
    /// The frame of an answer that calls a function, where `tools` say so.
    pub(crate) fn new(terms: Terms<'_>, tools: Option<Tools>) -> Self {
        match terms.api {
            Api::Messages => Self::Message(Box::new(Message::new(terms, tools))),
            Api::Responses => Self::Response(Box::new(Responding::new(terms, tools))),
            _ => Self::Completion(Completion::new(terms, tools)),
        }
    }

    /// What a stream says before anything has been computed.
    pub(crate) fn open(&mut self, out: &mut Vec<u8>) {
        if let Self::Response(response) = self {
            response.open(out);
        }
    }

    /// What comes before a choice's first token.
    pub(crate) fn first(&mut self, index: u32, out: &mut Vec<u8>) {
        match self {
            Self::Completion(completion) => completion.role(index, out),
            Self::Message(message) => message.first(out),
            Self::Response(response) => response.first(out),
        }
    }

    /// One token. `text` comes in two parts and needs no escaping; `tokens` counts this one.
    pub(crate) fn token(&mut self, index: u32, text: (&str, &str), tokens: u32, out: &mut Vec<u8>) {
        match self {
            Self::Completion(completion) => completion.token(index, text, tokens, out),
            Self::Message(message) => message.token(text, tokens == 1, false, out),
            Self::Response(response) => response.token(text, tokens == 1, false, out),
        }
    }

    /// What ends a choice, with its last token; `text` is empty where there is none.
    pub(crate) fn last(&mut self, index: u32, text: (&str, &str), ending: Ending<'_>, tokens: u32, out: &mut Vec<u8>) {
        match self {
            Self::Completion(completion) => completion.last(index, text, ending, tokens, out),
            Self::Message(message) => message.last(text, ending, tokens, out),
            Self::Response(response) => response.last(text, ending, tokens, out),
        }
    }

    /// What ends a stream all of whose choices have ended.
    pub(crate) fn end(&mut self, usage: Usage, include_usage: bool, out: &mut Vec<u8>) {
        match self {
            Self::Completion(completion) => {
                if include_usage {
                    completion.usage(usage, out);
                }
                out.extend_from_slice(DONE);
            }
            Self::Message(message) => message.end(usage, out),
            Self::Response(response) => response.end(usage, out),
        }
    }

    /// What ends a stream that failed.
    pub(crate) fn fail(&self, refusal: &Refusal, out: &mut Vec<u8>) {
        match self {
            Self::Completion(_) => put(out, format_args!("data: {}\n\ndata: [DONE]\n\n", refusal.to_json())),
            Self::Message(_) => {
                put(out, format_args!("event: error\ndata: {}\n\n", refusal.to_json_of(Some(Api::Messages))));
            }
            Self::Response(response) => response.fail(refusal.message(), out),
        }
    }

    /// A whole answer: each choice's text and ending, the usage, and `kv_transfer_params` (JSON) where there are any.
    pub(crate) fn document(&self, choices: &[(String, Ending<'_>)], usage: Usage, kv: Option<&str>) -> Vec<u8> {
        match self {
            Self::Completion(completion) => completion.document(choices, usage, kv),
            Self::Message(message) => message.document(choices, usage, kv),
            Self::Response(response) => response.document(choices, usage, kv),
        }
    }
}

/// The marker after the last chunk.
const DONE: &[u8] = b"data: [DONE]\n\n";

impl Usage {
    fn render(self, details: bool, out: &mut Vec<u8>) {
        let Self { prompt, completion, cached } = self;
        let total = prompt + completion;
        put(out, format_args!(r#"{{"prompt_tokens":{prompt},"total_tokens":{total},"completion_tokens":{completion}"#));
        if details {
            let cached = cached.map_or_else(|| "null".to_owned(), |cached| format!(r#"{{"cached_tokens":{cached}}}"#));
            put(out, format_args!(r#","prompt_tokens_details":{cached},"completion_tokens_details":null"#));
        }
        out.push(b'}');
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector does not fail.
    let _ = out.write_fmt(text);
}

/// `text` as a JSON string.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An event with a name, as the APIs of typed events send them.
fn event(name: &str, data: &serde_json::Value, out: &mut Vec<u8>) {
    put(out, format_args!("event: {name}\ndata: {data}\n\n"));
}
