//! Everything that is not a generation request goes to the decoder as it is.
//!
//! With one exception: a body that may hold members which name hosts loses them here too (SGLang's own `/generate` takes
//! `bootstrap_host`, for one). That takes reading the body, so it is done only for bodies that an engine would read as
//! JSON; anything else, uploads in particular, streams through.

use std::sync::Arc;

use coordinator::Failure;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use openai::Body as Json;
use pd::hosts;
use proxy::body::collect;
use proxy::{Body, headers as http_headers};
use telemetry::{Blame, Stage};

use crate::headers::{self, REQUEST_ID};
use crate::rank::Rank;

/// Forwards a request to the rank's decoder, and its answer to the client.
pub(crate) async fn handle(rank: Arc<Rank>, request: Request<Incoming>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let id = headers::settle_request_id(&mut parts.headers);
    let mut response = forward(&rank, parts, body).await.unwrap_or_else(Failure::into_response);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

async fn forward(rank: &Rank, mut parts: http::request::Parts, body: Incoming) -> Result<Response<Body>, Failure> {
    let decoder = rank.decoder_for(&parts.headers)?;
    http_headers::strip_hop_by_hop(&mut parts.headers);
    headers::strip_routing(&mut parts.headers);
    parts.headers.remove(HOST);
    parts.headers.remove(EXPECT);
    let body = if may_be_json(&parts.method, &parts.headers) {
        parts.headers.remove(CONTENT_LENGTH);
        checked(rank, body).await?
    } else {
        Body::from(body)
    };
    let request = Request::from_parts(parts, body);
    let response = decoder.client.send(&decoder.target, request).await.map_err(|error| Failure::decoder(&error))?;
    let mut response = response.map(Body::from);
    http_headers::strip_hop_by_hop(response.headers_mut());
    Ok(response)
}

/// Whether an engine would look for JSON in the body. FastAPI does so too where no content type is given.
fn may_be_json(method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    match headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase()) {
        None => true,
        Some(kind) => !kind.starts_with(b"multipart/") && !kind.starts_with(b"application/octet-stream"),
    }
}

/// The whole body, without members that name hosts.
async fn checked(rank: &Rank, body: Incoming) -> Result<Body, Failure> {
    let bytes = collect(body, rank.shared.config.max_body).await.map_err(Failure::unread)?;
    if !hosts::suspicious(&bytes) {
        return Ok(Body::from(bytes));
    }
    match Json::parse(bytes.clone()) {
        Ok(json) => Ok(Body::from(hosts::strip(&json))),
        // An engine may read what we cannot (another encoding, say), and then it would read the hosts as well.
        Err(error) if may_be_object(&bytes) => {
            Err(Failure::Made { stage: Stage::Receive, blame: Blame::Client, error: error.into() })
        }
        Err(_) => Ok(Body::from(bytes)),
    }
}

fn may_be_object(bytes: &[u8]) -> bool {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    bytes.contains(&0) || text.trim_ascii_start().starts_with(b"{")
}
