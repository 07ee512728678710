//! Flags of `candor engine` and the configuration they become. All faults of a command line are reported together.

mod args;

pub use args::{Args, KvArgs, LatencyArgs};

use crate::api::Dialect;
use crate::core;
use crate::core::latency::{Formula, Model, Profile, Source, Transfer};
use crate::instance::Clockwork;
use clap::ValueEnum;
use cluster::Publication;
use cluster::publication::PublishFault;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What an instance is used for. It decides the default service name, and which side of a room it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Computes prompts for others.
    Prefill,
    /// Generates from prompts computed elsewhere.
    Decode,
    /// Both.
    #[default]
    Neutral,
}

impl Role {
    /// The flag's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Neutral => "neutral",
        }
    }
}

/// A way of handing KV over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Connector {
    /// vLLM's NIXL connector: `kv_transfer_params`.
    #[value(name = "nixlv2", alias = "nixl")]
    Nixl,
    /// LMCache or shared storage: needs `--shared-store`.
    #[value(name = "lmcache", alias = "shared-storage")]
    Lmcache,
    /// SGLang's bootstrap rooms.
    Sglang,
    /// Mooncake: transfers that both legs name, found through the prefill instance's bootstrap service.
    Mooncake,
    /// blade-kvt: the decode instance knows nothing but the address of the prefill instance's connector.
    Kvt,
}

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Names of the model; the first appears in answers.
    pub models: Vec<String>,
    /// What the instance is used for.
    pub role: Role,
    /// Whose manners it has.
    pub dialect: Dialect,
    /// How it may hand KV over.
    pub connectors: Vec<Connector>,
    /// Sizes, rules and latencies of the core.
    pub core: core::Config,
    /// What measures out durations.
    pub clockwork: Clockwork,
    /// Prompt and generated tokens together.
    pub max_model_len: u32,
    /// Whether usage tells cached tokens.
    pub prompt_tokens_details: bool,
    /// Mean length of answers that end by themselves.
    pub mean_output_tokens: Option<f64>,
    /// `remote_engine_id`.
    pub engine_id: String,
    /// Port of the side channel.
    pub side_channel_port: u16,
    /// Port of the bootstrap server.
    pub bootstrap_port: u16,
    /// Patience of bootstrap rooms.
    pub room_timeout: Duration,
    /// Address of the shared store; `self` for this instance's.
    pub shared_store: Option<String>,
    /// Size of this instance's store.
    pub shared_store_blocks: usize,
    /// Default of the request member.
    pub cache_hit_threshold: f64,
    /// Loading time.
    pub startup: Duration,
    /// Delay of a stream's head.
    pub head_delay: Duration,
    /// Time between the outputs of a step.
    pub output_cost: Duration,
    /// Longest request body.
    pub max_body_bytes: usize,
    /// Patience at shutdown.
    pub drain_timeout: Duration,
    /// What is said of the instance in the CMS and in discovery, from its start to its end.
    pub publication: Option<Publication>,
}

/// One thing wrong with a command line.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A number outside its range.
    #[error("--{flag} must be {expected}, not {found}")]
    Range {
        /// The flag.
        flag: &'static str,
        /// What would do.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// The cache cannot hold one request of full length.
    #[error(
        "--num-gpu-blocks {blocks} of --block-size {block_size} hold {tokens} tokens, fewer than --max-model-len {max_model_len}"
    )]
    Cache {
        /// Blocks.
        blocks: u32,
        /// Tokens per block.
        block_size: u32,
        /// Tokens in all usable blocks (block 0 is not).
        tokens: u64,
        /// Tokens wanted.
        max_model_len: u32,
    },
    /// The profile cannot be used.
    #[error("--profile {path}: {reason}")]
    Profile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What is to be published cannot be.
    #[error(transparent)]
    Publish(#[from] PublishFault),
    /// Not an address.
    #[error("--shared-store {0:?} is neither host:port nor `self`")]
    Store(String),
}

impl Args {
    /// Checks everything.
    ///
    /// # Errors
    /// Every fault there is.
    pub fn validate(mut self) -> Result<Config, Vec<Fault>> {
        let mut faults = Vec::new();
        let engine_id = self.kv.engine_id.get_or_insert_with(|| uuid::Uuid::new_v4().to_string()).clone();
        let mut unpublished = Vec::new();
        let publication = self.publish.clone().validate(&engine_id, &mut unpublished);
        faults.extend(unpublished.into_iter().map(Fault::Publish));
        self.check_ranges(&mut faults);
        self.check_cache(&mut faults);
        let latency = self.latency_model(&mut faults);
        if let Some(store) = self.kv.shared_store.as_ref().filter(|store| !is_address(store)) {
            faults.push(Fault::Store(store.clone()));
        }
        match latency {
            Some(latency) if faults.is_empty() => Ok(self.into_config(latency, engine_id, publication)),
            _ => Err(faults),
        }
    }

