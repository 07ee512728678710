//! TLS, JSON and the end of a process, over real sockets.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;

use super::*;

/// An authority, and what it signed for a server and a client, as files.
struct Authority {
    directory: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { directory: tempfile::tempdir().unwrap(), issuer };
        authority.file("ca.pem", &authority.issuer.pem());
        authority
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server for 127.0.0.1 that asks clients for a certificate of this authority, or for none.
    fn server(&self, mutual: bool) -> TlsAcceptor {
        let (certificate, key) = self.sign("127.0.0.1");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Writes a client's certificate and key.
    fn client(&self) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.sign("client");
        (self.file("client.pem", &certificate.pem()), self.file("client.key", &key.serialize_pem()))
    }
}

/// Telemetry as the standard variables set it up.
fn by_environment(variables: &[(&str, &str)]) -> Arc<Telemetry> {
    let mut config = TelemetryConfig::new("svc");
    config.batch.export_timeout = Duration::from_millis(1500);
    config.limits.value_length = 5;
    let found = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    assert_eq!(config.apply_environment(found), []);
    Telemetry::new(config).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn spans_arrive_over_tls_and_mutual_tls() {
    let authority = Authority::new();
    let (certificate, key) = authority.client();
    let ca = authority.path("ca.pem");
    for (protocol, mutual) in [("http/protobuf", false), ("http/protobuf", true), ("grpc", false), ("grpc", true)] {
        let (collector, mut tasks) = (Collector::default(), JoinSet::new());
        let addr = collector.clone().serve_over(Some(authority.server(mutual)), &mut tasks).await;
        let endpoint = format!("https://{addr}");
        let mut variables = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", text(&ca)),
        ];
        if mutual {
            variables.push(("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", text(&certificate)));
            variables.push(("OTEL_EXPORTER_OTLP_CLIENT_KEY", text(&key)));
        }
        let telemetry = by_environment(&variables);
        record(&telemetry);
        telemetry.shutdown().await;
        assert_eq!(fate(&telemetry), [1.0, 0.0, 0.0], "{protocol}, mutual: {mutual}");
        assert_whole(&collector.spans()[0]);
    }
}

#[tokio::test]
async fn who_cannot_be_trusted_gets_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (protocol, trusted, mutual) in
        [("http/protobuf", &stranger, false), ("grpc", &stranger, false), ("http/protobuf", &authority, true)]
    {
        let (collector, mut tasks) = (Collector::default(), JoinSet::new());
        let addr = collector.clone().serve_over(Some(authority.server(mutual)), &mut tasks).await;
        let telemetry = by_environment(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("https://{addr}")),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", text(&trusted.path("ca.pem"))),
        ]);
        record(&telemetry);
        telemetry.shutdown().await;
        assert_eq!(fate(&telemetry), [0.0, 0.0, 1.0], "{protocol}, client certificate wanted: {mutual}");
        assert!(collector.spans().is_empty());
    }
}

#[tokio::test]
async fn a_file_that_is_no_certificate_is_said_at_once() {
    let authority = Authority::new();
    let broken = authority.file("broken.pem", "no certificate");
    let mut otlp = OtlpConfig::new("https://127.0.0.1:1/v1/traces".parse().unwrap(), Protocol::HttpProtobuf);
    otlp.tls.client_certificate = Some(broken.clone());
    otlp.tls.client_key = Some(broken);
    let config = TelemetryConfig::new("svc").with_export(SpanExport::Otlp(Box::new(otlp)));
    let error = Telemetry::new(config).err().unwrap().to_string();
    assert!(error.contains("broken.pem"), "{error}");
}

#[tokio::test]
async fn json_arrives_and_its_answer_is_read() {
    for (gzip, rejected, fates) in [("none", 0, [2.0, 0.0, 0.0]), ("gzip", 1, [1.0, 0.0, 1.0])] {
        let (collector, mut tasks) = (Collector { rejected, ..Collector::default() }, JoinSet::new());
        let addr = collector.clone().serve(&mut tasks).await;
        let telemetry = by_environment(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{addr}")),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", gzip),
        ]);
        record(&telemetry);
        record(&telemetry);
        telemetry.shutdown().await;
        assert_eq!(fate(&telemetry), fates, "{gzip}");
        let received = collector.json.lock();
        let spans = &received[0]["resourceSpans"][0]["scopeSpans"][0]["spans"];
        assert_eq!((spans.as_array().unwrap().len(), &spans[0]["name"]), (2, &"leg".into()));
        assert_eq!(spans[0]["parentSpanId"].as_str().unwrap().len(), 16);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_takes_one_export_time_out_however_much_waits() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", hanging.local_addr().unwrap()).parse().unwrap();
    let export = SpanExport::Otlp(Box::new(OtlpConfig::new(endpoint, Protocol::HttpProtobuf)));
    let mut config = TelemetryConfig::new("svc").with_export(export);
    config.batch.max_export_batch_size = 2;
    let time_out = config.batch.export_timeout;
    let telemetry = Telemetry::new(config).unwrap();
    (0..9).for_each(|_| record(&telemetry));
    // The first batch is under way when the stop comes.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let begun = now();
    telemetry.shutdown().await;
    let took = now() - begun;
    assert!(took >= time_out && took < time_out + Duration::from_secs(1), "{took:?}");
    assert_eq!(fate(&telemetry), [0.0, 0.0, 9.0]);
}
