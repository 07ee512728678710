//! `/tokenize`: the tokens of a prompt, cut here where the gateway has the model's tokenizer, else by an engine.

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use openai::{Api, Body as Json};
use proxy::Body;
use serde_json::{Value, json};

use crate::admin;
use crate::errors::Refusal;
use crate::headers;
use crate::routing::Excluded;
use crate::state::State;

/// Answers one request.
pub(crate) async fn serve(state: &State, request: Request<Incoming>) -> Response<Body> {
    let answered = if state.tokens.cuts() { cut(state, request).await } else { pass(state, request).await };
    answered.unwrap_or_else(|refusal| refusal.to_response(None))
}

/// Cuts the prompt here.
async fn cut(state: &State, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let bytes = proxy::body::collect(request.into_body(), state.max_body_bytes).await?;
    let body = Json::parse(bytes)?;
    let api = if body.get("messages").is_some() { Api::ChatCompletions } else { Api::Completions };
    let ids = state.tokens.cut(api, &body).await.ok_or(Refusal::Crowded)??;
    let answer = json!({
        "count": ids.len(), "max_model_len": state.tokens.max_model_len(), "tokens": ids, "token_strs": Value::Null,
    });
    Ok(admin::answer(StatusCode::OK, answer.to_string()))
}

/// Passes a request on to the next engine, and its answer back as it is.
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
