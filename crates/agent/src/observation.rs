//! What one scrape of an engine's metrics says.

use telemetry::exposition::Scrape;

/// Whose metrics they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `vllm:…`
    #[default]
    Vllm,
    /// `sglang:…`
    Sglang,
}

impl Dialect {
    /// The name in metadata.
    pub(crate) const fn backend(self) -> &'static str {
        match self {
            Self::Vllm => "vLLM",
            Self::Sglang => "SGLang",
        }
    }
}

/// An engine's numbers at one moment. What it does not say is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observation {
    pub(crate) dialect: Dialect,
    pub(crate) model: Option<String>,
    /// When the process started, in seconds since 1970.
    pub(crate) started: Option<f64>,
    /// Requests in the batch.
    pub(crate) running: u32,
    /// Requests that wait for room in it.
    pub(crate) waiting: u32,
    /// Requests whose KV is on its way.
    pub(crate) loading: u32,
    /// Share of the KV cache in use.
    pub(crate) usage: f64,
    /// Tokens that fit into the KV cache.
    pub(crate) kv_tokens: Option<u32>,
    /// Tokens per block.
    pub(crate) block_size: Option<u32>,
    /// Not put to sleep.
    pub(crate) awake: bool,
    /// Requests whose prompts are counted in the next line, so far.
    pub(crate) requests: f64,
    /// Prompt tokens of them.
    pub(crate) prompt_tokens: f64,
    /// Those of them that were computed here rather than found in a cache or fetched.
    pub(crate) computed_tokens: f64,
    /// Steps done.
    pub(crate) steps: Option<f64>,
    /// The sum of everything that grows while the engine works.
    pub(crate) progress: f64,
}

/// Metrics that are no engine's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its /metrics have neither vllm:num_requests_running nor sglang:num_running_reqs{of}")]
pub(crate) struct NoEngine {
    of: String,
}

impl Observation {
    /// Reads the numbers of data-parallel rank `rank`, or of the whole engine.
    pub(crate) fn read(scrape: &Scrape, rank: Option<u16>) -> Result<Self, NoEngine> {
        let reader = Reader { scrape, rank: rank.map(|rank| rank.to_string()) };
        let engine = reader.vllm().or_else(|| reader.sglang());
        let of = rank.map_or_else(String::new, |rank| format!(" of rank {rank}"));
        engine.ok_or(NoEngine { of })
    }
}

struct Reader<'a> {
    scrape: &'a Scrape,
    rank: Option<String>,
}

impl Reader<'_> {
    fn vllm(&self) -> Option<Observation> {
        let running = count(self.sum("vllm:num_requests_running")?);
        let queued = count(self.sum("vllm:num_requests_waiting").unwrap_or(0.0));
        let deferred = self.sum_of("vllm:num_requests_waiting_by_reason", ("reason", "deferred"));
        let loading = count(deferred.unwrap_or(0.0));
        let prompt_tokens = self.sum("vllm:request_prompt_tokens_sum").unwrap_or(0.0);
        let seen = self.sum("vllm:prompt_tokens_total").unwrap_or(0.0);
        let computed = self.sum_of("vllm:prompt_tokens_by_source_total", ("source", "local_compute"));
        let steps = self.sum("vllm:iteration_tokens_total_count");
        let (block_size, blocks) = (self.config("block_size"), self.config("num_gpu_blocks"));
        Some(Observation {
            dialect: Dialect::Vllm,
            model: self.label("vllm:num_requests_running", "model_name"),
            started: self.scrape.value("process_start_time_seconds", &[]),
            running,
            // Newer ones count those whose KV is on its way among the waiting.
            waiting: queued.saturating_sub(loading),
            loading,
            usage: self.sum("vllm:kv_cache_usage_perc").or_else(|| self.sum("vllm:gpu_cache_usage_perc"))?,
            // One block is never handed out.
            kv_tokens: block_size.zip(blocks).map(|(size, blocks)| size.saturating_mul(blocks.saturating_sub(1))),
            block_size,
            awake: self.sum_of("vllm:engine_sleep_state", ("sleep_state", "awake")).is_none_or(|awake| awake > 0.0),
            requests: self.sum("vllm:request_prompt_tokens_count").unwrap_or(0.0),
            prompt_tokens,
            // Of prompts that have been counted; the totals may run ahead of the requests.
            computed_tokens: computed
                .filter(|_| seen > 0.0)
                .map_or(prompt_tokens, |computed| prompt_tokens * computed / seen),
            steps,
            progress: seen + self.sum("vllm:generation_tokens_total").unwrap_or(0.0) + steps.unwrap_or(0.0),
        })
    }

    fn sglang(&self) -> Option<Observation> {
        let running = count(self.sum("sglang:num_running_reqs")?);
        let prompt_tokens = self.sum("sglang:prompt_tokens_total").unwrap_or(0.0);
        let cached = self.sum("sglang:cached_tokens_total").unwrap_or(0.0);
        let queues = ["sglang:num_decode_prealloc_queue_reqs", "sglang:num_decode_transfer_queue_reqs"];
        let requests = self.sum("sglang:num_requests_total").unwrap_or(0.0);
        Some(Observation {
            dialect: Dialect::Sglang,
            model: self.label("sglang:num_running_reqs", "model_name"),
            started: self.scrape.value("process_start_time_seconds", &[]),
            running,
            waiting: count(self.sum("sglang:num_queue_reqs").unwrap_or(0.0)),
            loading: count(queues.iter().filter_map(|queue| self.sum(queue)).sum()),
            usage: self.sum("sglang:token_usage")?,
            kv_tokens: self.sum("sglang:max_total_num_tokens").map(count),
            block_size: None,
            awake: true,
            requests,
            prompt_tokens,
            computed_tokens: (prompt_tokens - cached).max(0.0),
            steps: None,
            progress: prompt_tokens + self.sum("sglang:generation_tokens_total").unwrap_or(0.0) + requests,
        })
    }

    fn sum(&self, name: &str) -> Option<f64> {
        self.labelled(name, &[])
    }

    fn sum_of(&self, name: &str, label: (&str, &str)) -> Option<f64> {
        self.labelled(name, &[label])
    }

    fn labelled(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let value = match &self.rank {
            // vLLM calls ranks engines, SGLang calls them what they are.
            Some(rank) => ["engine", "dp_rank"]
                .iter()
                .find_map(|label| self.scrape.sum(name, &[labels, &[(*label, rank.as_str())]].concat())),
            None => self.scrape.sum(name, labels),
        };
        value.filter(|value| value.is_finite())
    }

    fn label(&self, name: &str, label: &str) -> Option<String> {
        self.scrape.matching(name, &[]).find_map(|sample| sample.label(label)).map(str::to_owned)
    }

    fn config(&self, label: &str) -> Option<u32> {
        self.label("vllm:cache_config_info", label)?.parse().ok()
    }
}

/// A gauge of whole things.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, as counts should")]
fn count(value: f64) -> u32 {
    value.round() as u32
}

#[cfg(test)]
mod tests;
