//! Every setting of the process, once: the same struct is the command line and the YAML document.

use serde::{Deserialize, Serialize};

use super::text::Text;

/// The settings as they were given; a missing one is `None`.
///
/// Names, meanings and defaults are those of the llm-d sidecar, so that its manifests work unchanged; the second block is
/// Candor's own. A boolean may stand alone (`--tracing`) or say what it is (`--tracing=false`).
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Options {
    /// Port to listen on; with data-parallel ranks, that of rank 0 [default: 8000]
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<Text>,
    /// Port of the decode engine on this host; rank r listens on it plus r [default: 8200]
    #[arg(long, value_name = "PORT")]
    pub(super) model_server_port: Option<Text>,
    /// Deprecated: use --model-server-port
    #[arg(long, value_name = "PORT", hide = true)]
    pub(super) vllm_port: Option<Text>,
    /// Data-parallel ranks of the engine: one listener for each [default: 1]
    #[arg(long, value_name = "N")]
    pub(super) data_parallel_size: Option<Text>,
    /// P/D protocol: nixlv2, lmcache (or shared-storage), sglang, mooncake [default: nixlv2]
    #[arg(long, value_name = "NAME")]
    pub(super) kv_connector: Option<Text>,
    /// Deprecated: use --kv-connector
    #[arg(long, value_name = "NAME", hide = true)]
    pub(super) connector: Option<Text>,
    /// Serve TLS [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) secure_serving: Option<Text>,
    /// The older name of --secure-serving
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) secure_proxy: Option<Text>,
    /// Directory with tls.crt and tls.key, read again when they change; without it the certificate is self-signed
    #[arg(long, value_name = "DIR")]
    pub(super) cert_path: Option<Text>,
    /// Restrict prefill targets to the pods of --inference-pool; false leaves the pool unwatched
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) enable_ssrf_protection: Option<Text>,
    /// InferencePool whose pods may be prefill targets: namespace/name, or name [env: INFERENCE_POOL]
    #[arg(long, value_name = "POOL")]
    pub(super) inference_pool: Option<Text>,
    /// Deprecated: use --inference-pool
    #[arg(long, value_name = "NAMESPACE", hide = true)]
    pub(super) inference_pool_namespace: Option<Text>,
    /// Deprecated: use --inference-pool
    #[arg(long, value_name = "NAME", hide = true)]
    pub(super) inference_pool_name: Option<Text>,
    /// API group of the InferencePool [default: inference.networking.k8s.io]
    #[arg(long, value_name = "GROUP")]
    pub(super) pool_group: Option<Text>,
    /// URL of the Kubernetes API, such as that of a `kubectl proxy` [default: the pod's own access]
    #[arg(long, value_name = "URL")]
    pub(super) kubernetes_api: Option<Text>,
    /// Try the prefill hosts of the header in random order [env: ENABLE_PREFILLER_SAMPLING] [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) enable_prefiller_sampling: Option<Text>,
    /// Stages reached over TLS: prefiller, decoder
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(super) enable_tls: Option<Vec<Text>>,
    /// Stages whose certificate is not verified: prefiller, decoder
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(super) tls_insecure_skip_verify: Option<Vec<Text>>,
    /// Deprecated: use --enable-tls=prefiller
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) prefiller_use_tls: Option<Text>,
    /// Deprecated: use --enable-tls=decoder
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) decoder_use_tls: Option<Text>,
    /// Deprecated: use --tls-insecure-skip-verify=prefiller
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) prefiller_tls_insecure_skip_verify: Option<Text>,
    /// Deprecated: use --tls-insecure-skip-verify=decoder
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) decoder_tls_insecure_skip_verify: Option<Text>,
    /// Idle connections kept for each engine [default: 1024]
    #[arg(long, value_name = "N")]
    pub(super) max_idle_conns_per_host: Option<Text>,
    /// Further attempts after every prefill host of the header has had its chance [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) prefill_max_retries: Option<Text>,
    /// Pause before each further attempt [default: 200ms]
    #[arg(long, value_name = "DURATION")]
    pub(super) prefill_retry_backoff: Option<Text>,
    /// Export spans [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) tracing: Option<Text>,
    /// Port of /metrics: 0 picks a free one, `off` serves none [env: MORIIO_METRICS_ADDR] [default: 9464]
    #[arg(long, value_name = "PORT")]
    pub(super) metrics_port: Option<Text>,

    /// Address to listen on [default: 0.0.0.0]
    #[arg(long, value_name = "IP")]
    pub(super) host: Option<Text>,
    /// Prefill targets that are allowed: host names, addresses, CIDRs [default: loopback and private ranges]
    #[arg(long, value_name = "HOST|CIDR", value_delimiter = ',')]
    pub(super) prefill_allow: Option<Vec<Text>>,
    /// How long a prefill may take, retries included [default: 300s]
    #[arg(long, value_name = "DURATION")]
    pub(super) prefill_timeout: Option<Text>,
    /// When the prefill fails: `error` answers with its error, `decode-only` lets the decoder do both [default: error]
    #[arg(long, value_name = "error|decode-only")]
    pub(super) on_prefill_failure: Option<Text>,
    /// Largest request body [default: 67108864]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_body_bytes: Option<Text>,
    /// How long streams may go on after SIGTERM [default: 60s]
    #[arg(long, value_name = "DURATION")]
    pub(super) drain_timeout: Option<Text>,
    /// How long opening a connection to an engine may take [default: 5s]
    #[arg(long, value_name = "DURATION")]
    pub(super) connect_timeout: Option<Text>,
    /// Bootstrap port of SGLang's prefill servers [env: SGLANG_BOOTSTRAP_PORT] [default: 8998]
    #[arg(long, value_name = "PORT")]
    pub(super) sglang_bootstrap_port: Option<Text>,
    /// Bootstrap port of Mooncake's prefill servers [env: MOONCAKE_BOOTSTRAP_PORT] [default: 8998]
    #[arg(long, value_name = "PORT")]
    pub(super) mooncake_bootstrap_port: Option<Text>,
    /// How much of an answer may wait for a slow client; then the decoder is read no further [default: 262144]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_buffered_bytes_per_stream: Option<Text>,
    /// From which gap between two tokens on a stream counts as stalled [default: 2s]
    #[arg(long, value_name = "DURATION")]
    pub(super) stall_threshold: Option<Text>,
    /// The share of first tokens that are followed until they have left the kernel [default: 0.01]
    #[arg(long, value_name = "RATIO")]
    pub(super) egress_check_ratio: Option<Text>,
    /// Ask vLLM for a token count in every chunk, and remove it again for the client [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) exact_token_accounting: Option<Text>,
}
