//! The live table: true TTFT against what the engines claim for themselves.

use std::io::{self, IsTerminal as _, Write as _};

use audit::table::{Table, grouped, three};
use audit::{Delta, Endpoint, Scrape};

use crate::group::Group;

/// One line of the table, scraped while the load runs. What the dashboards of a deployment would show.
#[derive(Debug)]
struct Row {
    group: &'static str,
    /// The coordinators' and the gateway's metrics.
    proxies: Source,
    prefill: Source,
    decode: Source,
    neutral: Source,
}

/// Endpoints, and what they said at the start.
#[derive(Debug)]
struct Source {
    endpoints: Vec<Endpoint>,
    before: Scrape,
    grown: Delta,
}

impl Source {
    async fn new(endpoints: Vec<Endpoint>) -> anyhow::Result<Self> {
        let before = Scrape::of(&endpoints).await?;
        Ok(Self { endpoints, before, grown: Delta::default() })
    }

    async fn refresh(&mut self) {
        // A scrape that fails leaves the line as it was; the audit at the end says what is wrong.
        if let Ok(now) = Scrape::of(&self.endpoints).await {
            self.grown = now.since(&self.before);
        }
    }

    /// Mean of a histogram, times `scale`; nothing where nothing was observed.
    fn mean(&self, names: &[&str], scale: f64) -> String {
        let found = names.iter().filter_map(|name| self.grown.histogram(name)).find(|(_, count)| *count > 0.0);
        found.map_or_else(|| "-".to_owned(), |(sum, count)| three(sum / count * scale))
    }
}

/// The table of all groups.
#[derive(Debug)]
pub(crate) struct Live {
    rows: Vec<Row>,
    /// Lines drawn last time, to draw over where that is possible.
    drawn: usize,
}

/// An engine's own time to first token: vLLM's name and SGLang's.
const ENGINE_TTFT: &[&str] = &["vllm:time_to_first_token_seconds", "sglang:time_to_first_token_seconds"];

impl Live {
    pub(crate) async fn new(groups: &[Group]) -> anyhow::Result<Self> {
        let mut rows = Vec::new();
        for group in groups {
            rows.push(Row {
                group: group.config.name,
                proxies: Source::new(group.metrics()).await?,
                prefill: Source::new(group.prefill().map(Endpoint::metrics).collect()).await?,
                decode: Source::new(group.decode().map(Endpoint::metrics).collect()).await?,
                neutral: Source::new(group.neutral().map(Endpoint::metrics).collect()).await?,
            });
        }
        Ok(Self { rows, drawn: 0 })
    }

    /// Scrapes the group of this name and shows the table: over the last one on a terminal, as a line elsewhere.
    pub(crate) async fn show(&mut self, group: &str) -> io::Result<()> {
        let Some(at) = self.rows.iter().position(|row| row.group == group) else {
            return Ok(());
        };
        let row = &mut self.rows[at];
        for source in [&mut row.proxies, &mut row.prefill, &mut row.decode, &mut row.neutral] {
            source.refresh().await;
        }
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            let table = self.table();
            if self.drawn > 0 {
                write!(out, "\x1b[{}A\x1b[J", self.drawn)?;
            }
            self.drawn = table.lines().count();
            out.write_all(table.as_bytes())?;
        } else {
            writeln!(out, "{}", self.rows[at].line())?;
        }
        out.flush()
    }

    fn table(&self) -> String {
        let mut table = Table::new([
            "mean TTFT so far [ms]",
            "requests",
            "true (Candor)",
            "prefill engine says",
            "decode engine says",
            "neutral engine says",
        ]);
        for row in &self.rows {
            table.row(std::iter::once(row.group.to_owned()).chain(row.cells()));
        }
        table.render()
    }
}

impl Row {
    fn cells(&self) -> [String; 5] {
        let requests = self.proxies.grown.counter("request_total", &[]).unwrap_or(0.0);
        [
            grouped(requests),
            // The coordinators', or where none are the gateway's.
            self.proxies.mean(&["pd_proxy_true_ttft_milliseconds", "request_ttft_milliseconds"], 1.0),
            self.prefill.mean(ENGINE_TTFT, 1e3),
            self.decode.mean(ENGINE_TTFT, 1e3),
            self.neutral.mean(ENGINE_TTFT, 1e3),
        ]
    }

    fn line(&self) -> String {
        let [requests, truth, prefill, decode, neutral] = self.cells();
        let engines = if self.neutral.endpoints.is_empty() {
            format!("prefill engines say {prefill} ms, its decode engines {decode} ms")
        } else {
            format!("engines say {neutral} ms")
        };
        format!("{}: {requests} requests, mean TTFT {truth} ms; its {engines}", self.group)
    }
}
