//! Requests as they are written, in any of the APIs.

use super::request::{KvParams, Meeting};
use super::{Refusal, Tools};
use crate::core::hash::TokenId;
use crate::kv::Lease;
use crate::text;
use openai::Api;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::bad_request(message)
}

/// The request as it is written; members that a simulation has no use for are not looked at.
#[derive(Deserialize)]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    pub(super) model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    messages: Option<Vec<Message<'a>>>,
    /// Anthropic's system prompt.
    #[serde(borrow)]
    system: Option<Content<'a>>,
    /// The Responses API's prompt, and its system prompt; embeddings' texts.
    #[serde(borrow)]
    input: Option<Input<'a>>,
    #[serde(borrow)]
    instructions: Option<Cow<'a, str>>,
    #[serde(borrow)]
    prompt: Option<Prompt<'a>>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    max_output_tokens: Option<u32>,
    pub(super) min_tokens: Option<u32>,
    pub(super) ignore_eos: Option<bool>,
    pub(super) stop: Option<Stops>,
    /// Anthropic's name for it.
    pub(super) stop_sequences: Option<Stops>,
    tools: Option<Vec<WireTool>>,
    tool_choice: Option<Value>,
    pub(super) n: Option<u32>,
    pub(super) top_p: Option<f64>,
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<StreamOptions>,
    pub(super) cache_salt: Option<String>,
    pub(super) cache_hit_threshold: Option<f64>,
    pub(super) kv_transfer_params: Option<WireKv>,
    pub(super) bootstrap_host: Option<String>,
    pub(super) bootstrap_port: Option<u16>,
    pub(super) bootstrap_room: Option<u64>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    /// Of an item of the Responses API: its kind, and a function's result.
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    output: Option<Content<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Items(Vec<Message<'a>>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
    image_url: Option<Value>,
    /// Of a tool's result.
    content: Option<Value>,
}

