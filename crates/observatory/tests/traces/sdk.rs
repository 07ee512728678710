//! OpenTelemetry's own SDKs for Python and Node export to us, over gRPC and HTTP.
//!
//! Their packages, pinned, are installed once below the target directory.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use observatory::Running;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{get, search, start};

/// Where the scripts and the lists of packages are.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk")
}

/// A folder below the target directory in which `install` was run, once for each content of `list`.
async fn prepared(name: &str, list: &str, install: impl AsyncFnOnce(&Path)) -> PathBuf {
    let wanted = std::fs::read_to_string(scripts().join(list)).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let done = folder.join("installed.txt");
    if std::fs::read_to_string(&done).ok().as_ref() != Some(&wanted) {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        install(&folder).await;
        std::fs::write(done, wanted).unwrap();
    }
    folder
}

async fn run(command: &mut Command, needs: &str) {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = running.unwrap_or_else(|error| panic!("{program}: {error}; install Debian's package {needs}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {}\n{out}{err}", output.status);
}

async fn python() -> PathBuf {
    prepared("sdk-python", "requirements.txt", async |folder: &Path| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder), "python3-venv").await;
        let list = scripts().join("requirements.txt");
        let mut pip = Command::new(folder.join("bin/pip"));
        run(pip.args(["install", "--quiet", "--no-input", "--no-deps", "-r"]).arg(list), "python3-pip").await;
    })
    .await
}

async fn node() -> PathBuf {
    prepared("sdk-node", "package-lock.json", async |folder: &Path| {
        for file in ["package.json", "package-lock.json", "export.cjs"] {
            std::fs::copy(scripts().join(file), folder.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
        run(&mut npm, "npm").await;
    })
    .await
}

/// What both scripts sent is all there.
async fn arrived(running: &Running, service: &str) {
    let found =
        search(running.addr, &format!("{{resource.service.name=\"{service}\" && span.text = \"größe\"}}")).await;
    assert_eq!(found.len(), 1, "{service}: {found:?}");
    assert_eq!((&found[0]["rootTraceName"], &found[0]["spanSet"]["matched"]), (&json!("outer"), &json!(1)));
    let below = format!(
        "{{span.whole = 7 && span.real = 0.5 && span.truth = true && span.list = \"b\" && resource.service.name=\"{service}\"}} > {{status = error && statusMessage = \"on purpose\" && event:name = \"token\"}}"
    );
    assert_eq!(search(running.addr, &below).await.len(), 1, "{service}");
    let id = found[0]["traceID"].as_str().unwrap();
    let trace: Value = get(running.addr, &format!("/api/v2/traces/{id}"), "application/json").await.json();
    let scope = &trace["trace"]["resourceSpans"][0]["scopeSpans"][0];
    assert_eq!(scope["scope"], json!({"name": "sdk-test", "version": "1.2.3"}));
    assert_eq!(scope["spans"].as_array().unwrap().len(), 2);

    let names = running.state.metrics.label_values("__name__");
    for name in ["sdk_jobs_total", "sdk_wait_seconds_bucket", "sdk_wait_seconds_sum", "sdk_wait_seconds_count"] {
        assert!(names.contains(name), "{service}: no {name} among {names:?}");
    }
    assert!(running.state.metrics.label_values("job").contains(service));
}

#[tokio::test]
async fn pythons_sdk_exports_over_grpc_and_http() {
    let folder = python().await;
    let running = start(&[]).await;
    for (protocol, addr) in [("grpc", running.otlp[0]), ("http", running.otlp[1])] {
        let service = format!("python-{protocol}");
        let mut export = Command::new(folder.join("bin/python"));
        export.arg(scripts().join("export.py")).args([protocol, &format!("http://{addr}"), &service]);
        run(&mut export, "python3").await;
        arrived(&running, &service).await;
    }
    running.shutdown().await;
}

#[tokio::test]
async fn nodes_sdk_exports_over_grpc_http_and_json() {
    let folder = node().await;
    let running = start(&[]).await;
    for (protocol, addr) in [("grpc", running.otlp[0]), ("http", running.otlp[1]), ("json", running.addr)] {
        let service = format!("node-{protocol}");
        let mut export = Command::new("node");
        export.arg("export.cjs").args([protocol, &format!("http://{addr}"), &service]).current_dir(&folder);
        run(export.env("SAMPLES_ENDPOINT", format!("http://{}", running.otlp[1])), "nodejs").await;
        arrived(&running, &service).await;
    }
    running.shutdown().await;
}
