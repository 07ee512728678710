//! Targets over real sockets: good ones, and those that hang, lie or are gone.

use std::net::SocketAddr;
use std::sync::Arc;

use observatory::Running;
use parking_lot::Mutex;
use serde_json::{Value, json};
use testkit::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{get, post, start};

/// A server that answers every request with the same bytes; with none, it never answers.
struct Peer {
    addr: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    _tasks: JoinSet<()>,
}

impl Peer {
    async fn answering(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let shared = Arc::clone(&answer);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let mut head = vec![0; 4096];
                    while stream.read(&mut head).await.is_ok_and(|length| length > 0) {
                        let answer = shared.lock().clone();
                        if answer.is_empty() {
                            std::future::pending::<()>().await;
                        }
                        if stream.write_all(&answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { addr, answer, _tasks: tasks }
    }

    async fn with(page: &str) -> Self {
        Self::answering(ok(page)).await
    }

    fn url(&self, job: &str) -> String {
        format!("--scrape=http://{};job={job};namespace=default", self.addr)
    }
}

fn ok(page: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{page}", page.len()).into_bytes()
}

/// The value of an expression with one series; null where there is none.
async fn value(running: &Running, expr: &str) -> Value {
    post(running, "/api/v1/query", &[("query", expr)]).await.data()["result"][0]["value"][1].clone()
}

async fn until(running: &Running, expr: &str, wanted: Value) {
    eventually(expr, async || value(running, expr).await == wanted).await;
}

const QUICK: [&str; 2] = ["--scrape-interval=100ms", "--scrape-timeout=100ms"];

#[tokio::test]
async fn a_target_is_scraped_with_its_labels_metadata_and_exemplars() {
    let page = "# TYPE seen_seconds histogram\n# HELP seen_seconds What was seen.\n\
                seen_seconds_bucket{le=\"1.0\"} 3 # {trace_id=\"000000000000000000000000000000ab\"} 0.25\n\
                seen_seconds_bucket{le=\"+Inf\"} 4\nseen_seconds_count 4\nseen_seconds_sum 9\n# EOF\n";
    let peer = Peer::with(page).await;
    let running = start(&[&peer.url("engine"), QUICK[0], QUICK[1]]).await;
    until(&running, "up{job=\"engine\",namespace=\"default\"}", json!("1")).await;
    assert_eq!(value(&running, "seen_seconds_count{job=\"engine\"}").await, json!("4"));
    assert_eq!(value(&running, "scrape_samples_scraped").await, json!("4"));
    let metadata = get(&running, "/api/v1/metadata?metric=seen_seconds").await.data();
    assert_eq!(metadata, json!({"seen_seconds": [{"type": "histogram", "help": "What was seen.", "unit": ""}]}));
    let query = "histogram_quantile(0.9, rate(seen_seconds_bucket[5m]))";
    let exemplars =
        post(&running, "/api/v1/query_exemplars", &[("query", query), ("start", "0"), ("end", "1e10")]).await;
    let series = &exemplars.data()[0];
    assert_eq!(series["seriesLabels"]["le"], "1.0");
    assert_eq!(series["exemplars"][0]["labels"], json!({"trace_id": "000000000000000000000000000000ab"}));
    assert_eq!(series["exemplars"][0]["value"], "0.25");
    let targets = get(&running, "/api/v1/targets?state=active").await.data();
    let target = &targets["activeTargets"][0];
    assert_eq!(
        (&target["health"], &target["scrapePool"], &target["lastError"]),
        (&json!("up"), &json!("engine"), &json!(""))
    );
    assert!(running.shutdown().await.complete);
}

#[tokio::test]
async fn a_target_that_hangs_or_sends_garbage_holds_nobody_up() {
    let good = Peer::with("works 1\n").await;
    let hangs = Peer::answering(Vec::new()).await;
    let garbage = Peer::with("<html>\u{0}\n").await;
    let lies = Peer::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nmuch".to_vec()).await;
    let refuses = Peer::answering(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let urls = [good.url("good"), hangs.url("hangs"), garbage.url("garbage"), lies.url("lies"), refuses.url("refuses")];
    let flags: Vec<&str> = urls.iter().map(String::as_str).chain(QUICK).collect();
    let running = start(&flags).await;
    until(&running, "works", json!("1")).await;
    for job in ["hangs", "garbage", "lies", "refuses"] {
        until(&running, &format!("up{{job={job:?}}}"), json!("0")).await;
    }
    until(&running, "count_over_time(works[5m]) > bool 3", json!("1")).await;
    let targets = get(&running, "/api/v1/targets").await.data();
    for target in targets["activeTargets"].as_array().unwrap() {
        let job = target["scrapePool"].as_str().unwrap();
        let wanted = match job {
            "good" => "",
            "hangs" => "no complete answer",
            "garbage" => "line 1",
            "lies" => "exceeds",
            _ => "500",
        };
        let error = target["lastError"].as_str().unwrap();
        assert!(error.contains(wanted) && error.is_empty() == wanted.is_empty(), "{job}: {error}");
    }
    assert!(running.shutdown().await.complete);
}

#[tokio::test]
async fn what_is_gone_is_not_drawn_on() {
    let peer = Peer::with("a 1\nb 1\n").await;
    let list = format!(r#"[{{"targets": ["{}"], "labels": {{"job": "found"}}}}]"#, peer.addr);
    let discovery = Peer::with(&list).await;
    let running = start(&[&format!("--scrape-http-sd=http://{}/sd", discovery.addr), QUICK[0], QUICK[1]]).await;
    until(&running, "b{job=\"found\"}", json!("1")).await;
    *peer.answer.lock() = ok("a 2\n");
    until(&running, "a", json!("2")).await;
    assert_eq!(value(&running, "b").await, Value::Null, "a series that vanished");
    running.state.targets.set(&format!("http://{}/sd", discovery.addr), Vec::new());
    until(&running, "a", Value::Null).await;
    assert_eq!(value(&running, "up").await, Value::Null, "a target that vanished");
    assert_eq!(get(&running, "/api/v1/targets").await.data()["activeTargets"], json!([]));
    running.shutdown().await;
}

#[tokio::test]
async fn a_million_label_sets_leave_everything_else_alone() {
    let mut page = String::with_capacity(40 << 20);
    for id in 0..1_000_000 {
        page.push_str(&format!("flood{{id=\"{id}\"}} 1\n"));
    }
    let (flood, good) = (Peer::with(&page).await, Peer::with("works 1\n").await);
    let flags = [&*flood.url("flood"), &*good.url("good"), "--max-series=5000", "--scrape-interval=20s"];
    let running = start(&flags).await;
    until(&running, "scrape_samples_scraped{job=\"flood\"} or up{job=\"flood\"}", json!("1000000")).await;
    let stats = running.state.metrics.stats();
    // Five series that say how a target fares are beyond the limit, for either target.
    assert!(stats.series <= 5010 && stats.over_limit >= 994_990, "{stats:?}");
    assert!(stats.bytes < 10 << 20, "{stats:?}");
    assert_eq!(value(&running, "works").await, json!("1"), "who came first has its series");
    running.shutdown().await;
}
