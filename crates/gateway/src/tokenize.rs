//! `/tokenize`: the tokens of a prompt, as an engine would make them.

use http::{Request, Response};
use hyper::body::Incoming;
use proxy::Body;

use crate::errors::Refusal;
use crate::headers;
use crate::routing::Excluded;
use crate::state::State;

/// Passes a request on to the next engine, and its answer back as it is.
pub(crate) async fn serve(state: &State, request: Request<Incoming>) -> Response<Body> {
    pass(state, request).await.unwrap_or_else(|refusal| refusal.to_response(None))
}

async fn pass(state: &State, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let (mut head, body) = request.into_parts();
    let bytes = proxy::body::collect(body, state.max_body_bytes).await?;
    let placement = state.robin.place(&state.roster.load(), &Excluded::default()).ok_or(Refusal::NoInstance)?;
    let request_id = head.headers.get(headers::REQUEST_ID).cloned();
    headers::strip_request(&mut head.headers);
    if let Some(id) = request_id {
        head.headers.insert(headers::REQUEST_ID, id);
    }
    let endpoint = &placement.serving.endpoint;
    let sent = state.client.send(endpoint.target(), Request::from_parts(head, Body::from(bytes))).await;
    let (mut head, body) = sent.map_err(|error| Refusal::Upstream { endpoint: endpoint.clone(), error })?.into_parts();
    headers::strip_response(&mut head.headers);
    Ok(Response::from_parts(head, Body::Upstream(body)))
}
