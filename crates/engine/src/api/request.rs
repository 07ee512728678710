//! What a client may ask, and what is refused with vLLM's words.

use super::wire::{Stops, Wire, WireKv};
use super::{Refusal, Tools};
use crate::core::hash::{self, TokenId};
use crate::kv::Lease;
use openai::Api;

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
    /// The function to be called.
    pub(crate) tools: Option<Tools>,
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
    /// Keep it for whoever names this transfer (Mooncake).
    Keep(String),
    /// Take what is kept under a transfer's name (Mooncake).
    Meet(Meeting),
    /// Take it from the connector at this `host:port` (kvt), which has computed it if `staged` and else is asked to.
    Ask {
        /// Where the connector listens.
        address: String,
        /// The prompt was computed before.
        staged: bool,
    },
}

/// Where a decode leg finds what a Mooncake prefill keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meeting {
    /// `host:port` of the prefill instance's bootstrap service.
    pub(crate) address: String,
    /// Name of the transfer.
    pub(crate) transfer: String,
    /// The engine that holds it.
    pub(crate) engine_id: String,
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
            tools: wire.tools(api)?,
            stop: wire.stop.or(wire.stop_sequences).map(Stops::into_vec).unwrap_or_default(),
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

#[cfg(test)]
mod tests;
