//! What is asked of simulated engines beyond requests.

use std::net::SocketAddr;

use http::{Method, Request, Uri};
use proxy::{Body, Client, Target};

/// `POST`s to an engine's `/admin/`.
pub(crate) async fn post(client: &Client, engine: SocketAddr, what: &str) -> anyhow::Result<()> {
    let uri: Uri = format!("/admin/{what}").parse()?;
    let mut request = Request::new(Body::Empty);
    (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri);
    let status = client.send(&Target::from_addr(engine), request).await?.status();
    anyhow::ensure!(status.is_success(), "it answered {status}");
    Ok(())
}
