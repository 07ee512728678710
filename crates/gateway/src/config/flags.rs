//! The flags as data.
//!
//! One table says everything there is to say about a flag: its name, the environment variable beside it, its default,
//! its help. The command line, the settings file, `--help` and `/config` are all read off it, so that none of them can
//! know a flag that the others do not. Values stay text until [`super::Args::validate`] reads them: the parser of the
//! command line stops at the first bad value, and an operator wants to be told of all of them.

/// One setting of the gateway.
#[derive(Debug)]
pub(crate) struct Flag {
    /// The long name, without dashes; also the key in a settings file and in `/config`.
    pub(crate) name: &'static str,
    /// The environment variable that sets it where the command line does not.
    pub(crate) env: &'static str,
    /// The value where nobody says otherwise; `None` is "not set".
    pub(crate) default: Option<&'static str>,
    /// What stands for the value in `--help`.
    pub(crate) value: &'static str,
    /// The heading that it appears under in `--help`.
    pub(crate) group: Group,
    /// What it does.
    pub(crate) help: &'static str,
    /// Whether its value must not be shown.
    pub(crate) secret: bool,
}

/// The headings of `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Where the gateway listens, and how it treats the connections of clients.
    Listening,
    /// The engines.
    Engines,
    /// What happens to a request.
    Requests,
    /// For experiments; not shown in `--help`.
    Hidden,
}

impl Group {
    /// The text of the heading.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Listening => "Listening",
            Self::Engines => "Engines",
            Self::Requests => "Requests",
            Self::Hidden => "Experiments",
        }
    }
}

