//! A bare reverse proxy: this crate's server in front of its client, and nothing between them.
//!
//! It measures what the plumbing costs by itself, beside nginx in the same place:
//!
//! ```text
//! taskset -c 1 reverse_proxy 127.0.0.1:8000 127.0.0.1:8200
//! ```

use std::net::SocketAddr;

use anyhow::Context as _;
use http::header::HeaderValue;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use proxy::headers::strip_hop_by_hop;
use proxy::{Body, Client, ClientConfig, Drain, Listener, ListenerConfig, Target};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    // The allocator asks for huge pages, of which a thousand half-used 8 KiB buffers occupy every byte.
    rustix::thread::disable_transparent_huge_pages(true)?;
    let mut arguments = std::env::args().skip(1);
    let listen: SocketAddr = arguments.next().context("usage: reverse_proxy LISTEN UPSTREAM")?.parse()?;
    let upstream = Target::parse(&arguments.next().context("usage: reverse_proxy LISTEN UPSTREAM")?)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(listen, upstream))
}

async fn serve(listen: SocketAddr, upstream: Target) -> anyhow::Result<()> {
    let listener = Listener::bind(listen, ListenerConfig::default())?;
    let client = Client::new(ClientConfig::default());
    let service = move |request| forward(client.clone(), upstream.clone(), request);
    listener.serve(service, Drain::new()).await;
    Ok(())
}

async fn forward(client: Client, upstream: Target, request: Request<Incoming>) -> Response<Body> {
    let mut request = request.map(Body::from);
    request.extensions_mut().clear();
    strip_hop_by_hop(request.headers_mut());
    match client.send(&upstream, request).await {
        Ok(mut response) => {
            strip_hop_by_hop(response.headers_mut());
            response.map(Body::from)
        }
        Err(error) => bad_gateway(&error),
    }
}

fn bad_gateway(error: &proxy::ClientError) -> Response<Body> {
    let mut response = Response::new(Body::from(error.to_string()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.headers_mut().insert("x-candor-error", HeaderValue::from_static("upstream"));
    response
}
