//! Closed label values of the coordinator.

/// Values of `connector`.
pub(crate) const CONNECTORS: &[&str] = &["nixlv2", "lmcache", "sglang", "mooncake", "offloading", "kvt", "none"];
/// Values of `api`.
pub(crate) const APIS: &[&str] =
    &["chat_completions", "completions", "responses", "messages", "generate", "embeddings", "other"];
/// Values of `decision`.
pub(crate) const DECISIONS: &[&str] = &["disaggregated", "decode_only", "denied"];
/// Values of a denial's `reason`.
pub(crate) const DENIALS: &[&str] = &["not_allowed", "link_local", "malformed"];

/// A P/D protocol, as it is labelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Connector {
    /// vLLM's NixlConnector.
    NixlV2,
    /// LMCache, shared storage.
    Lmcache,
    /// SGLang's bootstrap rooms.
    Sglang,
    /// vLLM's MooncakeConnector.
    Mooncake,
    /// vLLM's OffloadingConnector.
    Offloading,
    /// blade-kvt.
    Kvt,
    /// No disaggregation configured.
    #[default]
    None,
}

/// Why a prefill target was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// Not on the allow-list.
    NotAllowed,
    /// Link-local addresses are refused always.
    LinkLocal,
    /// Not a host and port.
    Malformed,
}

impl Connector {
    /// The label and attribute value.
    pub const fn as_str(self) -> &'static str {
        CONNECTORS[self as usize]
    }

    /// Whether prefill and decode run at the same time.
    pub const fn is_concurrent(self) -> bool {
        matches!(self, Self::Sglang | Self::Mooncake)
    }
}

impl Denial {
    /// The label value.
    pub const fn as_str(self) -> &'static str {
        DENIALS[self as usize]
    }
}

/// The label value of an API name: the name itself where it is a known one.
pub(crate) fn api_label(name: &str) -> &'static str {
    APIS.iter().find(|known| **known == name).copied().unwrap_or("other")
}
