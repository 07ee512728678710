//! From a path to its handler.

use std::sync::Arc;

use http::header::ORIGIN;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use openai::Api;
use proxy::Body;
use telemetry::clock::{self, Moment};
use telemetry::server_timing::{ServerTiming, name};

use crate::admin;
use crate::errors::Refusal;
use crate::exchange;
use crate::headers::{self, REQUEST_ID};
use crate::routes::Route;
use crate::state::State;
use crate::tokenize;

/// Answers one request.
pub(crate) async fn handle(state: Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let received = clock::now();
    let origin = request.headers().get(ORIGIN).cloned();
    let preflight = state.cors.preflight(request.method(), request.uri(), request.headers());
    let mut response = match preflight {
        Some(response) => named(response, request.headers(), received),
        None => route(&state, received, request).await,
    };
    state.cors.mark(origin.as_ref(), response.headers_mut());
    response
}

/// Brings a request to its handler.
async fn route(state: &State, received: Moment, mut request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    let api = Api::from_path(path);
    let route = match Route::of(path) {
        Some(route) if route.allows(request.method()) => Ok(route),
        Some(route) => Err(Refusal::MethodNotAllowed { allow: route.allow() }),
        None => Err(Refusal::NotFound { path: path.to_owned() }),
    };
    let admitted = route.as_ref().map_or(Ok(()), |route| state.access.admit(*route, &mut request));
    if let Ok(Route::Inference(api)) = route {
        return exchange::serve(state, api, received, request, admitted).await;
    }
    let id = headers::request_id(request.headers(), received);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = match admitted.and(route) {
        Ok(route) => administer(state, route, request).await,
        Err(refusal) => refusal.to_response(api),
    };
    response.headers_mut().insert(REQUEST_ID, id);
    insert_total(&mut response, received);
    response
}

/// An answer that went through no stages, with the request's id and its timing.
fn named(mut response: Response<Body>, asked: &HeaderMap, received: Moment) -> Response<Body> {
    response.headers_mut().insert(REQUEST_ID, headers::request_id(asked, received));
    insert_total(&mut response, received);
    response
}

async fn administer(state: &State, route: Route, request: Request<Incoming>) -> Response<Body> {
    match route {
        Route::Tokenize => tokenize::serve(state, request).await,
        Route::Models => admin::models(state, request.headers()).await,
        Route::Ready => admin::ready(state).await,
        Route::Metrics => state.process.page(request.headers()).await.map(Body::from),
        Route::Config => admin::config(state),
        Route::OpenApi => admin::openapi(),
        Route::Health | Route::Inference(_) => admin::health(),
    }
}

/// `Server-Timing` of an answer that went through no stages.
fn insert_total(response: &mut Response<Body>, received: Moment) {
    let total = clock::now().nanos_since(received);
    headers::insert_timing(response.headers_mut(), ServerTiming::default().with(name::TOTAL, Some(total)).to_header());
}
