//! What is served where: the one table that requests are routed by and that `/openapi.json` describes.

use http::Method;
use openai::Api;

/// Who answers a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// An inference API.
    Inference(Api),
    /// A prompt's tokens.
    Tokenize,
    /// The list of models.
    Models,
    /// Whether the process lives.
    Health,
    /// Whether it can serve.
    Ready,
    /// The metrics.
    Metrics,
    /// The settings.
    Config,
    /// The description of all this.
    OpenApi,
}

impl Route {
    /// Every route.
    pub(crate) const ALL: [Self; 12] = [
        Self::Inference(Api::ChatCompletions),
        Self::Inference(Api::Completions),
        Self::Inference(Api::Responses),
        Self::Inference(Api::Messages),
        Self::Inference(Api::Embeddings),
        Self::Tokenize,
        Self::Models,
        Self::Health,
        Self::Ready,
        Self::Metrics,
        Self::Config,
        Self::OpenApi,
    ];

    /// The route of a path, which must be exact.
    pub(crate) fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.path() == path)
    }

    /// Its path.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Inference(api) => api.path(),
            Self::Tokenize => "/tokenize",
            Self::Models => "/v1/models",
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
            Self::Config => "/config",
            Self::OpenApi => "/openapi.json",
        }
    }

    /// Whether clients post to it; else they get it.
    pub(crate) const fn posts(self) -> bool {
        matches!(self, Self::Inference(_) | Self::Tokenize)
    }

    /// The methods it answers, as the `Allow` field lists them.
    pub(crate) const fn allow(self) -> &'static str {
        if self.posts() { "POST" } else { "GET, HEAD" }
    }

    /// Whether it answers `method`.
    pub(crate) fn allows(self, method: &Method) -> bool {
        if self.posts() { method == Method::POST } else { matches!(*method, Method::GET | Method::HEAD) }
    }

    /// Whether it needs a key where keys are asked for. Probes and scrapers have none, and tell nobody a prompt or a setting.
    pub(crate) const fn needs_key(self) -> bool {
        matches!(self, Self::Inference(_) | Self::Tokenize | Self::Models | Self::Config)
    }
}
