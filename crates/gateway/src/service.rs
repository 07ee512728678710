//! From a path to its handler.

use std::sync::Arc;

use http::header::ACCEPT;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use openai::Api;
use proxy::Body;
use telemetry::clock::{self, Moment};
use telemetry::server_timing::{ServerTiming, name};

use crate::admin;
use crate::errors::Refusal;
use crate::exchange;
use crate::headers::{self, REQUEST_ID};
use crate::state::State;

/// Who answers a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// An inference API.
    Inference(Api),
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
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/models" => Some(Self::Models),
            "/healthz" => Some(Self::Health),
            "/readyz" => Some(Self::Ready),
            "/metrics" => Some(Self::Metrics),
            "/config" => Some(Self::Config),
            _ => match Api::from_path(path) {
                Some(api @ (Api::ChatCompletions | Api::Completions)) => Some(Self::Inference(api)),
                // The other APIs that a body can be read of are not offered yet.
                _ => None,
            },
        }
    }

    /// The methods it answers, as the `Allow` field lists them.
    fn allow(self) -> &'static str {
        match self {
            Self::Inference(_) => "POST",
            _ => "GET, HEAD",
        }
    }

    fn allows(self, method: &Method) -> bool {
        match self {
            Self::Inference(_) => method == Method::POST,
            _ => matches!(*method, Method::GET | Method::HEAD),
        }
    }
}

/// Answers one request.
pub(crate) async fn handle(state: Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let received = clock::now();
    let route = match Route::of(request.uri().path()) {
        Some(route) if route.allows(request.method()) => Ok(route),
        Some(route) => Err(Refusal::MethodNotAllowed { allow: route.allow() }),
        None => Err(Refusal::NotFound { path: request.uri().path().to_owned() }),
    };
    match route {
        Ok(Route::Inference(api)) => exchange::serve(&state, api, received, request).await,
        other => {
            let request_id = headers::request_id(request.headers(), received);
            let mut response = match other {
                Ok(route) => administer(&state, route, &request).await,
                Err(refusal) => refusal.to_response(),
            };
            response.headers_mut().insert(REQUEST_ID, request_id);
            insert_total(&mut response, received);
            response
        }
    }
}

async fn administer(state: &State, route: Route, request: &Request<Incoming>) -> Response<Body> {
    match route {
        Route::Models => admin::models(state, request.headers()).await,
        Route::Ready => admin::ready(state).await,
        Route::Metrics => admin::metrics(state, request.headers().get(ACCEPT)),
        Route::Config => admin::config(state),
        Route::Health | Route::Inference(_) => admin::health(),
    }
}

/// `Server-Timing` of an answer that went through no stages.
fn insert_total(response: &mut Response<Body>, received: Moment) {
    let total = clock::now().nanos_since(received);
    headers::insert_timing(response.headers_mut(), ServerTiming::default().with(name::TOTAL, Some(total)).to_header());
}
