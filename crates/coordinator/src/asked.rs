//! What the client asked, ready to be sent on.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, HeaderMap};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri};
use openai::{Api, Body as Json, Head};

/// How the client wants its answer.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// As a stream.
    pub streaming: bool,
    /// With its usage at the end.
    pub include_usage: bool,
    /// With its usage in every chunk.
    pub continuous_usage: bool,
}

impl Wishes {
    /// Reads them off a body.
    #[must_use]
    pub fn of(head: &Head<'_>) -> Self {
        Self {
            streaming: head.stream,
            include_usage: head.include_usage,
            continuous_usage: head.continuous_usage_stats,
        }
    }
}

/// A generation request as it was read. Shared by its legs; nothing in it changes any more.
#[derive(Debug)]
pub struct Asked {
    /// To which API.
    pub api: Api,
    /// What the client wrote.
    pub body: Json,
    /// How it wants its answer.
    pub wishes: Wishes,
    path: PathAndQuery,
    headers: HeaderMap,
}

impl Asked {
    /// Takes over the request's path and headers; `headers` has its hop-by-hop and routing fields removed already.
    #[must_use]
    pub fn new(api: Api, path: PathAndQuery, mut headers: HeaderMap, body: Json, wishes: Wishes) -> Self {
        // The length is the leg's own, the host its target's; compressed answers could not be read on their way.
        for name in [CONTENT_LENGTH, HOST, ACCEPT_ENCODING, EXPECT] {
            headers.remove(name);
        }
        Self { api, body, wishes, path, headers }
    }

    /// A leg with the client's headers and this body. The caller adds the trace context.
    pub(crate) fn leg(&self, body: Bytes) -> Request<proxy::Body> {
        let mut leg = Request::new(proxy::Body::Full(body));
        *leg.method_mut() = Method::POST;
        *leg.uri_mut() = Uri::from(self.path.clone());
        leg.headers_mut().clone_from(&self.headers);
        leg
    }
}
