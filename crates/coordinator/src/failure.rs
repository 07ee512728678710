//! What goes wrong, and how a client is told.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use openai::{ApiError, ErrorKind};
use proxy::body::CollectError;
use proxy::client::ErrorKind as Broken;
use proxy::{Body, ClientError};
use telemetry::{Blame, Outcome, Stage};

/// Says which stage made an error. An engine's own errors pass without it.
const MADE_HERE: HeaderName = HeaderName::from_static("x-candor-error");

/// A request that did not get its answer.
#[derive(Debug)]
pub enum Failure {
    /// We are the ones who say so.
    Made {
        /// What failed.
        stage: Stage,
        /// Whose fault it was.
        blame: Blame,
        /// What the client is told.
        error: ApiError,
    },
    /// The client left before its request was whole.
    Left(ApiError),
    /// An engine said so, and the client gets its words.
    Answered {
        /// Whose engine.
        stage: Stage,
        /// Its words.
        answer: Box<Answer>,
    },
}

/// A response that was read as a whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Failure {
    /// The client's fault.
    pub fn client(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Made { stage: Stage::Receive, blame: Blame::Client, error: ApiError::new(kind, message) }
    }

    /// Our own fault.
    pub(crate) fn own(stage: Stage, message: impl Into<String>) -> Self {
        Self::Made { stage, blame: Blame::Candor, error: ApiError::new(ErrorKind::Internal, message) }
    }

    /// The request's body could not be read.
    pub fn unread(error: CollectError) -> Self {
        match error {
            CollectError::TooLarge { limit } => {
                Self::client(ErrorKind::TooLarge, format!("the request body exceeds {limit} bytes"))
            }
            CollectError::Incomplete(error) => {
                let wrong = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
                let message = format!("the request body ended early: {error}");
                match wrong {
                    true => Self::client(ErrorKind::InvalidRequest, message),
                    false => Self::Left(ApiError::new(ErrorKind::InvalidRequest, message)),
                }
            }
        }
    }

    /// The decoder could not be asked, or broke before it answered.
    pub fn decoder(error: &ClientError) -> Self {
        let (kind, message) = if error.kind().is_connect() {
            (ErrorKind::Unavailable, format!("The decode node is not ready: {error}"))
        } else {
            (ErrorKind::BadGateway, format!("the decode node failed: {error}"))
        };
        Self::Made { stage: Stage::Decode, blame: blame(error), error: ApiError::new(kind, message) }
    }

    /// Whether there was no connection to the decoder, so that it has seen nothing.
    #[must_use]
    pub fn is_unreached(&self) -> bool {
        matches!(self, Self::Made { stage: Stage::Decode, blame: Blame::Network, error } if error.status() == 503)
    }

    /// How the request ended, for the record.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Made { stage, blame, error } => {
                Outcome::failed(*stage, *blame, error.status(), error.message.clone())
            }
            Self::Left(_) => Outcome::ClientCancelled,
            Self::Answered { stage, answer } => {
                let status = answer.status.as_u16();
                Outcome::failed(*stage, blame_for(answer.status), status, format!("the engine answered {status}"))
            }
        }
    }

    /// What the client gets where its response has not begun.
    pub fn into_response(self) -> Response<Body> {
        match self {
            Self::Made { stage, error, .. } => made(stage, &error),
            Self::Left(error) => made(Stage::Receive, &error),
            Self::Answered { answer, .. } => (*answer).into_response(),
        }
    }

    /// The error to put into a stream that has begun.
    pub(crate) fn into_error(self) -> ApiError {
        match self {
            Self::Made { error, .. } | Self::Left(error) => error,
            Self::Answered { stage, answer } => {
                let said = String::from_utf8_lossy(&answer.body).chars().take(500).collect::<String>();
                ApiError::new(
                    ErrorKind::BadGateway,
                    format!("{} answered {}: {said}", stage.as_str(), answer.status.as_u16()),
                )
            }
        }
    }

    /// Where it happened.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Made { stage, .. } | Self::Answered { stage, .. } => *stage,
            Self::Left(_) => Stage::Receive,
        }
    }
}

impl Answer {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        proxy::headers::strip_hop_by_hop(response.headers_mut());
        response.headers_mut().remove(CONTENT_LENGTH);
        response
    }
}

/// Whose fault an exchange's failure is: a peer that speaks no HTTP is at fault itself, all else is between us.
pub(crate) fn blame(error: &ClientError) -> Blame {
    match error.kind() {
        Broken::Protocol | Broken::ResponseTimeout => Blame::Upstream,
        Broken::RequestBody => Blame::Client,
        Broken::InvalidRequest => Blame::Candor,
        _ => Blame::Network,
    }
}

/// An engine's 4xx is about the request, its 5xx about the engine.
pub(crate) fn blame_for(status: StatusCode) -> Blame {
    if status.is_client_error() { Blame::Client } else { Blame::Upstream }
}

/// An error response of our own.
pub fn made(stage: Stage, error: &ApiError) -> Response<Body> {
    let mut response = Response::new(Body::from(error.to_json()));
    *response.status_mut() = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(MADE_HERE, HeaderValue::from_static(stage.as_str()));
    response
}
