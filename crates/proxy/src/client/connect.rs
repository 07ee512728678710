//! Opening a connection: name, TCP, TLS, within one time-out.

use std::io;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::{ClientError, ErrorKind};
use super::target::{Key, TlsPolicy};
use crate::BoxError;
use crate::io::Transport;
use crate::tls::ClientTls;

/// Connects to `key`, ready to speak HTTP.
pub(super) async fn connect(key: &Key, tls: &ClientTls) -> Result<Transport, ClientError> {
    let stream = tcp(key).await?;
    // Nagle's algorithm would hold a request's last segment until the engine acknowledges the one before.
    stream.set_nodelay(true).map_err(|error| failed(ErrorKind::Connect, error))?;
    match key.tls {
        None => Ok(Transport::Plain(stream)),
        // A handshake is some 8 KiB of state, which a plain connection must not make room for.
        Some(policy) => Box::pin(handshake(stream, key, policy, tls)).await,
    }
}

/// Tries the host's addresses in the resolver's order, or the one that the caller chose; the error is the last one's.
async fn tcp(key: &Key) -> Result<TcpStream, ClientError> {
    if let Some(address) = key.address {
        return TcpStream::connect((address, key.port)).await.map_err(|error| failed(ErrorKind::Connect, error));
    }
    let addresses = tokio::net::lookup_host((key.host.as_str(), key.port))
        .await
        .map_err(|error| failed(ErrorKind::Resolve, error))?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => failed(ErrorKind::Connect, error),
        None => ClientError::new(ErrorKind::Resolve, None),
    })
}

async fn handshake(stream: TcpStream, key: &Key, policy: TlsPolicy, tls: &ClientTls) -> Result<Transport, ClientError> {
    let name = ServerName::try_from(key.host.clone()).map_err(|error| failed(ErrorKind::Tls, error))?;
    let config = tls.config(policy == TlsPolicy::SkipVerify, key.http2);
    let stream =
        TlsConnector::from(config).connect(name, stream).await.map_err(|error| failed(ErrorKind::Tls, error))?;
    if key.http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(failed(ErrorKind::Tls, io::Error::other("the upstream did not agree to HTTP/2")));
    }
    Ok(Transport::TlsClient(Box::new(stream)))
}

fn failed(kind: ErrorKind, error: impl Into<BoxError>) -> ClientError {
    ClientError::new(kind, error.into())
}
