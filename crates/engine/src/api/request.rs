//! What a client may ask, and what is refused with vLLM's words.

use super::Refusal;
use crate::core::hash::{self, TokenId};
use crate::kv::Lease;
use crate::text;
use openai::Api;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// Whose manners the instance has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// vLLM: `vllm:` metrics, `kv_transfer_params`.
    #[default]
    Vllm,
    /// SGLang: `sglang:` metrics, `bootstrap_room`.
    Sglang,
}

/// Bounds that the instance sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Prompt and generated tokens together.
    pub(crate) max_model_len: u32,
    /// Choices per request.
    pub(crate) max_choices: u32,
}

/// A request, understood and checked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) api: Api,
    pub(crate) model: Option<String>,
    pub(crate) prompt: Vec<TokenId>,
    pub(crate) salt: u64,
    pub(crate) max_tokens: u32,
    pub(crate) min_tokens: u32,
    pub(crate) ignore_eos: bool,
    pub(crate) stop: Vec<String>,
    pub(crate) n: u32,
    pub(crate) top_p: f64,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) continuous_usage: bool,
    pub(crate) cache_hit_threshold: Option<f64>,
    pub(crate) kv: KvParams,
    pub(crate) bootstrap: Option<Bootstrap>,
}

/// What `kv_transfer_params` ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum KvParams {
    /// Nothing.
    #[default]
    None,
    /// Keep the KV for somebody else (`do_remote_decode`).
    Hold,
    /// Take it from somebody else (`do_remote_prefill`). The names may be missing.
    Pull(Option<Lease>),
}

/// SGLang's meeting point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bootstrap {
    /// `host:port` of the prefill instance's bootstrap server.
    pub(crate) address: String,
    /// Number of the room.
    pub(crate) room: u64,
}

impl Request {
    /// Reads and checks a request body.
    ///
    /// # Errors
    /// What a client did wrong, as an answer with status 400.
    pub(crate) fn parse(api: Api, body: &[u8], limits: Limits) -> Result<Self, Refusal> {
        let wire: Wire<'_> = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
        let prompt = wire.tokens(api)?;
        let room = limits.max_model_len.saturating_sub(prompt.len() as u32);
        let max_tokens = wire.max_tokens(api, room)?;
        let request = Self {
            api,
            salt: wire.cache_salt.as_deref().map_or(0, |salt| hash::bytes(1, salt.as_bytes())),
            model: wire.model.as_deref().map(str::to_owned),
            max_tokens,
            min_tokens: wire.min_tokens.unwrap_or(0),
            ignore_eos: wire.ignore_eos.unwrap_or(false),
            stop: wire.stop.map(Stops::into_vec).unwrap_or_default(),
            n: wire.n.unwrap_or(1),
            top_p: wire.top_p.unwrap_or(1.0),
            stream: wire.stream.unwrap_or(false),
            include_usage: wire.stream_options.as_ref().and_then(|o| o.include_usage).unwrap_or(false),
            continuous_usage: wire.stream_options.as_ref().and_then(|o| o.continuous_usage_stats).unwrap_or(false),
            cache_hit_threshold: wire.cache_hit_threshold,
            kv: wire.kv_transfer_params.map(WireKv::understand).unwrap_or_default(),
            bootstrap: bootstrap(wire.bootstrap_host.as_deref(), wire.bootstrap_port, wire.bootstrap_room),
            prompt,
        };
        request.check(limits)?;
        Ok(request)
    }

    fn check(&self, limits: Limits) -> Result<(), Refusal> {
        let Self { max_tokens, min_tokens, .. } = *self;
        if self.prompt.is_empty() {
            return Err(bad("The decoder prompt cannot be empty").with_param("prompt"));
        }
        if max_tokens == 0 {
            return Err(bad("max_tokens must be at least 1, got 0.").with_param("max_tokens"));
        }
        if min_tokens > max_tokens {
            let message =
                format!("min_tokens must be less than or equal to max_tokens={max_tokens}, got {min_tokens}.");
            return Err(bad(message).with_param("min_tokens"));
        }
        if self.n == 0 || self.n > limits.max_choices {
            return Err(bad(format!("n must be between 1 and {}, got {}.", limits.max_choices, self.n)).with_param("n"));
        }
        self.check_length(limits.max_model_len)
    }

