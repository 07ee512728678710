//! Who is let in, and what of their credentials goes on.

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use hyper::body::Incoming;

use crate::errors::Refusal;
use crate::keys::{API_KEY, Keys};
use crate::routes::Route;

/// The terms on which requests are let in.
#[derive(Debug)]
pub(crate) struct Access {
    keys: Option<Keys>,
    /// What the gateway itself presents to engines.
    engine_key: Option<HeaderValue>,
}

impl Access {
    /// Without `keys`, everybody is let in, and credentials go on to the engines as they came.
    pub(crate) fn new(keys: Option<Keys>, engine_key: Option<HeaderValue>) -> Self {
        Self { keys, engine_key }
    }

    /// Lets a request in, or says why not. With keys, a request carries its caller from here on, and instead of the client's
    /// key, which is nobody's business behind the gateway, the gateway's own.
    pub(crate) fn admit(&self, route: Route, request: &mut Request<Incoming>) -> Result<(), Refusal> {
        let Some(keys) = self.keys.as_ref().filter(|_| route.needs_key()) else {
            return Ok(());
        };
        let caller = keys.identify(request.headers()).ok_or(Refusal::Unauthorized)?;
        request.extensions_mut().insert(caller);
        let headers = request.headers_mut();
        headers.remove(API_KEY);
        match &self.engine_key {
            Some(key) => headers.insert(AUTHORIZATION, key.clone()),
            None => headers.remove(AUTHORIZATION),
        };
        Ok(())
    }
}
