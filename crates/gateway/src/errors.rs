//! Everything that the gateway answers instead of an engine.
//!
//! One enum names every reason; one table maps it to status, `x-candor-error` stage, code and sentence. An engine's own
//! error answers never come here: they are relayed as they are.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use openai::{Api, ApiError, BodyError, ErrorKind};
use proxy::body::CollectError;
use proxy::client::{ClientError, ErrorKind as ClientFault};
use proxy::{Body, BoxError};
use telemetry::gateway::Rejection;
use telemetry::{Blame, Stage};

use crate::endpoints::Endpoint;
use crate::headers::CANDOR_ERROR;
use crate::limits::Exceeded;
use crate::tokens::CutError;

/// By which OpenAI's clients know that trying again is of no use.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// What became of a request: the head of an answer, or why there is none.
pub(crate) type Sent = Result<Response<Body>, Refusal>;

/// Why the gateway answers itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// No such path.
    #[error("there is no {path} here")]
    NotFound {
        /// What was asked for.
        path: String,
    },
    /// The path knows other methods.
    #[error("this path answers {allow} only")]
    MethodNotAllowed {
        /// The methods it knows, as the `Allow` field lists them.
        allow: &'static str,
    },
    /// Keys are asked for, and the request has none that is known.
    #[error("no valid API key: send one as `Authorization: Bearer KEY`")]
    Unauthorized,
    /// The body is not what the API wants.
    #[error("{0}")]
    Body(#[from] BodyError),
    /// The body is too long.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// The prompt leaves no room for an answer.
    #[error("the model's longest context is {limit} tokens, and the prompt has {tokens}")]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: u64,
        /// Tokens of prompt and answer together.
        limit: u64,
    },
    /// The prompt cannot be turned into tokens.
    #[error(transparent)]
    Uncut(#[from] CutError),
    /// Too many prompts are being turned into tokens.
    #[error("too many prompts are being turned into tokens")]
    Crowded,
    /// The client left within its body.
    #[error("the client left within its body")]
    BodyCutOff,
    /// The body is not framed as HTTP frames a body.
    #[error("the body cannot be read: {0}")]
    BodyGarbled(BoxError),
    /// Too many requests wait already.
    #[error("too many requests are waiting; try again later")]
    QueueFull {
        /// After how long to come back.
        retry_after: Duration,
    },
    /// Its model or its key has used what it may.
    #[error("{0}")]
    Limited(Box<Exceeded>),
    /// It waited too long for admission.
    #[error("the request was not admitted within {patience:?}")]
    QueueTimeout {
        /// How long it waited.
        patience: Duration,
    },
    /// The cluster is full, by its scheduler's account.
    #[error("no available inference worker: every instance is busy")]
    Busy,
    /// There is no engine.
    #[error("no engine is there to serve the request")]
    NoInstance,
    /// The engine did not answer.
    #[error("the engine at {endpoint} did not answer: {error}")]
    Upstream {
        /// Which engine.
        endpoint: Endpoint,
        /// What happened.
        error: ClientError,
    },
    /// A leg of a disaggregated request failed.
    #[error("{}", error.message)]
    Legs {
        /// Which one.
        stage: Stage,
        /// Whose fault it was.
        blame: Blame,
        /// What the client is told.
        error: ApiError,
    },
    /// No route is for the model.
    #[error("no route is for the model `{model}`")]
    Unrouted {
        /// What the client asked for.
        model: String,
    },
    /// The endpoint outside the cluster did not answer.
    #[error("the endpoint {name} did not answer: {error}")]
    Elsewhere {
        /// Which endpoint.
        name: String,
        /// What happened.
        error: ClientError,
    },
}

impl From<CollectError> for Refusal {
    /// A body that breaks HTTP's framing is a mistake to be told of; any other break is the client's leaving.
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::TooLarge { limit } => Self::TooLarge { limit },
            CollectError::Incomplete(error) if is_garbled(error.as_ref()) => Self::BodyGarbled(error),
            CollectError::Incomplete(_) => Self::BodyCutOff,
        }
    }
}

fn is_garbled(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
    })
}

impl Refusal {
    /// The stage that failed, and whose fault it was.
    pub(crate) fn fault(&self) -> (Stage, Blame) {
        match self {
            Self::NotFound { .. }
            | Self::MethodNotAllowed { .. }
            | Self::Unauthorized
            | Self::Body(_)
            | Self::TooLarge { .. }
            | Self::PromptTooLong { .. }
            | Self::Uncut(_)
            | Self::BodyCutOff
            | Self::BodyGarbled(_) => (Stage::Receive, Blame::Client),
            Self::Crowded => (Stage::Receive, Blame::Candor),
            Self::QueueFull { .. } | Self::QueueTimeout { .. } => (Stage::Queue, Blame::Candor),
            Self::Limited(_) => (Stage::Queue, Blame::Client),
            Self::Legs { stage, blame, .. } => (*stage, *blame),
            Self::Unrouted { .. } => (Stage::Schedule, Blame::Client),
            Self::Busy | Self::NoInstance => (Stage::Schedule, Blame::Upstream),
            Self::Upstream { error, .. } | Self::Elsewhere { error, .. } => match error.kind() {
                ClientFault::InvalidRequest => (Stage::Dispatch, Blame::Candor),
                ClientFault::Protocol | ClientFault::ResponseTimeout => (Stage::Dispatch, Blame::Upstream),
                _ => (Stage::Dispatch, Blame::Network),
            },
        }
    }

