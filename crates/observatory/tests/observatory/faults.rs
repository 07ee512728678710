//! What goes wrong is counted and said, and goes wrong for nobody else.

use std::sync::OnceLock;

use observatory::Running;
use parking_lot::Mutex;
use serde_json::{Value, json};
use testkit::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::field::{Field, Visit};
use tracing::span;

use crate::support::{get, now, post, post_json, start};

/// Everything that this process has logged, from the first question on.
struct Log(Mutex<Vec<String>>);

fn log() -> &'static Log {
    static LOG: OnceLock<&'static Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log: &'static Log = Box::leak(Box::new(Log(Mutex::new(Vec::new()))));
        tracing::subscriber::set_global_default(log).unwrap();
        log
    })
}

impl Log {
    /// How many lines hold all of these.
    fn count(&self, words: &[&str]) -> usize {
        self.0.lock().iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }
}

impl tracing::Subscriber for &'static Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

/// A counter as `/metrics` shows it.
async fn counted(running: &Running, series: &str) -> f64 {
    let page = get(running, "/metrics").await.body;
    let line =
        page.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series} in:\n{page}"));
    line.trim().parse().unwrap()
}

async fn values(running: &Running, expr: &str) -> Vec<String> {
    let found = post(running, "/api/v1/query", &[("query", expr)]).await.data();
    let found = found["result"].as_array().unwrap();
    found.iter().map(|series| series["value"][1].as_str().unwrap().to_owned()).collect()
}

/// Samples of one metric, by labels, value and time in Unix milliseconds.
fn export(name: &str, points: &[(&str, f64, i64)]) -> String {
    let points = points.iter().map(|(sender, value, at)| {
        json!({
            "timeUnixNano": (at * 1_000_000).to_string(), "asDouble": value,
            "attributes": [{"key": "sender", "value": {"stringValue": sender}}],
        })
    });
    let metric = json!({"name": name, "gauge": {"dataPoints": points.collect::<Vec<_>>()}});
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).to_string()
}

#[tokio::test]
async fn a_clock_that_jumps_costs_its_own_samples_only() {
    let log = log();
    let running = start(&[]).await;
    let (at, hour) = (now(), 3_600_000);
    let body = export("jumped", &[("ahead", 1.0, at + hour), ("behind", 2.0, at - 7 * hour), ("right", 3.0, at)]);
    let answer = post_json(running.addr, "/v1/metrics", body).await;
    let told: Value = answer.json();
    assert_eq!(told["partialSuccess"]["rejectedDataPoints"], "2", "its sender is told: {told}");
    // Once its clock is right again, so are its samples: none of the future locks the series.
    let again = export("jumped", &[("ahead", 4.0, at + 1), ("behind", 5.0, at + 1)]);
    assert_eq!(post_json(running.addr, "/v1/metrics", again).await.body, "{}");
    eventually("all three", async || values(&running, "jumped").await.len() == 3).await;
    for outcome in ["too_new", "too_old"] {
        assert_eq!(counted(&running, &format!("observatory_samples_total{{outcome=\"{outcome}\"}}")).await, 1.0);
    }
    assert!(log.count(&["WARN", "samples refused"]) >= 1);

    // Of spans, the time of arrival decides; what their clocks say is shown as it is.
    let far: u64 = 4_102_444_800_000_000_000;
    let span = |id: u64, start: u64| {
        json!({"traceId": format!("{id:032x}"), "spanId": format!("{id:016x}"), "name": "jumped",
               "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 5).to_string()})
    };
    let spans = [span(1, 0), span(2, far), span(3, now().unsigned_abs() * 1_000_000)];
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string();
    assert_eq!(post_json(running.addr, "/v1/traces", body).await.body, "{}");
    running.state.spans.prune(telemetry::clock::now());
    let found = get(&running, "/api/search?q=%7Bname%3D%22jumped%22%7D").await.json();
    assert_eq!(found["traces"].as_array().unwrap().len(), 3);
    let (from, to) = (now() / 1000 - 60, now() / 1000 + 60);
    let recent = get(&running, &format!("/api/search?q=%7Bname%3D%22jumped%22%7D&start={from}&end={to}")).await.json();
    assert_eq!(recent["traces"].as_array().unwrap().len(), 1);
    running.shutdown().await;
}

#[tokio::test]
async fn broken_telemetry_is_said_now_and_then_and_not_for_every_request() {
    let log = log();
    let running = start(&[]).await;
    for _ in 0..50 {
        let answer = post_json(running.addr, "/v1/traces", "{broken by faults.rs".to_owned()).await;
        assert_eq!(answer.status, http::StatusCode::BAD_REQUEST);
    }
    let refused = "observatory_otlp_requests_total{signal=\"traces\",outcome=\"refused\"}";
    assert_eq!(counted(&running, refused).await, 50.0);
    let lines = log.count(&["WARN", "telemetry was refused", "not JSON"]);
    assert!((1..10).contains(&lines), "{lines} lines");
    running.shutdown().await;
}

#[tokio::test]
async fn a_target_that_fails_is_said_when_that_begins_and_ends() {
    let log = log();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let sound = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let shared = std::sync::Arc::clone(&sound);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let page = if shared.load(std::sync::atomic::Ordering::Relaxed) { "well 1\n" } else { "<garbage" };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let answer =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{page}", page.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let flag = format!("--scrape=http://{addr};job=moody");
    let running = start(&[&flag, "--scrape-interval=100ms", "--scrape-timeout=100ms"]).await;
    let url = format!("http://{addr}/metrics");
    eventually("several failures", async || {
        values(&running, "count_over_time(up{job=\"moody\"}[5m]) > 4").await.len() == 1
    })
    .await;
    assert_eq!(log.count(&["WARN", "cannot be scraped", &url]), 1, "once, however often");
    sound.store(true, std::sync::atomic::Ordering::Relaxed);
    eventually("the target to be well", async || values(&running, "up{job=\"moody\"}").await == ["1"]).await;
    eventually("a line that says so", async || log.count(&["INFO", "scraped again", &url]) > 0).await;
    assert!(counted(&running, "observatory_scrapes_total{outcome=\"failed\"}").await >= 4.0);
    running.shutdown().await;
}
