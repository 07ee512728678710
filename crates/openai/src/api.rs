//! The inference APIs that Candor recognises, and where each keeps its token limits.

/// An inference API, by the path a client posts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// `/v1/chat/completions`.
    ChatCompletions,
    /// `/v1/completions`.
    Completions,
    /// `/v1/responses`.
    Responses,
    /// `/v1/messages`, Anthropic's API as vLLM serves it.
    Messages,
    /// `/inference/v1/generate`, vLLM's tokens-in, tokens-out API.
    Generate,
    /// `/v1/embeddings`; it generates nothing and is never disaggregated.
    Embeddings,
}

/// Where a member of a request lies: at the top, or inside one top-level object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemberPath {
    /// The top-level object that holds the member; `None` for a top-level member.
    pub parent: Option<&'static str>,
    /// The member's own name.
    pub name: &'static str,
}

impl MemberPath {
    const fn top(name: &'static str) -> Self {
        Self { parent: None, name }
    }

    const fn sampling(name: &'static str) -> Self {
        Self { parent: Some("sampling_params"), name }
    }
}

/// Chat, completions and messages; the longer name wins where both are given, as in vLLM.
const CHAT_LIMITS: &[MemberPath] =
    &[MemberPath::top("max_completion_tokens"), MemberPath::top("max_tokens"), MemberPath::top("min_tokens")];
const RESPONSES_LIMITS: &[MemberPath] = &[MemberPath::top("max_output_tokens")];
const GENERATE_LIMITS: &[MemberPath] = &[MemberPath::sampling("max_tokens"), MemberPath::sampling("min_tokens")];

impl Api {
    /// Every API, in the order of their declaration.
    pub const ALL: [Self; 6] =
        [Self::ChatCompletions, Self::Completions, Self::Responses, Self::Messages, Self::Generate, Self::Embeddings];

    /// The API served at `path`, which must be exact (no query, no trailing slash).
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.path() == path)
    }

    /// The request path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
            Self::Generate => "/inference/v1/generate",
            Self::Embeddings => "/v1/embeddings",
        }
    }

    /// The name as llm-d's span attribute `llm_d.openai.api` has it, e.g. `chat_completions`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Generate => "generate",
            Self::Embeddings => "embeddings",
        }
    }

    /// The members that bound the number of generated tokens, upper bounds first and in order of precedence.
    ///
    /// A prefill leg sets every one of them to 1, the lower bound too: vLLM answers 400 where `min_tokens` exceeds
    /// `max_tokens`.
    pub const fn token_limits(self) -> &'static [MemberPath] {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Messages => CHAT_LIMITS,
            Self::Responses => RESPONSES_LIMITS,
            Self::Generate => GENERATE_LIMITS,
            Self::Embeddings => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_leads_back_to_its_api() {
        for api in Api::ALL {
            assert_eq!(Api::from_path(api.path()), Some(api));
        }
        assert_eq!(Api::from_path("/v1/chat/completions/"), None);
        assert_eq!(Api::from_path("/v1/models"), None);
    }
}