/// A function that may be called, as any of the APIs writes it.
#[derive(Deserialize)]
struct WireTool {
    function: Option<Box<WireTool>>,
    name: Option<String>,
    parameters: Option<Value>,
    input_schema: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Tokens(Vec<TokenId>),
    Texts(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Stops {
    One(String),
    Many(Vec<String>),
}

impl Stops {
    pub(super) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(stop) => vec![stop],
            Self::Many(stops) => stops,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct StreamOptions {
    pub(super) include_usage: Option<bool>,
    pub(super) continuous_usage_stats: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct WireKv {
    do_remote_decode: Option<bool>,
    do_remote_prefill: Option<bool>,
    remote_engine_id: Option<String>,
    remote_request_id: Option<String>,
    remote_host: Option<String>,
    remote_port: Option<u16>,
    transfer_id: Option<String>,
    remote_bootstrap_addr: Option<String>,
}

impl WireKv {
    pub(super) fn understand(self) -> KvParams {
        if let Some(transfer) = self.transfer_id.clone() {
            return self.transfer(transfer);
        }
        if let (None, Some(host), Some(port)) = (&self.remote_engine_id, &self.remote_host, self.remote_port) {
            return KvParams::Ask { address: format!("{host}:{port}"), staged: self.do_remote_prefill == Some(true) };
        }
        if self.do_remote_prefill == Some(true) {
            return KvParams::Pull(self.lease());
        }
        match self.do_remote_decode {
            Some(true) => KvParams::Hold,
            _ => KvParams::None,
        }
    }

    fn transfer(self, transfer: String) -> KvParams {
        if self.do_remote_decode == Some(true) {
            return KvParams::Keep(transfer);
        }
        let address = self.remote_bootstrap_addr.as_deref().and_then(|url| url.strip_prefix("http://"));
        match (address, self.remote_engine_id.as_deref().filter(|id| !id.contains(char::is_whitespace))) {
            (Some(address), Some(engine_id)) => {
                KvParams::Meet(Meeting { address: address.to_owned(), transfer, engine_id: engine_id.to_owned() })
            }
            _ => KvParams::None,
        }
    }

    fn lease(self) -> Option<Lease> {
        let single_word = |name: Option<String>| name.filter(|name| !name.contains(char::is_whitespace));
        Some(Lease {
            address: format!("{}:{}", self.remote_host?, self.remote_port?),
            engine_id: single_word(self.remote_engine_id)?,
            request_id: single_word(self.remote_request_id)?,
        })
    }
}

impl Wire<'_> {
    pub(super) fn tokens(&self, api: Api) -> Result<Vec<TokenId>, Refusal> {
        let mut tokens = Vec::new();
        match api {
            Api::ChatCompletions | Api::Messages => {
                let messages = self.messages.as_deref().unwrap_or_default();
                if messages.is_empty() {
                    return Err(bad("messages: Field required").with_param("messages"));
                }
                if let Some(system) = &self.system {
                    put_message("system", Some(system), &mut tokens);
                }
                apply_template(messages, &mut tokens);
            }
            Api::Responses => self.input(&mut tokens)?,
            _ => match &self.prompt {
                Some(Prompt::Text(text)) => text::tokenize(text, &mut tokens),
                Some(Prompt::Tokens(ids)) => tokens.extend(ids),
                Some(Prompt::Texts(texts)) if texts.len() == 1 => text::tokenize(&texts[0], &mut tokens),
                Some(Prompt::Texts(_)) => {
                    return Err(bad("only one prompt per request is simulated").with_param("prompt"));
                }
                None => return Err(bad("prompt: Field required").with_param("prompt")),
            },
        }
        Ok(tokens)
    }

    /// The prompt of the Responses API.
    fn input(&self, tokens: &mut Vec<TokenId>) -> Result<(), Refusal> {
        if let Some(instructions) = &self.instructions {
            put_message("system", Some(&Content::Text(Cow::Borrowed(instructions.as_ref()))), tokens);
        }
        match &self.input {
            Some(Input::Text(text)) => {
                put_message("user", Some(&Content::Text(Cow::Borrowed(text.as_ref()))), tokens);
                apply_template(&[], tokens);
            }
            Some(Input::Items(items)) if !items.is_empty() => apply_template(items, tokens),
            _ => return Err(bad("input: Field required").with_param("input")),
        }
        Ok(())
    }

    /// vLLM's defaults: 16 for completions, for chat whatever fits; Anthropic's API has none.
    pub(super) fn max_tokens(&self, api: Api, room: u32) -> Result<u32, Refusal> {
        match (api, self.max_output_tokens.or(self.max_completion_tokens).or(self.max_tokens)) {
            (_, Some(limit)) => Ok(limit),
            (Api::Messages, None) => Err(bad("max_tokens: Field required").with_param("max_tokens")),
            (Api::ChatCompletions | Api::Responses, None) => match room {
                0 => Err(bad("the prompt leaves no room for an answer")),
                room => Ok(room),
            },
            (_, None) => Ok(16),
        }
    }

    /// The function that the answer calls: the one that is named, else the first, unless a result has just been given.
    pub(super) fn tools(&self, api: Api) -> Result<Option<Tools>, Refusal> {
        let tools = self.tools.as_deref().unwrap_or_default();
        if tools.is_empty() || api == Api::Completions {
            return Ok(None);
        }
        let choice = self.tool_choice.as_ref().unwrap_or(&Value::Null);
        let kind = choice.as_str().or_else(|| choice["type"].as_str()).unwrap_or("auto");
        if kind == "none" || (kind == "auto" && self.answers_a_call()) {
            return Ok(None);
        }
        let wanted = choice["function"]["name"].as_str().or_else(|| choice["name"].as_str());
        let tool = match wanted {
            Some(wanted) => tools.iter().find(|tool| tool.name() == Some(wanted)),
            None => tools.iter().find(|tool| tool.name().is_some()),
        };
        match tool.and_then(|tool| Some((tool.name()?, tool.argument()))) {
            Some((name, argument)) => Ok(Some(Tools { name: name.to_owned(), argument, seed: 0 })),
            None => Err(bad("The tool specified in `tool_choice` does not match any of the specified `tools`")
                .with_param("tool_choice")),
        }
    }

    /// Whether the prompt ends with a function's result.
    fn answers_a_call(&self) -> bool {
        let items = match &self.input {
            Some(Input::Items(items)) => items.as_slice(),
            _ => self.messages.as_deref().unwrap_or_default(),
        };
        let Some(last) = items.last() else { return false };
        let parts = match &last.content {
            Some(Content::Parts(parts)) => parts.as_slice(),
            _ => &[],
        };
        last.role.as_deref() == Some("tool")
            || last.kind.as_deref() == Some("function_call_output")
            || parts.iter().any(|part| part.kind.as_deref() == Some("tool_result"))
    }
}

impl WireTool {
    fn name(&self) -> Option<&str> {
        match &self.function {
            Some(function) => function.name(),
            None => self.name.as_deref(),
        }
    }

    /// The argument to fill: the first that is required, else any.
    fn argument(&self) -> String {
        if let Some(function) = &self.function {
            return function.argument();
        }
        let schema = self.parameters.as_ref().or(self.input_schema.as_ref()).unwrap_or(&Value::Null);
        let required = schema["required"][0].as_str();
        let any =
            || schema["properties"].as_object().and_then(|properties| properties.keys().next()).map(String::as_str);
        required.or_else(any).unwrap_or("text").to_owned()
    }
}

/// Role markers around each message, and the one that asks for an answer: what a chat template adds.
fn apply_template(messages: &[Message<'_>], into: &mut Vec<TokenId>) {
    for message in messages {
        let role = message.role.as_deref().unwrap_or_default();
        put_message(role, message.content.as_ref().or(message.output.as_ref()), into);
    }
    into.extend([text::id(b"<|start|>"), text::id(b"assistant")]);
}

fn put_message(role: &str, content: Option<&Content<'_>>, into: &mut Vec<TokenId>) {
    into.push(text::id(b"<|start|>"));
    into.push(text::id(role.as_bytes()));
    match content {
        Some(Content::Text(text)) => text::tokenize(text, into),
        Some(Content::Parts(parts)) => parts.iter().for_each(|part| part.tokenize(into)),
        None => {}
    }
    into.push(text::id(b"<|end|>"));
}

impl Part {
    fn tokenize(&self, into: &mut Vec<TokenId>) {
        if let Some(text) = &self.text {
            text::tokenize(text, into);
        }
        if let Some(image) = &self.image_url {
            into.push(text::id(image.to_string().as_bytes()));
        }
        if let Some(result) = &self.content {
            text::tokenize(&result.to_string(), into);
        }
    }
}