    fn check_length(&self, max_model_len: u32) -> Result<(), Refusal> {
        let (prompt, max_tokens) = (self.prompt.len() as u64, u64::from(self.max_tokens));
        if prompt + max_tokens <= u64::from(max_model_len) {
            return Ok(());
        }
        let message = format!(
            "This model's maximum context length is {max_model_len} tokens. However, you requested {} tokens ({prompt} in \
             the prompt, {max_tokens} in the completion). Please reduce the length of the prompt or completion.",
            prompt + max_tokens
        );
        Err(bad(message))
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::bad_request(message)
}

fn bootstrap(host: Option<&str>, port: Option<u16>, room: Option<u64>) -> Option<Bootstrap> {
    let (host, room) = (host?, room?);
    // SGLang's own default port.
    let port = port.unwrap_or(8998);
    Some(Bootstrap { address: format!("{host}:{port}"), room })
}

/// The request as it is written; members that a simulation has no use for are not looked at.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    messages: Option<Vec<Message<'a>>>,
    #[serde(borrow)]
    prompt: Option<Prompt<'a>>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    min_tokens: Option<u32>,
    ignore_eos: Option<bool>,
    stop: Option<Stops>,
    n: Option<u32>,
    top_p: Option<f64>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    cache_salt: Option<String>,
    cache_hit_threshold: Option<f64>,
    kv_transfer_params: Option<WireKv>,
    bootstrap_host: Option<String>,
    bootstrap_port: Option<u16>,
    bootstrap_room: Option<u64>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    image_url: Option<Value>,
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
enum Stops {
    One(String),
    Many(Vec<String>),
}

impl Stops {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(stop) => vec![stop],
            Self::Many(stops) => stops,
        }
    }
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
    continuous_usage_stats: Option<bool>,
}

#[derive(Deserialize)]
struct WireKv {
    do_remote_decode: Option<bool>,
    do_remote_prefill: Option<bool>,
    remote_engine_id: Option<String>,
    remote_request_id: Option<String>,
    remote_host: Option<String>,
    remote_port: Option<u16>,
}

impl WireKv {
    fn understand(self) -> KvParams {
        if self.do_remote_prefill == Some(true) {
            return KvParams::Pull(self.lease());
        }
        match self.do_remote_decode {
            Some(true) => KvParams::Hold,
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
    fn tokens(&self, api: Api) -> Result<Vec<TokenId>, Refusal> {
        let mut tokens = Vec::new();
        match api {
            Api::ChatCompletions => {
                let messages = self.messages.as_deref().unwrap_or_default();
                if messages.is_empty() {
                    return Err(bad("messages: Field required").with_param("messages"));
                }
                apply_template(messages, &mut tokens);
            }
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

    /// vLLM's defaults: 16 for completions, for chat whatever fits.
    fn max_tokens(&self, api: Api, room: u32) -> Result<u32, Refusal> {
        match (api, self.max_completion_tokens.or(self.max_tokens)) {
            (_, Some(limit)) => Ok(limit),
            (Api::ChatCompletions, None) => match room {
                0 => Err(bad("the prompt leaves no room for an answer")),
                room => Ok(room),
            },
            (_, None) => Ok(16),
        }
    }
}

/// Role markers around each message, and the one that asks for an answer: what a chat template adds.
fn apply_template(messages: &[Message<'_>], into: &mut Vec<TokenId>) {
    for message in messages {
        into.push(text::id(b"<|start|>"));
        into.push(text::id(message.role.as_deref().unwrap_or_default().as_bytes()));
        match &message.content {
            Some(Content::Text(text)) => text::tokenize(text, into),
            Some(Content::Parts(parts)) => parts.iter().for_each(|part| part.tokenize(into)),
            None => {}
        }
        into.push(text::id(b"<|end|>"));
    }
    into.extend([text::id(b"<|start|>"), text::id(b"assistant")]);
}

impl Part {
    fn tokenize(&self, into: &mut Vec<TokenId>) {
        if let Some(text) = &self.text {
            text::tokenize(text, into);
        }
        if let Some(image) = &self.image_url {
            into.push(text::id(image.to_string().as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests;
