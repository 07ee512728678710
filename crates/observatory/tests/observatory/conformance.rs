//! PromQL against the real Prometheus: the same samples, the same questions, the same answers.

mod dashboards;
mod expressions;
mod samples;

use std::net::SocketAddr;

use observatory::Running;
use observatory::metrics::store::Sample;
use serde_json::Value;
use testkit::Prometheus;

use crate::support::{Answer, post_to, start};
use samples::{END, START, Series};

/// Both, with the same samples.
struct Pair {
    prometheus: Prometheus,
    observatory: Running,
}

impl Pair {
    async fn with(series: &[Series]) -> Self {
        let prometheus = Prometheus::with(&samples::openmetrics(series)).await;
        // The samples are of a fixed time, so that every run asks the same.
        let observatory = start(&["--retention=50years", "--max-bytes=1000000000"]).await;
        let mut appender = observatory.state.metrics.appender(END);
        for series in series {
            let labels: Vec<(&str, &str)> =
                series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            for (at, value) in &series.samples {
                appender.append(&labels, Sample { at: *at, value: *value }).unwrap();
            }
        }
        drop(appender);
        Self { prometheus, observatory }
    }

    /// Asks both; says how they differ, and whether there was any result.
    async fn ask(&self, path: &str, form: &[(&str, &str)]) -> Result<bool, String> {
        let theirs = ask(self.prometheus.addr(), path, form).await;
        let ours = ask(self.observatory.addr, path, form).await;
        if theirs.status != ours.status {
            return Err(format!("theirs {} {}\n  ours {} {}", theirs.status, theirs.body, ours.status, ours.body));
        }
        let (theirs, ours) = (theirs.json(), ours.json());
        if theirs["status"] == "error" {
            let same = theirs["errorType"] == ours["errorType"];
            return if same { Ok(false) } else { Err(format!("theirs {theirs}\n  ours {ours}")) };
        }
        same(&sorted(&theirs["data"]), &sorted(&ours["data"]))
            .map_err(|what| format!("{what}\ntheirs {theirs}\n  ours {ours}"))?;
        Ok(theirs["data"]["result"].as_array().is_some_and(|result| !result.is_empty()))
    }

    /// Asks for an expression at some times and over some ranges.
    async fn compare(&self, expr: &str, instants: &[f64], ranges: &[[f64; 3]], faults: &mut Vec<String>) -> bool {
        let mut any = false;
        for at in instants {
            match self.ask("/api/v1/query", &[("query", expr), ("time", &at.to_string())]).await {
                Ok(found) => any |= found,
                Err(what) => faults.push(format!("{expr} at {at}: {}", shortened(&what))),
            }
        }
        for range in ranges {
            let [start, end, step] = range.map(|number| number.to_string());
            let form = [("query", expr), ("start", &start), ("end", &end), ("step", &step)];
            match self.ask("/api/v1/query_range", &form).await {
                Ok(found) => any |= found,
                Err(what) => faults.push(format!("{expr} over {range:?}: {}", shortened(&what))),
            }
        }
        any
    }
}

async fn ask(addr: SocketAddr, path: &str, form: &[(&str, &str)]) -> Answer {
    post_to(addr, path, form).await
}

fn shortened(text: &str) -> String {
    text.chars().take(1500).collect()
}

/// The result with its series in order of their labels.
fn sorted(data: &Value) -> Value {
    let mut data = data.clone();
    if let Some(series) = data["result"].as_array_mut() {
        series.sort_by_key(|series| series["metric"].to_string());
    }
    data
}

/// Whether two results are equal: numbers to 1e-9 of their size.
fn same(theirs: &Value, ours: &Value) -> Result<(), String> {
    match (theirs, ours) {
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            theirs.iter().zip(ours).try_for_each(|(theirs, ours)| same(theirs, ours))
        }
        (Value::Object(theirs), Value::Object(ours)) if theirs.keys().eq(ours.keys()) => {
            theirs.iter().try_for_each(|(key, theirs)| same(theirs, &ours[key]))
        }
        (Value::String(theirs), Value::String(ours)) if close(theirs, ours) => Ok(()),
        _ if theirs == ours => Ok(()),
        _ => Err(format!("{theirs} is not {ours}")),
    }
}

fn close(theirs: &str, ours: &str) -> bool {
    let (Ok(a), Ok(b)) = (theirs.parse::<f64>(), ours.parse::<f64>()) else {
        return theirs == ours;
    };
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

const fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// Early, in the middle, after the last sample.
const INSTANTS: [f64; 3] = [seconds(START) + 61.0, seconds(START) + 2711.5, seconds(END) + 130.0];
/// From before the first sample to after the last one; and finer, at times that no sample has.
const RANGES: [[f64; 3]; 2] =
    [[seconds(START) - 120.0, seconds(END) + 420.0, 60.0], [seconds(START) + 1003.3, seconds(START) + 2203.3, 13.0]];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expressions_give_what_prometheus_gives() {
    let pair = Pair::with(&samples::various()).await;
    let expressions = expressions::all();
    assert!(expressions.len() >= 300, "{} expressions", expressions.len());
    let (mut faults, mut empty) = (Vec::new(), Vec::new());
    for expr in &expressions {
        if !pair.compare(expr, &INSTANTS, &RANGES, &mut faults).await {
            empty.push(expr.as_str());
        }
    }
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), faults.join("\n"));
    assert!(empty.len() * 10 < expressions.len(), "a tenth gave nothing, and so proved nothing: {empty:#?}");
    let mut unequal = Vec::new();
    for expr in expressions::faulty() {
        let answers = pair.ask("/api/v1/query", &[("query", expr), ("time", &INSTANTS[1].to_string())]).await;
        match answers {
            Ok(false) => {}
            Ok(true) => unequal.push(format!("{expr}: no fault to Prometheus")),
            Err(what) => unequal.push(format!("{expr}: {what}")),
        }
    }
    assert!(unequal.is_empty(), "faults differ:\n{}", unequal.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboards_show_what_they_would_show_with_prometheus() {
    let expressions = dashboards::expressions();
    assert!(expressions.len() > 100, "the dashboards have {} expressions", expressions.len());
    let pair = Pair::with(&dashboards::samples(&expressions)).await;
    let (mut faults, mut empty) = (Vec::new(), Vec::new());
    for expr in &expressions {
        if !pair.compare(expr, &INSTANTS[1..2], &RANGES[..1], &mut faults).await {
            empty.push(expr.as_str());
        }
    }
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), faults.join("\n"));
    assert!(empty.len() * 20 < expressions.len(), "a twentieth gave nothing, and so proved nothing: {empty:#?}");
}
