//! Who is let in: keys, certificates, pages of other origins, and clients that take their time.

use std::path::Path;

use proxy::client::{ErrorKind, TlsPolicy};
use proxy::{Client as HttpClient, ClientConfig, Target};
use tokio::io::AsyncReadExt as _;

use crate::support::{CHAT, Engine, Gateway, count, key_line, soon};

async fn with_keys(engine: &Engine, keys: &Path) -> Gateway {
    Gateway::with(|args| {
        let args = args.with("neutral-endpoints", engine.addr.to_string()).with("engine-api-key", "inner");
        args.with("api-keys-file", keys.to_str().unwrap())
    })
    .await
}

#[tokio::test]
async fn whoever_has_no_key_is_told_so_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    std::fs::write(&keys, key_line("ann", "sesame")).unwrap();
    let mut engine = Engine::start().await;
    let gateway = with_keys(&engine, &keys).await;
    let body = r#"{"model":"tiny"}"#;
    let paths = [CHAT, "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/tokenize"];
    for (path, lines) in paths.iter().flat_map(|path| ["", "authorization: Bearer x\r\n"].map(|lines| (path, lines))) {
        let mut client = gateway.client().await;
        client.send("POST", path, lines, body).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 401, "{path}");
        assert_eq!(answer.head.get("www-authenticate"), Some("Bearer"));
        assert!(answer.head.get("x-request-id").is_some() && answer.head.get("server-timing").is_some());
        if *path != "/v1/messages" {
            answer.error();
        }
    }
    for (path, status) in
        [("/v1/models", 401), ("/config", 401), ("/healthz", 200), ("/readyz", 200), ("/openapi.json", 200)]
    {
        assert_eq!(gateway.get(path).await.status(), status, "{path}");
    }
    let scrape = gateway.settled(10).await;
    assert_eq!(count(&scrape, "unknown", 401), 10, "one of each API, twice");

    for lines in ["authorization: Bearer sesame\r\n", "x-api-key: sesame\r\n"] {
        let mut client = gateway.client().await;
        client.send("POST", CHAT, lines, body).await;
        let call = engine.call().await;
        assert_eq!(call.head.get("authorization"), Some("Bearer inner"), "the client's key stays here");
        assert_eq!(call.head.get("x-api-key"), None);
        call.answer(200, "{}").await;
        assert_eq!(client.answer().await.status(), 200);
    }
    assert!(engine.is_idle(), "nothing else has reached the engine");
}

#[tokio::test]
async fn a_key_that_is_taken_back_opens_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    std::fs::write(&keys, key_line("ann", "sesame")).unwrap();
    let engine = Engine::start().await;
    let gateway = with_keys(&engine, &keys).await;
    let status = async |key: &str| {
        let mut client = gateway.client().await;
        client.send("GET", "/v1/models", &format!("x-api-key: {key}\r\n"), "").await;
        client.answer().await.status()
    };
    assert_eq!(status("sesame").await, 200);
    std::fs::write(&keys, key_line("bob", "open")).unwrap();
    soon(async {
        while status("open").await != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(status("sesame").await, 401);
}

/// Puts a new certificate for `localhost` into a directory.
fn put_certificate(directory: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(directory.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().to_vec()
}

/// What a client hears over TLS that trusts this certificate alone.
async fn over_tls(gateway: &Gateway, trusted: &[u8]) -> Result<u16, ErrorKind> {
    let extra_roots = vec![trusted.to_vec().into()];
    let client = HttpClient::new(ClientConfig { extra_roots, ..ClientConfig::default() });
    let target = Target::parse(&format!("localhost:{}", gateway.addr.port())).unwrap();
    let target = target.with_tls(TlsPolicy::Verify).with_address(gateway.addr.ip());
    let request = http::Request::builder().uri("/v1/models").body(proxy::Body::Empty).unwrap();
    let answer = client.send(&target, request).await;
    answer.map(|answer| answer.status().as_u16()).map_err(|error| error.kind())
}

#[tokio::test]
async fn requests_come_over_tls_with_whatever_certificate_is_there_now() {
    let dir = tempfile::tempdir().unwrap();
    let first = put_certificate(dir.path());
    let engine = Engine::start().await;
    let gateway = Gateway::with(|args| {
        let args = args.with("neutral-endpoints", engine.addr.to_string());
        args.with("cert-path", dir.path().to_str().unwrap())
    })
    .await;
    assert_eq!(over_tls(&gateway, &first).await, Ok(200));
    // One that cannot be used changes nothing.
    std::fs::write(dir.path().join("tls.key"), "half a key").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    assert_eq!(over_tls(&gateway, &first).await, Ok(200));
    let second = put_certificate(dir.path());
    assert_ne!(first, second);
    soon(async { while over_tls(&gateway, &second).await != Ok(200) {} }).await;
    assert_eq!(over_tls(&gateway, &first).await, Err(ErrorKind::Tls), "the old one is not shown any more");
}

#[tokio::test]
async fn pages_are_let_near_only_where_their_origin_is_named() {
    let engine = Engine::start().await;
    let gateway = Gateway::with(|args| {
        args.with("neutral-endpoints", engine.addr.to_string()).with("cors-allow-origin", "https://a.example")
    })
    .await;
    let ask = async |method: &str, lines: &str| {
        let mut client = gateway.client().await;
        client.send(method, "/v1/models", lines, "").await;
        client.head().await
    };
    let preflight = "access-control-request-method: GET\r\naccess-control-request-headers: authorization\r\n";
    let answer = ask("OPTIONS", &format!("origin: https://a.example\r\n{preflight}")).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.get("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(answer.get("access-control-allow-headers"), Some("authorization"));
    assert!(answer.get("x-request-id").is_some());
    let answer = ask("GET", "origin: https://a.example\r\n").await;
    assert_eq!((answer.status(), answer.get("access-control-allow-origin")), (200, Some("https://a.example")));
    assert!(answer.get("access-control-expose-headers").unwrap().contains("x-request-id"));
    let stranger = ask("OPTIONS", &format!("origin: https://b.example\r\n{preflight}")).await;
    assert_eq!((stranger.status(), stranger.get("access-control-allow-origin")), (405, None));
    assert_eq!(ask("GET", "origin: https://b.example\r\n").await.get("access-control-allow-origin"), None);
    assert_eq!(ask("GET", "").await.get("vary"), None);
}

#[tokio::test]
async fn a_client_that_sends_its_head_too_slowly_or_nothing_at_all_is_cut_off() {
    let engine = Engine::start().await;
    let gateway = Gateway::with(|args| {
        let args = args.with("neutral-endpoints", engine.addr.to_string());
        args.with("client-header-timeout", "200ms").with("client-idle-timeout", "200ms")
    })
    .await;
    let mut slow = gateway.client().await;
    let dripping = async {
        let mut letters = "GET /healthz HTTP/1.1\r\nx-slow: loris".chars().cycle();
        // Until the gateway has closed: only then does writing fail.
        while slow.wire.write(letters.next().unwrap().to_string()).await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon(dripping).await;
    let mut idle = gateway.client().await;
    idle.send("GET", "/healthz", "", "").await;
    assert_eq!(idle.answer().await.status(), 200);
    soon(idle.wire.closed()).await;
    let mut silent = tokio::net::TcpStream::connect(gateway.addr).await.unwrap();
    let closed = soon(silent.read(&mut [0; 16])).await;
    assert!(matches!(closed, Ok(0) | Err(_)));
}
