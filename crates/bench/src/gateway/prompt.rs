//! What a long prompt costs on its way.
//!
//! One connection, one request at a time, an engine that answers at once: the stopwatch holds the copying of the body, and
//! with a tokenizer its cutting. No two prompts are alike, so nobody has one cut already.

use std::io;
use std::time::Duration;

use super::cluster::Cluster;
use super::{CASES, Extent};
use crate::Error;
use crate::frame::{Bar, Ground, Metric, Report, Rule, Sheet, percentile};
use crate::load::{SERIAL, write_serial};
use crate::process::ProcessError;
use crate::proxy::Case;
use crate::proxy::passes::Plan;
use crate::proxy::stack::Stack;
use crate::stage::{Line, post};
use crate::stopwatch::{MILLISECOND, now};

/// Length of the prompt.
const BYTES: usize = 300_000;

/// Requests of one case in one pass.
const REQUESTS: usize = 40;

const PATIENCE: Duration = Duration::from_secs(30);

const TOTAL: Metric = Metric { name: "300 KB p50", unit: "ms", decimals: 3 };
const WORST: Metric = Metric { name: "300 KB p99", unit: "ms", decimals: 3 };

/// What it may add on the way, ms.
const LIMIT: f64 = 2.0;

/// Measures every case, pass by pass.
pub(super) fn measure(ground: &Ground, extent: &Extent) -> Result<Report, Error> {
    let cluster = Cluster::start(ground)?;
    let plan = Plan { beside: cluster.beside(), ..Plan::on(ground) };
    let mut sheet = Sheet::default();
    let mut stacks = Vec::with_capacity(CASES.len());
    for case in CASES {
        stacks.push(Stack::start(case, &cluster.engine, &plan, 0)?);
    }
    for pass in 0..extent.prompt_passes {
        ground.progress.say(format_args!("300 KB prompts: pass {} of {}", pass + 1, extent.prompt_passes));
        for stack in &stacks {
            one_pass(stack, &mut sheet).map_err(ProcessError::io("a long prompt"))?;
        }
    }
    ground.progress.clear();
    let direct = Case::Direct.name();
    Ok(Report {
        title: "candor bench gateway: a long prompt",
        machine: ground.machine.clone(),
        yardstick: direct,
        subjects: CASES.map(Case::name).to_vec(),
        columns: vec![TOTAL, WORST],
        sheet,
        bars: vec![Bar { subject: Case::GatewayScheduler.name(), metric: TOTAL, rule: Rule::ExcessAtMost(LIMIT) }],
        notes: vec![format!(
            "{REQUESTS} requests of {BYTES} bytes a pass, one at a time; cutting them into tokens is shown, not judged"
        )],
    })
}

fn one_pass(stack: &Stack, sheet: &mut Sheet) -> io::Result<()> {
    let mut request = request(stack);
    let at = memchr::memmem::find(&request, SERIAL.as_bytes()).unwrap_or(0);
    let mut line = Line::open(stack.front, PATIENCE)?;
    let mut totals = Vec::with_capacity(REQUESTS);
    // The first one opens the connections behind.
    for number in 0..=REQUESTS {
        let began = now();
        write_serial(&mut request[at..at + SERIAL.len()], began);
        let (status, body) = line.ask(&request, |_| {})?;
        if status != 200 {
            return Err(io::Error::other(format!("status {status}: {}", String::from_utf8_lossy(body))));
        }
        if number > 0 {
            totals.push(now() - began);
        }
    }
    for (metric, share) in [(TOTAL, 0.5), (WORST, 0.99)] {
        if let Some(total) = percentile(&mut totals, share) {
            sheet.push(stack.case.name(), metric, total as f64 / MILLISECOND as f64);
        }
    }
    Ok(())
}

fn request(stack: &Stack) -> Vec<u8> {
    const TEXT: &str = "The sun shines on the river and the boats in the harbour are waiting for the evening. ";
    let prompt: String = SERIAL.chars().chain(": ".chars()).chain(TEXT.chars().cycle()).take(BYTES).collect();
    let body = format!(r#"{{"model":"bench","messages":[{{"role":"user","content":"{prompt}"}}],"max_tokens":4}}"#);
    post(stack.front, "/v1/chat/completions", "bench-long-prompt", &body)
}
