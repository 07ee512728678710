//! Samples and spans outlive the process where there is a folder for them: one that stops, one that is killed, and one whose
//! disk is damaged. No two processes have the same folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use observatory::{Running, StartError};
use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{append, get, get_from, now, post, post_json, post_to, start, try_start};

/// The folder of a child process, which tells its address in the file beside it.
const CHILD: &str = "OBSERVATORY_TEST_DATA_DIR";

fn flag(folder: &Path) -> String {
    format!("--data-dir={}", folder.display())
}

/// Everything that is asked before and after: samples raw and computed, over the time given, and what they are.
async fn answers(running: &Running, (from, to): (i64, i64)) -> Vec<Value> {
    let (start, end) = ((from as f64 / 1000.0).to_string(), (to as f64 / 1000.0).to_string());
    let mut answers = Vec::new();
    for query in ["a", "rate(a[1m])", "sum by (job) (a)", "histogram_quantile(0.9, rate(h_bucket[1m]))", "absent(a)"] {
        let form = [("query", query), ("start", &*start), ("end", &*end), ("step", "5")];
        answers.push(post(running, "/api/v1/query_range", &form).await.data());
    }
    let form = [("query", "h_bucket"), ("start", &*start), ("end", &*end)];
    answers.push(post(running, "/api/v1/query_exemplars", &form).await.data());
    for path in ["/api/v1/metadata", "/api/v1/labels", "/api/v1/label/job/values", "/api/v1/series?match[]=a"] {
        answers.push(get(running, path).await.data());
    }
    answers
}

/// A few minutes of samples, with a bit of everything.
fn fill(running: &Running) -> (i64, i64) {
    use observatory::metrics::Labels;
    use observatory::metrics::store::{Exemplar, Metadata, STALE};
    let to = now();
    let from = to - 200_000;
    let times = || (0..20).map(move |scrape| from + scrape * 10_000);
    for job in ["x", "y"] {
        let counted: Vec<_> = times().enumerate().map(|(scrape, at)| (at, (scrape % 13 * 7) as f64)).collect();
        append(running, &[("__name__", "a"), ("job", job)], &counted);
        for (le, share) in [("1", 0.25), ("2", 0.7), ("+Inf", 1.0)] {
            let counted: Vec<_> = times().enumerate().map(|(scrape, at)| (at, scrape as f64 * share)).collect();
            append(running, &[("__name__", "h_bucket"), ("job", job), ("le", le)], &counted);
        }
    }
    append(running, &[("__name__", "a"), ("job", "y")], &[(to - 5000, STALE)]);
    let mut appender = running.state.metrics.appender(to);
    let exemplar = Exemplar { labels: Labels::new([("trace_id", "abc")]), value: 0.5, at: from + 10_000 };
    appender.exemplar(&[("__name__", "h_bucket"), ("job", "x"), ("le", "1")], exemplar);
    appender.describe("a", Metadata { kind: "counter".to_owned(), help: "What.".to_owned(), unit: String::new() });
    (from, to)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder.join("samples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn every_answer_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&[&flag(folder.path())]).await;
    let range = fill(&running);
    let before = answers(&running, range).await;
    assert!(before.iter().take(4).all(|answer| answer["result"].as_array().is_some_and(|found| !found.is_empty())));
    assert_eq!(before[5].as_array().unwrap().len(), 1, "an exemplar");
    assert!(running.shutdown().await.complete);
    for round in 0..2 {
        let running = start(&[&flag(folder.path())]).await;
        assert_eq!(answers(&running, range).await, before, "round {round}");
        assert!(running.shutdown().await.complete);
    }
}

#[tokio::test]
async fn damage_stops_no_start_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&[&flag(folder.path())]).await;
    let at = now();
    // One batch each, so that one can be lost and the others not.
    append(&running, &[("__name__", "lost")], &[(at, 1.0)]);
    append(&running, &[("__name__", "kept")], &[(at, 2.0)]);
    running.shutdown().await;
    let [file] = files(folder.path()).try_into().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    // Within the first record, and a torn one after the last.
    bytes[12] ^= 0x55;
    bytes.extend([0, 0, 1, 0, 7, 7, 7, 7, 7]);
    std::fs::write(&file, bytes).unwrap();
    std::fs::write(folder.path().join("samples/000000000009.log"), "not a log at all").unwrap();

    let running = start(&[&flag(folder.path())]).await;
    assert_eq!(get(&running, "/api/v1/label/__name__/values").await.data(), json!(["kept"]));
    let page = get(&running, "/metrics").await.body;
    assert!(page.contains("observatory_disk_damaged_total{store=\"metrics\"} 3"), "{page}");
    append(&running, &[("__name__", "new")], &[(at, 3.0)]);
    running.shutdown().await;
    let running = start(&[&flag(folder.path())]).await;
    assert_eq!(get(&running, "/api/v1/label/__name__/values").await.data(), json!(["kept", "new"]));
    running.shutdown().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_said_with_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = try_start(&[&flag(&file)]).await.err().unwrap();
    assert!(matches!(refused, StartError::Data(_)), "{refused}");
    assert!(refused.to_string().contains("check --data-dir"), "{refused}");

    let running = start(&[&flag(folder.path())]).await;
    let refused = try_start(&[&flag(folder.path())]).await.err().unwrap().to_string();
    assert!(refused.contains("in use by process") && refused.contains("--data-dir"), "{refused}");
    // The first one is none the worse for it.
    append(&running, &[("__name__", "up")], &[(now(), 1.0)]);
    running.shutdown().await;
    start(&[&flag(folder.path())]).await.shutdown().await;
}