    fn check_ranges(&self, faults: &mut Vec<Fault>) {
        let positive = [
            ("block-size", self.block_size),
            ("max-num-seqs", self.max_num_seqs),
            ("max-num-batched-tokens", self.max_num_batched_tokens),
            ("max-model-len", self.max_model_len),
        ];
        for (flag, found) in positive.into_iter().filter(|(_, value)| *value == 0) {
            faults.push(Fault::Range { flag, expected: "at least 1", found: found.to_string() });
        }
        let shares = [("jitter", self.latency.jitter), ("cache-hit-threshold", self.kv.cache_hit_threshold)];
        for (flag, found) in shares.into_iter().filter(|(_, value)| !(0.0..=1.0).contains(value)) {
            faults.push(Fault::Range { flag, expected: "between 0 and 1", found: found.to_string() });
        }
        if let Some(found) = self.mean_output_tokens.filter(|mean| mean.is_nan() || *mean < 1.0) {
            faults.push(Fault::Range { flag: "mean-output-tokens", expected: "at least 1", found: found.to_string() });
        }
    }

    fn check_cache(&self, faults: &mut Vec<Fault>) {
        let (blocks, block_size) = (self.num_gpu_blocks, self.block_size);
        let tokens = u64::from(blocks.saturating_sub(1)) * u64::from(block_size);
        if tokens < u64::from(self.max_model_len) {
            faults.push(Fault::Cache { blocks, block_size, tokens, max_model_len: self.max_model_len });
        }
    }

    fn latency_model(&self, faults: &mut Vec<Fault>) -> Option<Model> {
        let args = &self.latency;
        if args.zero_latency {
            return Some(Model::zero());
        }
        let source = match &args.profile {
            Some(path) => match read_profile(path) {
                Ok(profile) => Source::Profile(profile),
                Err(reason) => {
                    faults.push(Fault::Profile { path: path.clone(), reason });
                    return None;
                }
            },
            None => Source::Formula(Formula {
                prefill_base: args.prefill_base,
                prefill_per_token: args.prefill_per_token,
                decode_step: args.decode_step,
                decode_per_sequence: args.decode_per_seq,
            }),
        };
        let transfer = Transfer {
            base: self.kv.kv_transfer_base,
            per_block: self.kv.kv_transfer_per_block,
            block_bytes: self.kv.kv_bytes_per_token * u64::from(self.block_size),
            bandwidth: self.kv.kv_bandwidth,
        };
        Some(Model { source, jitter: args.jitter, transfer })
    }

    fn into_config(self, latency: Model, engine_id: String, publication: Option<Publication>) -> Config {
        let models = if self.served_model_name.is_empty() { vec![self.model] } else { self.served_model_name };
        Config {
            listen: SocketAddr::new(self.host, self.port),
            models,
            role: self.role,
            dialect: self.dialect,
            connectors: self.kv_connector,
            core: core::Config {
                block_size: self.block_size,
                blocks: self.num_gpu_blocks,
                max_num_seqs: self.max_num_seqs,
                max_num_batched_tokens: self.max_num_batched_tokens,
                prefix_caching: !self.no_enable_prefix_caching,
                hold_timeout: self.kv.nixl_abort_timeout,
                latency,
                seed: self.seed,
            },
            clockwork: Clockwork::Precise,
            max_model_len: self.max_model_len,
            prompt_tokens_details: self.enable_prompt_tokens_details,
            mean_output_tokens: self.mean_output_tokens,
            engine_id,
            side_channel_port: self.kv.side_channel_port,
            bootstrap_port: self.kv.bootstrap_port,
            room_timeout: self.kv.room_timeout,
            shared_store: self.kv.shared_store,
            shared_store_blocks: self.kv.shared_store_blocks,
            cache_hit_threshold: self.kv.cache_hit_threshold,
            startup: self.startup,
            head_delay: self.head_delay,
            output_cost: if self.latency.zero_latency { Duration::ZERO } else { self.latency.output_cost },
            max_body_bytes: self.max_body_bytes,
            drain_timeout: self.drain_timeout,
            publication,
        }
    }
}

impl Config {
    /// The service name under which an instance of this role exports its spans, unless told otherwise.
    #[must_use]
    pub const fn service_name(&self) -> &'static str {
        match (self.dialect, self.role) {
            (Dialect::Vllm, Role::Prefill) => "vllm-prefill",
            (Dialect::Vllm, Role::Decode) => "vllm-decode",
            (Dialect::Vllm, Role::Neutral) => "vllm",
            (Dialect::Sglang, Role::Prefill) => "sglang-prefill",
            (Dialect::Sglang, Role::Decode) => "sglang-decode",
            (Dialect::Sglang, Role::Neutral) => "sglang",
        }
    }
}

fn read_profile(path: &PathBuf) -> Result<Profile, String> {
    let json = std::fs::read(path).map_err(|error| error.to_string())?;
    Profile::parse(&json).map_err(|error| error.to_string())
}

fn is_address(store: &str) -> bool {
    store == "self"
        || store.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests;