    /// A name that programs can match.
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Unauthorized => "invalid_api_key",
            Self::Body(_) => "invalid_body",
            Self::TooLarge { .. } => "body_too_large",
            Self::PromptTooLong { .. } => "context_length_exceeded",
            Self::Uncut(_) => "prompt_not_tokenized",
            Self::Crowded => "tokenizer_busy",
            Self::BodyCutOff => "body_cut_off",
            Self::BodyGarbled(_) => "body_garbled",
            Self::QueueFull { .. } => "queue_full",
            Self::Limited(_) => "rate_limit_exceeded",
            Self::QueueTimeout { .. } => "queue_timeout",
            Self::Busy => "no_available_worker",
            Self::NoInstance => "no_instance",
            Self::Legs { stage, .. } => match stage {
                Stage::Prefill => "prefill_failed",
                _ => "decode_failed",
            },
            Self::Unrouted { .. } => "model_not_found",
            Self::Upstream { error, .. } | Self::Elsewhere { error, .. } => error.kind().name(),
        }
    }

    /// Why it was turned away although nothing was wrong with it or with an engine; `None` for all other reasons.
    pub(crate) fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::QueueFull { .. } => Some(Rejection::QueueFull),
            Self::QueueTimeout { .. } => Some(Rejection::QueueTimeout),
            Self::Limited(exceeded) => Some(exceeded.rejection()),
            _ => None,
        }
    }

    /// The error in OpenAI's terms.
    fn to_api_error(&self) -> ApiError {
        let kind = match self {
            Self::Body(error) => return ApiError::from(error.clone()).with_code(self.code()),
            Self::Legs { error, .. } => return error.clone().with_code(self.code()),
            Self::NotFound { .. } | Self::Unrouted { .. } => ErrorKind::NotFound,
            Self::MethodNotAllowed { .. } => ErrorKind::MethodNotAllowed,
            Self::Unauthorized => ErrorKind::Unauthorized,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::PromptTooLong { .. } | Self::Uncut(_) | Self::BodyCutOff | Self::BodyGarbled(_) => {
                ErrorKind::InvalidRequest
            }
            Self::Crowded => ErrorKind::Unavailable,
            Self::QueueFull { .. } | Self::Limited(_) => ErrorKind::Overloaded,
            Self::QueueTimeout { .. } | Self::Busy | Self::NoInstance => ErrorKind::Unavailable,
            Self::Upstream { error, .. } | Self::Elsewhere { error, .. } => upstream_kind(error.kind()),
        };
        ApiError::new(kind, self.to_string()).with_code(self.code())
    }

    /// The answer, in the shape that clients of `api` read. A client that is still sending must not be waited for, so an unread
    /// body closes the connection.
    pub(crate) fn to_response(&self, api: Option<Api>) -> Response<Body> {
        let error = self.to_api_error();
        let mut response = Response::new(Body::from(error.to_json_for(api)));
        *response.status_mut() = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CANDOR_ERROR, HeaderValue::from_static(self.fault().0.as_str()));
        match self {
            Self::MethodNotAllowed { allow } => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allow));
            }
            Self::QueueFull { retry_after } => {
                headers.insert(header::RETRY_AFTER, whole_seconds(*retry_after));
            }
            Self::Limited(exceeded) => {
                exceeded.rates().insert_into(headers);
                match exceeded.retry_after {
                    Some(wait) => headers.insert(header::RETRY_AFTER, whole_seconds(wait)),
                    None => headers.insert(SHOULD_RETRY, HeaderValue::from_static("false")),
                };
            }
            Self::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::TooLarge { .. } | Self::BodyCutOff | Self::BodyGarbled(_) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// `Retry-After` counts in whole seconds; a client must not come back too early.
fn whole_seconds(duration: Duration) -> HeaderValue {
    HeaderValue::from(duration.as_nanos().div_ceil(1_000_000_000).max(1) as u64)
}

/// What an engine that did not answer is to the client: not there (503), too slow (504), or not making sense (502).
fn upstream_kind(fault: ClientFault) -> ErrorKind {
    match fault {
        fault if fault.is_connect() => ErrorKind::Unavailable,
        ClientFault::ResponseTimeout => ErrorKind::Timeout,
        ClientFault::InvalidRequest => ErrorKind::Internal,
        _ => ErrorKind::BadGateway,
    }
}
