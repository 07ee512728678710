use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn client(endpoints: &str, password: Option<&str>) -> Etcd {
    let endpoints = EtcdEndpoints::parse(endpoints).unwrap();
    let credentials = password.map_or_else(Credentials::default, |password| Credentials {
        username: "root".to_owned(),
        password: password.to_owned(),
    });
    Etcd::new(endpoints, credentials, PATIENCE)
}

#[tokio::test]
async fn a_range_is_the_prefix_and_nothing_beside_it() {
    let server = testkit::Etcd::start().await;
    let mut etcd = client(&server.addr().to_string(), None);
    let lease = etcd.grant(Duration::from_secs(60)).await.unwrap();
    for key in ["a", "p/1", "p/\u{fc}", "p0", "q"] {
        etcd.put(key, &[0, 255, 10], lease).await.unwrap();
    }
    let range = etcd.range("p/").await.unwrap();
    let keys: Vec<_> = range.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["p/1", "p/\u{fc}"]);
    assert_eq!(range.entries[0].value, [0, 255, 10]);
    assert!(etcd.keep_alive(lease).await.unwrap());
    etcd.revoke(lease).await.unwrap();
    assert!(!etcd.keep_alive(lease).await.unwrap());
    let after = etcd.range("p/").await.unwrap();
    assert!(after.entries.is_empty() && after.revision > range.revision);
}

#[tokio::test]
async fn the_member_that_answers_is_asked() {
    let server = testkit::Etcd::start().await;
    let mut dead = testkit::Etcd::start().await;
    dead.stop();
    let mut etcd = client(&format!("{}, http://{}", dead.addr(), server.addr()), None);
    etcd.range("p/").await.unwrap();
    let error = client(&dead.addr().to_string(), None).range("p/").await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("etcd://{} failed", dead.addr())), "{error}");
}

#[tokio::test]
async fn credentials_are_shown_once_and_again_when_the_token_is_refused() {
    let server = testkit::Etcd::start().await;
    let addr = server.addr().to_string();
    let mut open = client(&addr, None);
    for (path, body) in [
        ("/v3/auth/user/add", json!({"name": "root", "password": "right"})),
        ("/v3/auth/role/add", json!({"name": "root"})),
        ("/v3/auth/user/grant", json!({"user": "root", "role": "root"})),
        ("/v3/auth/enable", json!({})),
    ] {
        open.call::<Value>(path, &body).await.unwrap();
    }
    open.range("p/").await.unwrap_err();
    let error = client(&addr, Some("wrong")).range("p/").await.unwrap_err();
    assert!(error.problem.contains("authentication failed") && !error.problem.contains("wrong"), "{error}");
    let mut etcd = client(&addr, Some("right"));
    etcd.range("p/").await.unwrap();
    etcd.token = Some(HeaderValue::from_static("expired"));
    etcd.range("p/").await.unwrap();
    assert_ne!(etcd.token, Some(HeaderValue::from_static("expired")));
}

#[test]
fn endpoints_are_checked() {
    EtcdEndpoints::parse("a:2379, http://b:2379,https://c").unwrap();
    for wrong in ["", " , ", "a:99999", "ftp://a"] {
        EtcdEndpoints::parse(wrong).unwrap_err();
    }
}
