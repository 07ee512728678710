//! An endpoint outside the cluster that speaks HTTPS, with a certificate that the system's store vouches for.

use http::{Request, Response, StatusCode};
use proxy::body::collect;
use proxy::tls::ServerTls;
use proxy::{Body, Client, ClientConfig, Drain, Listener, ListenerConfig, Target};

use crate::support::Candor;

#[tokio::test]
async fn https_endpoints_serve_whose_certificate_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = ListenerConfig { tls: Some(ServerTls::from_dir(dir.path()).unwrap()), ..ListenerConfig::default() };
    let outside = Listener::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let url = format!("https://localhost:{}/v1", outside.local_addr().port());
    let drain = Drain::new();
    let serve = |request: Request<_>| async move {
        let key = request.headers()["authorization"].to_str().unwrap().to_owned();
        Response::new(Body::from(format!(r#"{{"path":"{}","key":"{key}"}}"#, request.uri().path())))
    };
    drain.spawn(outside.serve(serve, drain.clone()));

    let routes = format!(r#"--route-config=[{{"base_url":"{url}","api_key":"k","prefix":"*"}}]"#);
    let flags = ["--neutral-endpoints=127.0.0.1:9", "--route-policy=prefix", &routes];
    let trust = [("SSL_CERT_FILE", cert.to_str().unwrap())];
    let gateway = Candor::start_in(&trust, "gateway", &flags).await;
    let request = Request::post("/v1/chat/completions").body(Body::from(r#"{"model":"m"}"#)).unwrap();
    let client = Client::new(ClientConfig::default());
    let answer = client.send(&Target::from_addr(gateway.addr), request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body = collect(answer.into_body(), 1 << 20).await.unwrap();
    assert_eq!(body, r#"{"path":"/v1/chat/completions","key":"Bearer k"}"#);
    drain.finish(std::time::Duration::ZERO).await;
}
