//! What a fleet consists of.

use std::fmt;
use std::time::Duration;

/// A P/D protocol that sidecars and engines of a group speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Connector {
    /// vLLM's NIXL connector: prefill, then decode, which pulls the KV
    #[value(name = "nixlv2")]
    Nixlv2,
    /// LMCache: prefill puts the KV into a shared store, decode finds it there
    #[value(name = "lmcache")]
    Lmcache,
    /// SGLang: both legs at once, which meet in a bootstrap room
    #[value(name = "sglang")]
    Sglang,
}

impl Connector {
    /// Every protocol that this release speaks.
    pub const ALL: [Self; 3] = [Self::Nixlv2, Self::Lmcache, Self::Sglang];

    /// Its name in flags and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nixlv2 => "nixlv2",
            Self::Lmcache => "lmcache",
            Self::Sglang => "sglang",
        }
    }

    /// The kind of engine that speaks it.
    pub(crate) const fn dialect(self) -> &'static str {
        match self {
            Self::Nixlv2 | Self::Lmcache => "vllm",
            Self::Sglang => "sglang",
        }
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long the simulated parts take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Added by the gateway before it places a request.
    pub gateway: Duration,
    /// Fixed cost of a step that computes prompt tokens.
    pub prefill: Duration,
    /// Cost of a prompt token on top.
    pub prefill_per_token: Duration,
    /// Cost of a decode step.
    pub decode_step: Duration,
    /// Fixed cost of a KV transfer.
    pub kv_transfer: Duration,
    /// What an engine's API server spends on each output of a step.
    pub output: Duration,
}

impl Latency {
    /// The seed document's example: 2 ms gateway, 50 ms prefill, 3 ms KV transfer, 10 ms decode step.
    pub const SEED_EXAMPLE: Self = Self {
        gateway: Duration::from_millis(2),
        prefill: Duration::from_millis(50),
        prefill_per_token: Duration::ZERO,
        decode_step: Duration::from_millis(10),
        kv_transfer: Duration::from_millis(3),
        output: Duration::ZERO,
    };

    /// The same as [`Latency::BUSY`] behind a gateway that takes its time to place a request.
    pub const SLOW_PLACING: Self = Self { gateway: Duration::from_millis(20), ..Self::BUSY };

    /// A mid-sized model on fast hardware under a hundred streams, slowed down a little at decoding so that two cores
    /// carry a hundred streams through three processes' worth of hops.
    pub const BUSY: Self = Self {
        gateway: Duration::ZERO,
        prefill: Duration::from_millis(20),
        prefill_per_token: Duration::from_micros(10),
        decode_step: Duration::from_millis(40),
        kv_transfer: Duration::from_millis(3),
        output: Duration::from_micros(300),
    };
}

/// How much a group's gateway and scheduler let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// As much as comes.
    Ample,
    /// Little: two requests are placed at once, a few wait for it and not for long, and a prefill instance gets nothing more
    /// while it has some prompts before it.
    Scarce,
}

impl Room {
    /// Flags of the gateway.
    pub(crate) const fn gateway_flags(self) -> &'static [&'static str] {
        match self {
            Self::Ample => &[],
            Self::Scarce => &[
                "--wait-queue-threads=2",
                "--max-queue-size=8",
                "--queue-timeout=60ms",
                "--wait-scheduling-timeout=80ms",
                "--wait-scheduling-retry-interval=40ms",
            ],
        }
    }

    /// The scheduler's policy, where it is not the usual one.
    pub(crate) const fn policy(self) -> Option<&'static str> {
        match self {
            Self::Ample => None,
            Self::Scarce => Some(BUSY_AT_ONCE),
        }
    }
}

/// Prefill instances take turns, and one that has this many tokens before it gets no more, whoever asks.
const BUSY_AT_ONCE: &str = r#"
name = "busy-at-once"
mode = "full"

[default]
filters = [{ filter = "schedulability" }]
selector = { pick = "round-robin" }

[prefill]
filters = [
    { filter = "schedulability" },
    { filter = "metric", metric = "all_prefills_tokens_num", below = 200, hard = true },
]
selector = { pick = "round-robin" }
"#;

/// Instances that work together: one gateway, and sidecars and engines of one protocol behind it, or engines that do both.
///
/// One protocol per group, because an engine is started with one connector; and a gateway per group, because this
/// release's gateway spreads requests over all instances that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// What it is called: by its protocol, where it has one.
    pub name: &'static str,
    /// The protocol. Where all engines are neutral, nothing is handed over by it.
    pub connector: Connector,
    /// Prefill engines, at least one where there are decode engines.
    pub prefill: u8,
    /// Decode engines, each behind a sidecar, at least one where there are prefill engines.
    pub decode: u8,
    /// Neutral engines, which prefill and decode. A gateway knows these or the others, not both.
    pub neutral: u8,
    /// How long things take.
    pub latency: Latency,
    /// Seed of the engines' texts.
    pub seed: u64,
    /// How often gateway and sidecars try again what an engine failed.
    pub retries: u8,
    /// How much is let in.
    pub room: Room,
}

impl GroupConfig {
    /// Two prefill and two decode engines.
    pub const fn two_and_two(connector: Connector, latency: Latency) -> Self {
        let name = connector.as_str();
        Self { name, connector, prefill: 2, decode: 2, neutral: 0, latency, seed: 1, retries: 0, room: Room::Ample }
    }

    /// Two neutral engines, and no sidecar.
    pub const fn two_neutral(name: &'static str, latency: Latency) -> Self {
        Self { name, prefill: 0, decode: 0, neutral: 2, ..Self::two_and_two(Connector::Nixlv2, latency) }
    }
}
