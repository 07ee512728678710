//! One request for a page.

use http::{Request, StatusCode, header};
use proxy::{Body, Client, Target, body};

use super::target::ScrapeTarget;

/// What a page may weigh. A page of 10,000 series weighs about one mebibyte.
const MAX_PAGE: usize = 64 << 20;
/// OpenMetrics where the target has it, since only that has exemplars.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Who asks a target.
pub(super) struct Fetch {
    client: Client,
    target: Result<Target, String>,
    path: String,
}

impl Fetch {
    pub(super) fn new(target: &ScrapeTarget, client: Client) -> Self {
        let (target, path) = split(target.url());
        Self { client, target, path }
    }

    /// The page, or why there is none.
    pub(super) async fn page(&self) -> Result<String, String> {
        get(&self.client, self.target.as_ref(), &self.path, ACCEPT).await
    }
}

/// What to connect to for a URL, and what to ask for there.
pub(super) fn split(url: &str) -> (Result<Target, String>, String) {
    let uri: http::Uri = url.parse().unwrap_or_default();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let target = Target::parse(&format!("{}://{authority}", uri.scheme_str().unwrap_or("http")));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    (target.map_err(|error| error.to_string()), path.to_owned())
}

/// The text at a path, or why there is none.
pub(super) async fn get(
    client: &Client,
    target: Result<&Target, &String>,
    path: &str,
    accept: &str,
) -> Result<String, String> {
    let request = Request::get(path)
        .header(header::ACCEPT, accept)
        .header(header::USER_AGENT, concat!("candor-observatory/", env!("CARGO_PKG_VERSION")))
        .body(Body::Empty)
        .map_err(|error| error.to_string())?;
    let response = client.send(target.map_err(Clone::clone)?, request).await.map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("the target answered {}", response.status()));
    }
    let page = body::collect(response.into_body(), MAX_PAGE).await.map_err(|error| error.to_string())?;
    String::from_utf8(page.into()).map_err(|_| "the answer is no UTF-8".to_owned())
}
