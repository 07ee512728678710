//! The protocols by name.

use std::fmt;
use std::str::FromStr;

/// The bootstrap port of an SGLang prefill server unless it was told otherwise.
pub const DEFAULT_BOOTSTRAP_PORT: u16 = 8998;

/// How prefill and decode instance meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// vLLM's NixlConnector: prefill answers with block ids, decode pulls them.
    NixlV2,
    /// A store that both instances share (LMCache): prefill fills it, decode finds its prefix there.
    SharedStorage,
    /// SGLang: both legs at once, meeting in a bootstrap room on the prefill server.
    SgLang {
        /// Port of the prefill server's bootstrap service.
        bootstrap_port: u16,
    },
}

/// Which leg goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The decode leg needs something of the prefill's answer, or its side effect.
    Serial,
    /// The legs need each other at the same time.
    Concurrent,
}

impl Protocol {
    /// The name by which metrics and spans know the protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NixlV2 => "nixlv2",
            Self::SharedStorage => "lmcache",
            Self::SgLang { .. } => "sglang",
        }
    }

    /// Which leg goes first.
    #[must_use]
    pub fn order(self) -> Order {
        match self {
            Self::NixlV2 | Self::SharedStorage => Order::Serial,
            Self::SgLang { .. } => Order::Concurrent,
        }
    }

    /// The same protocol with another bootstrap port, where it has one.
    #[must_use]
    pub fn with_bootstrap_port(self, port: u16) -> Self {
        match self {
            Self::SgLang { .. } => Self::SgLang { bootstrap_port: port },
            other => other,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a name is not a protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Known from the systems that Candor follows, and not built yet.
    #[error("`{0}` is not supported yet (supported: nixlv2, lmcache, shared-storage, sglang)")]
    NotYet(String),
    /// No such protocol anywhere.
    #[error("`{0}` is not a P/D protocol (supported: nixlv2, lmcache, shared-storage, sglang)")]
    Unknown(String),
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "nixlv2" => Ok(Self::NixlV2),
            "lmcache" | "shared-storage" => Ok(Self::SharedStorage),
            "sglang" => Ok(Self::SgLang { bootstrap_port: DEFAULT_BOOTSTRAP_PORT }),
            "mooncake" | "offloading" | "kvt" => Err(ProtocolError::NotYet(name.to_owned())),
            _ => Err(ProtocolError::Unknown(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_aliases_are_known() {
        for name in ["nixlv2", "lmcache", "sglang"] {
            assert_eq!(name.parse::<Protocol>().unwrap().name(), name);
        }
        assert_eq!("shared-storage".parse(), Ok(Protocol::SharedStorage));
    }

    #[test]
    fn later_protocols_say_so_and_typos_are_told_apart() {
        for name in ["mooncake", "offloading", "kvt"] {
            let error = name.parse::<Protocol>().unwrap_err();
            assert!(error.to_string().contains("not supported yet"), "{error}");
        }
        assert_eq!("nixl".parse::<Protocol>(), Err(ProtocolError::Unknown("nixl".to_owned())));
    }
}
