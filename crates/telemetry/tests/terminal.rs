//! What goes to standard output and standard error, from a process of its own: the subscriber is global, and so are the
//! streams.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

use std::process::{Command, Output};

use http::HeaderMap;
use serde_json::Value;
use telemetry::clock::now;
use telemetry::gateway::{Begin, Gateway};
use telemetry::logs::{self, LogFormat};
use telemetry::{Blame, Outcome, Stage, Telemetry, TelemetryConfig};

/// Runs the ignored test `child` of this very file with these variables.
fn child(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this file"));
    command.args(["--exact", "the_child", "--ignored", "--nocapture"]).envs(variables.iter().copied());
    let output = command.output().expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// One failed request, by the telemetry that the environment says.
#[tokio::test]
#[ignore = "started by the others, in a process of its own"]
async fn the_child() {
    let format =
        if std::env::var("FORMAT").is_ok_and(|format| format == "json") { LogFormat::Json } else { LogFormat::Human };
    logs::init(format, logs::parse_filter("warn,telemetry=info").unwrap()).unwrap();
    let mut config = TelemetryConfig::new("svc");
    assert_eq!(config.apply_environment(|name| std::env::var(name).ok()), []);
    let telemetry = Telemetry::new(config).unwrap();
    let gateway = Gateway::new(&telemetry, ["m"]);
    let (headers, received) = (HeaderMap::new(), now());
    let begin = Begin { received, api: "completions", path: "/v1/completions", request_id: "r-1", headers: &headers };
    let mut request = gateway.begin(begin);
    request.model("m");
    request.finish(now(), Outcome::failed(Stage::Dispatch, Blame::Network, 502, "no route"), 502);
    telemetry.shutdown().await;
}

#[test]
fn json_lines_carry_the_request_and_its_trace() {
    let output = child(&[("FORMAT", "json")]);
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{text}");
    let line = &lines[0];
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["message"], "request failed: no route");
    assert_eq!((&line["request_id"], &line["stage"]), (&"r-1".into(), &"dispatch".into()));
    assert_eq!(line["status"], 502);
    let trace_id = line["trace_id"].as_str().unwrap();
    assert!(trace_id.len() == 32 && trace_id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{trace_id}");
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_line_for_people_is_one_line_and_says_the_same() {
    let output = child(&[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in ["WARN", "request failed: no route", "request_id=\"r-1\"", "trace_id=", "stage=\"dispatch\""] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours where nobody sees them: {text}");
}

#[test]
fn the_console_exporter_prints_one_request_a_line() {
    let output = child(&[("OTEL_TRACES_EXPORTER", "console"), ("FORMAT", "json")]);
    let text = String::from_utf8(output.stdout).unwrap();
    // The test harness talks on the same stream, and not always ends its line.
    let json = text.lines().find_map(|line| line.find("{\"resourceSpans\"").map(|at| &line[at..]));
    let spans: Value = serde_json::from_str(json.unwrap_or_else(|| panic!("{text}"))).unwrap();
    let span = &spans["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "gateway.request");
    let logged: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(span["traceId"], logged["trace_id"], "the log line names the trace");
}