/// A flag with a default.
const fn flag(group: Group, [name, env, value, default, help]: [&'static str; 5]) -> Flag {
    Flag { name, env, default: Some(default), value, group, help, secret: false }
}

/// A flag that is not set unless somebody sets it.
const fn unset(group: Group, [name, env, value, help]: [&'static str; 4]) -> Flag {
    Flag { name, env, default: None, value, group, help, secret: false }
}

/// An [`unset`] flag whose value is nobody's business.
const fn secret(group: Group, text: [&'static str; 4]) -> Flag {
    let mut flag = unset(group, text);
    flag.secret = true;
    flag
}

/// The flag that names the settings file. It is the one flag that a settings file cannot set.
pub(crate) const SETTINGS_FILE: &str = "config";

/// Every flag of the gateway. Names and defaults are Llumnix's where Llumnix has the flag, except where the help says so.
pub(crate) const FLAGS: &[Flag] = &[
    flag(Group::Listening, ["host", "CANDOR_GATEWAY_HOST", "ADDRESS", "0.0.0.0", "Address to listen on"]),
    flag(Group::Listening, ["port", "CANDOR_GATEWAY_PORT", "PORT", "8089", "Port to listen on; 0 picks a free one"]),
    unset(
        Group::Listening,
        [
            SETTINGS_FILE,
            "CANDOR_GATEWAY_CONFIG",
            "FILE",
            "YAML file of settings, `flag-name: value`; the command line and the environment win over it",
        ],
    ),
    flag(
        Group::Listening,
        [
            "client-header-timeout",
            "CANDOR_GATEWAY_CLIENT_HEADER_TIMEOUT",
            "DURATION",
            "30s",
            "How long a client may take to send the head of a request",
        ],
    ),
    flag(
        Group::Listening,
        [
            "client-idle-timeout",
            "CANDOR_GATEWAY_CLIENT_IDLE_TIMEOUT",
            "DURATION",
            "5m",
            "How long a client's connection may lie idle between requests",
        ],
    ),
    flag(
        Group::Listening,
        [
            "drain-timeout",
            "CANDOR_GATEWAY_DRAIN_TIMEOUT",
            "DURATION",
            "60s",
            "How long requests in flight may take to finish after SIGTERM",
        ],
    ),
    flag(
        Group::Engines,
        [
            "llm-backend-discovery",
            "CANDOR_GATEWAY_LLM_BACKEND_DISCOVERY",
            "KIND",
            "endpoints",
            "Where the engines are learnt from; so far only `endpoints`, the lists below (Llumnix's default: redis)",
        ],
    ),
    unset(
        Group::Engines,
        [
            "prefill-endpoints",
            "CANDOR_GATEWAY_PREFILL_ENDPOINTS",
            "HOST:PORT,...",
            "Prefill engines, as the decode instances' sidecars reach them",
        ],
    ),
    unset(
        Group::Engines,
        [
            "decode-endpoints",
            "CANDOR_GATEWAY_DECODE_ENDPOINTS",
            "HOST:PORT,...",
            "Decode instances: the sidecars in front of the decode engines",
        ],
    ),
    unset(
        Group::Engines,
        [
            "neutral-endpoints",
            "CANDOR_GATEWAY_NEUTRAL_ENDPOINTS",
            "HOST:PORT,...",
            "Engines that do both prefill and decode; instead of the two lists above",
        ],
    ),
    unset(
        Group::Engines,
        [
            "llm-backend-endpoints",
            "CANDOR_GATEWAY_LLM_BACKEND_ENDPOINTS",
            "HOST:PORT,...",
            "Llumnix's name for --neutral-endpoints",
        ],
    ),
    flag(
        Group::Engines,
        [
            "scheduling-policy",
            "CANDOR_GATEWAY_SCHEDULING_POLICY",
            "POLICY",
            "round-robin",
            "How an engine is chosen; so far only `round-robin` (Llumnix's default: load-balance)",
        ],
    ),
    flag(
        Group::Engines,
        [
            "models-refresh-interval",
            "CANDOR_GATEWAY_MODELS_REFRESH_INTERVAL",
            "DURATION",
            "10s",
            "How often the engines are asked which models they serve",
        ],
    ),
    secret(
        Group::Engines,
        [
            "engine-api-key",
            "CANDOR_GATEWAY_ENGINE_API_KEY",
            "KEY",
            "Key for the gateway's own questions to the engines; clients' requests keep their own",
        ],
    ),
    flag(
        Group::Engines,
        [
            "connect-timeout",
            "CANDOR_GATEWAY_CONNECT_TIMEOUT",
            "DURATION",
            "5s",
            "How long opening a connection to an engine may take",
        ],
    ),
    flag(
        Group::Engines,
        [
            "response-header-timeout",
            "CANDOR_GATEWAY_RESPONSE_HEADER_TIMEOUT",
            "DURATION",
            "15m",
            "How long an engine may take to begin its answer",
        ],
    ),
    flag(
        Group::Engines,
        [
            "stream-idle-timeout",
            "CANDOR_GATEWAY_STREAM_IDLE_TIMEOUT",
            "DURATION",
            "5m",
            "How long an answer that has begun may stay silent",
        ],
    ),
    flag(
        Group::Requests,
        [
            "max-body-bytes",
            "CANDOR_GATEWAY_MAX_BODY_BYTES",
            "BYTES",
            "67108864",
            "Longest request body; a longer one is answered with 413",
        ],
    ),
    flag(
        Group::Requests,
        [
            "exact-token-accounting",
            "CANDOR_GATEWAY_EXACT_TOKEN_ACCOUNTING",
            "BOOL",
            "false",
            "Ask engines for a running token count on every chunk, and take it out again for the client",
        ],
    ),
    flag(
        Group::Requests,
        [
            "retry-max-count",
            "CANDOR_GATEWAY_RETRY_MAX_COUNT",
            "COUNT",
            "0",
            "How often a request that an engine failed is sent to another one, as long as the client was sent nothing",
        ],
    ),
    unset(
        Group::Hidden,
        [
            "inject-routing-delay",
            "CANDOR_GATEWAY_INJECT_ROUTING_DELAY",
            "DURATION",
            "Wait this long before choosing an engine, as if choosing took so long; for checking measurements",
        ],
    ),
];