/// Not a test by itself: the process that the next one kills.
#[tokio::test]
#[ignore = "started by a_killed_process_loses_nothing_that_was_answered"]
async fn child() {
    let folder = PathBuf::from(std::env::var_os(CHILD).unwrap());
    let running = start(&[&flag(&folder)]).await;
    std::fs::write(folder.join("address.new"), running.addr.to_string()).unwrap();
    std::fs::rename(folder.join("address.new"), folder.join("address")).unwrap();
    std::future::pending::<()>().await;
}

/// A process of its own, and where it listens.
struct Other(Child, SocketAddr);

impl Other {
    async fn start(folder: &Path) -> Self {
        let address = folder.join("address");
        let _ = std::fs::remove_file(&address);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "restart::child", "--ignored", "--nocapture"])
            .env(CHILD, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the other process to listen", async || address.exists()).await;
        Self(child, std::fs::read_to_string(&address).unwrap().parse().unwrap())
    }

    /// As `kill -9` does.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    for life in 0..3_u64 {
        let other = Other::start(folder.path()).await;
        let refused = try_start(&[&flag(folder.path())]).await.err().unwrap().to_string();
        assert!(refused.contains(&format!("in use by process {}", other.0.id())), "{refused}");
        for number in 0..5 {
            let value = life * 10 + number;
            let nanos = (now() as u64 + value) * 1_000_000;
            let point = json!({"timeUnixNano": nanos.to_string(), "asInt": value.to_string()});
            let metric = json!({"name": "said", "gauge": {"dataPoints": [point]}});
            let samples = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).to_string();
            let span = json!({"traceId": format!("{:032x}", value + 1), "spanId": "00000000000000ab", "name": "said"});
            let spans = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).to_string();
            for (path, body) in [("/v1/metrics", samples), ("/v1/traces", spans)] {
                assert_eq!(post_json(other.1, path, body).await.body, "{}", "{path}");
            }
            told.push(value);
        }
        let shown = said(other.1).await;
        assert_eq!(shown, told, "life {life}");
        other.kill();
    }
    let running = start(&[&flag(folder.path())]).await;
    assert_eq!(said(running.addr).await, told);
    assert_eq!(running.state.spans.stats().spans, told.len());
    running.shutdown().await;
}

/// The values of `said`, in order of time.
async fn said(addr: SocketAddr) -> Vec<u64> {
    // Also what a clock a little ahead of ours said.
    let time = ((now() + 1000) as f64 / 1000.0).to_string();
    let answer = post_to(addr, "/api/v1/query", &[("query", "said[1h]"), ("time", &time)]).await.data();
    let values = answer["result"][0]["values"].as_array().unwrap();
    let spans = get_from(addr, "/api/search?limit=100").await.json();
    assert_eq!(spans["traces"].as_array().unwrap().len(), values.len(), "a span for each");
    values.iter().map(|value| value[1].as_str().unwrap().parse().unwrap()).collect()
}
