//! One connection to the receiver: TCP, TLS where the scheme says so, HTTP/1.1 or HTTP/2.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::{OtlpConfig, Protocol, TlsFiles};
use crate::export::ExportError;

/// An open connection. Dropping it closes it.
pub(crate) struct Connection {
    sender: Sender,
    /// Drives the connection; aborted on drop.
    _driver: JoinSet<()>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// What is needed to connect again.
pub(crate) struct Connector {
    host: String,
    port: u16,
    http2: bool,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Connection {
    pub(crate) fn is_open(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => !sender.is_closed(),
            Sender::Http2(sender) => !sender.is_closed(),
        }
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ExportError> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
        }
    }

    async fn over<T>(io: T, http2: bool) -> Result<Self, ExportError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(io);
        let mut driver = JoinSet::new();
        // An error of the connection is an error of the request that was on it.
        let sender = if http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            driver.spawn(async move {
                let _ = connection.await;
            });
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            driver.spawn(async move {
                let _ = connection.await;
            });
            Sender::Http1(sender)
        };
        Ok(Self { sender, _driver: driver })
    }
}

impl Connector {
    pub(super) fn new(config: &OtlpConfig) -> Result<Self, ExportError> {
        Self::to(&config.endpoint, config.protocol == Protocol::Grpc, &config.tls)
    }

    /// Connects to the host of `uri`, with TLS where its scheme says so.
    pub(crate) fn to(uri: &Uri, http2: bool, files: &TlsFiles) -> Result<Self, ExportError> {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or_else(|| ExportError::Endpoint(uri.to_string()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = secure.then(|| tls(uri, &host, files, http2)).transpose()?;
        let default_port = match (http2, secure) {
            (true, _) => 4317,
            (false, true) => 443,
            (false, false) => 80,
        };
        Ok(Self { host, port: uri.port_u16().unwrap_or(default_port), http2, tls })
    }

    pub(crate) async fn connect(&self) -> Result<Connection, ExportError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(ExportError::Connect)?;
        stream.set_nodelay(true).map_err(ExportError::Connect)?;
        match &self.tls {
            None => Connection::over(stream, self.http2).await,
            Some((tls, name)) => {
                let stream = tls.connect(name.clone(), stream).await.map_err(ExportError::Connect)?;
                Connection::over(stream, self.http2).await
            }
        }
    }
}

fn tls(
    uri: &Uri,
    host: &str,
    files: &TlsFiles,
    http2: bool,
) -> Result<(TlsConnector, ServerName<'static>), ExportError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| ExportError::Endpoint(uri.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    match &files.certificate {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
        }
        None => {
            let (_, _ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match (&files.client_certificate, &files.client_key) {
        (Some(chain), Some(key)) => builder.with_client_auth_cert(certificates(chain)?, private_key(key)?)?,
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok((TlsConnector::from(Arc::new(config)), name))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ExportError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| ExportError::pem(path, &error))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ExportError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| ExportError::pem(path, &error))
}
