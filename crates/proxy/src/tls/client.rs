//! How upstreams' certificates are judged.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::provider;

/// A client's TLS configurations, made when first needed: reading the system's roots takes tens of milliseconds that a
/// client of plain HTTP should not wait for.
#[derive(Debug, Default)]
pub struct ClientTls {
    extra_roots: Vec<CertificateDer<'static>>,
    /// By "skip verification" and "HTTP/2", in that order.
    made: [OnceLock<Arc<ClientConfig>>; 4],
}

impl ClientTls {
    /// Trusts the system's roots and `extra_roots`.
    #[must_use]
    pub fn new(extra_roots: Vec<CertificateDer<'static>>) -> Self {
        Self { extra_roots, made: Default::default() }
    }

    /// The configuration for a connection that does or does not verify, and speaks HTTP/2 or HTTP/1.1.
    pub fn config(&self, skip_verify: bool, http2: bool) -> Arc<ClientConfig> {
        let slot = &self.made[usize::from(skip_verify) * 2 + usize::from(http2)];
        Arc::clone(slot.get_or_init(|| {
            let mut config = self.make(skip_verify);
            config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
            Arc::new(config)
        }))
    }

    fn make(&self, skip_verify: bool) -> ClientConfig {
        let provider = provider();
        let verifier: Arc<dyn ServerCertVerifier> = match self.verifier(&provider) {
            Some(verifier) if !skip_verify => verifier,
            // Without any root nothing can be verified; every handshake is refused, which says so.
            None if !skip_verify => Arc::new(Judge::Refuse),
            _ => Arc::new(Judge::Accept),
        };
        #[expect(clippy::expect_used, reason = "ring supports the default protocol versions")]
        let versions = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("default protocol versions");
        versions.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Option<Arc<WebPkiServerVerifier>> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(%error, "system certificate root not readable");
        }
        roots.add_parsable_certificates(system.certs);
        roots.add_parsable_certificates(self.extra_roots.iter().cloned());
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().ok()
    }
}

/// The verdicts that need no roots.
#[derive(Debug)]
enum Judge {
    Accept,
    Refuse,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self {
            Self::Accept => Ok(ServerCertVerified::assertion()),
            Self::Refuse => Err(rustls::Error::General("no certificate roots to verify against".to_owned())),
        }
    }

    // Who holds the key is checked even where nobody asks whose key it is: it costs nothing and catches a broken peer.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
