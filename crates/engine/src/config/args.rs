//! The flags themselves. Those that vLLM has bear vLLM's names and defaults where a simulation can.

use super::{Connector, Role};
use crate::api::Dialect;
use cluster::publication::PublishArgs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// Flags of a simulated engine.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// Port to listen on; 0 picks a free one
    #[arg(long, default_value_t = 8000)]
    pub port: u16,
    /// Name of the model
    #[arg(long, default_value = "candor-sim")]
    pub model: String,
    /// Names clients may use for the model, instead of --model; the first one appears in answers
    #[arg(long, num_args = 1..)]
    pub served_model_name: Vec<String>,
    /// What the instance is used for
    #[arg(long, value_enum, default_value_t)]
    pub role: Role,
    /// Whose answers and metrics to imitate
    #[arg(long, value_enum, default_value_t)]
    pub dialect: Dialect,
    /// Ways of handing KV over that the instance takes part in
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["nixlv2", "lmcache", "sglang"])]
    pub kv_connector: Vec<Connector>,
    /// Same seed, same texts and same jitter
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Requests in one step at most
    #[arg(long, default_value_t = 256)]
    pub max_num_seqs: u32,
    /// Tokens in one step at most
    #[arg(long, default_value_t = 8192)]
    pub max_num_batched_tokens: u32,
    /// Tokens per KV block
    #[arg(long, default_value_t = 16)]
    pub block_size: u32,
    /// KV blocks; must hold at least one request of --max-model-len
    #[arg(long, default_value_t = 8192)]
    pub num_gpu_blocks: u32,
    /// Prompt and generated tokens of a request together
    #[arg(long, default_value_t = 32_768)]
    pub max_model_len: u32,
    /// Forget KV as soon as its request ends
    #[arg(long)]
    pub no_enable_prefix_caching: bool,
    /// Say in usage how many prompt tokens were cached
    #[arg(long)]
    pub enable_prompt_tokens_details: bool,
    /// Answers end by themselves after this many tokens on average (unless ignore_eos); without it, at max_tokens
    #[arg(long)]
    pub mean_output_tokens: Option<f64>,

    #[command(flatten)]
    /// What time things take
    pub latency: LatencyArgs,
    #[command(flatten)]
    /// KV between instances
    pub kv: KvArgs,
    #[command(flatten)]
    /// What schedulers and gateways are told
    pub publish: PublishArgs,

    /// How long the model loads before /health says 200
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    pub startup: Duration,
    /// How long after a request's admission the head of a stream is sent (a real vLLM: 10 to 28 ms)
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    pub head_delay: Duration,
    /// Longest request body in bytes
    #[arg(long, default_value_t = 64 << 20)]
    pub max_body_bytes: usize,
    /// How long running requests may take to end at shutdown
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub drain_timeout: Duration,
}

/// Flags of the latency model.
#[derive(Clone, Debug, clap::Args)]
pub struct LatencyArgs {
    /// Measured latencies (JSON with `ttft` and `tpot` results) instead of the four flags below
    #[arg(long)]
    pub profile: Option<PathBuf>,
    /// Fixed cost of a step that computes prompt tokens
    #[arg(long, default_value = "10ms", value_parser = humantime::parse_duration)]
    pub prefill_base: Duration,
    /// Cost per prompt token
    #[arg(long, default_value = "50us", value_parser = humantime::parse_duration)]
    pub prefill_per_token: Duration,
    /// Cost of a decode step
    #[arg(long, default_value = "10ms", value_parser = humantime::parse_duration)]
    pub decode_step: Duration,
    /// Cost per sequence in a decode step beyond the first
    #[arg(long, default_value = "20us", value_parser = humantime::parse_duration)]
    pub decode_per_seq: Duration,
    /// What the API server spends on each output of a step (text, JSON, writing); outputs leave one after the other
    #[arg(long, default_value = "0us", value_parser = humantime::parse_duration)]
    pub output_cost: Duration,
    /// Relative spread of all durations, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    pub jitter: f64,
    /// Nothing takes any time
    #[arg(long, conflicts_with = "profile")]
    pub zero_latency: bool,
}

/// Flags of the hand-over of KV.
#[derive(Clone, Debug, clap::Args)]
pub struct KvArgs {
    /// Fixed cost of a KV transfer
    #[arg(long, default_value = "1ms", value_parser = humantime::parse_duration)]
    pub kv_transfer_base: Duration,
    /// Cost per KV block transferred
    #[arg(long, default_value = "20us", value_parser = humantime::parse_duration)]
    pub kv_transfer_per_block: Duration,
    /// Bytes of KV per token
    #[arg(long, default_value_t = 131_072)]
    pub kv_bytes_per_token: u64,
    /// Bytes per second of the link between instances; 0 leaves size out of the account
    #[arg(long, default_value_t = 0)]
    pub kv_bandwidth: u64,
    /// Name under which other instances know this one's memory; without it, a new UUID
    #[arg(long)]
    pub engine_id: Option<String>,
    /// Port of the NIXL side channel; 0 picks a free one
    #[arg(long, default_value_t = 0, env = "VLLM_NIXL_SIDE_CHANNEL_PORT")]
    pub side_channel_port: u16,
    /// How long a prefill's blocks wait to be pulled
    #[arg(long, default_value = "480s", value_parser = seconds, env = "VLLM_NIXL_ABORT_REQUEST_TIMEOUT")]
    pub nixl_abort_timeout: Duration,
    /// Port of the SGLang bootstrap server; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    pub bootstrap_port: u16,
    /// How long the two sides of a bootstrap room wait for each other
    #[arg(long, default_value = "300s", value_parser = seconds, env = "SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT")]
    pub room_timeout: Duration,
    /// host:port of the shared KV store, which is any instance's side channel; `self` for this one's
    #[arg(long)]
    pub shared_store: Option<String>,
    /// Blocks that this instance's store holds for others
    #[arg(long, default_value_t = 1 << 20)]
    pub shared_store_blocks: usize,
    /// Default of the request member of the same name
    #[arg(long, default_value_t = 0.0)]
    pub cache_hit_threshold: f64,
}

/// Whole seconds, as the environment variables of vLLM and SGLang have them, or a duration with a unit.
fn seconds(text: &str) -> Result<Duration, humantime::DurationError> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text),
    }
}
