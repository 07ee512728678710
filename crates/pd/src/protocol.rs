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
    /// vLLM's MooncakeConnector: both legs at once, meeting at a transfer whose parties the prefill server's bootstrap
    /// service knows.
    Mooncake {
        /// Port of that service.
        bootstrap_port: u16,
    },
    /// blade-kvt: the decoder finds the prefill instance by the address of its connector.
    Kvt {
        /// Prefill first, and the decode instance is chosen when it is done; else the decode leg alone is sent, and the
        /// decoder has the prompt computed.
        staged: bool,
    },
}

/// Which leg goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The decode leg needs something of the prefill's answer, or its side effect.
    Serial,
    /// The legs need each other at the same time.
    Concurrent,
    /// There is one leg: the decoder talks to the prefill instance itself.
    Decode,
}

impl Protocol {
    /// The name by which metrics and spans know the protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NixlV2 => "nixlv2",
            Self::SharedStorage => "lmcache",
            Self::SgLang { .. } => "sglang",
            Self::Mooncake { .. } => "mooncake",
            Self::Kvt { .. } => "kvt",
        }
    }

    /// Which leg goes first.
    #[must_use]
    pub fn order(self) -> Order {
        match self {
            Self::NixlV2 | Self::SharedStorage | Self::Kvt { staged: true } => Order::Serial,
            Self::SgLang { .. } | Self::Mooncake { .. } => Order::Concurrent,
            Self::Kvt { staged: false } => Order::Decode,
        }
    }

    /// The same protocol with another bootstrap port, where it has one.
    #[must_use]
    pub fn with_bootstrap_port(self, port: u16) -> Self {
        match self {
            Self::SgLang { .. } => Self::SgLang { bootstrap_port: port },
            Self::Mooncake { .. } => Self::Mooncake { bootstrap_port: port },
            other => other,
        }
    }

    /// The port of a bootstrap service that must be asked ([`bootstrap`](crate::bootstrap)) before an attempt is planned.
    #[must_use]
    pub fn query_port(self) -> Option<u16> {
        match self {
            Self::Mooncake { bootstrap_port } => Some(bootstrap_port),
            _ => None,
        }
    }

    /// The protocol that a Llumnix gateway's `--pd-disagg-protocol` means by `name`, or that any other component calls so.
    ///
    /// What Llumnix calls `vllm-mooncake` is `nixlv2` on the wire: the prefill answers with `kv_transfer_params`, which the
    /// decode leg carries on. llm-d's `mooncake` is another protocol, which asks a bootstrap service and sends both legs at
    /// once.
    ///
    /// # Errors
    /// As [`Protocol::from_str`].
    pub fn from_gateway_flag(name: &str, staged: bool) -> Result<Self, ProtocolError> {
        match name {
            "vllm-kvt" | "kvt" => Ok(Self::Kvt { staged }),
            "vllm-mooncake" => Ok(Self::NixlV2),
            "sglang-mooncake" => Ok(Self::SgLang { bootstrap_port: DEFAULT_BOOTSTRAP_PORT }),
            name => name.parse().map_err(|_| ProtocolError::Unknown { name: name.to_owned(), supported: GATEWAY }),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a sidecar can be told.
const SIDECAR: &str = "nixlv2, lmcache, shared-storage, sglang, mooncake";
/// What a gateway can be told.
const GATEWAY: &str = "nixlv2, lmcache, sglang, mooncake, kvt, vllm-kvt, vllm-mooncake, sglang-mooncake";

/// Why a name is not a protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Known from the systems that Candor follows, and not built yet.
    #[error("`{0}` is not supported yet (supported: {SIDECAR})")]
    NotYet(String),
    /// The gateway's business: a sidecar stands before one decoder, and cannot choose another after the prefill.
    #[error("`{0}` is run by the gateway (--pd-disagg-protocol); a sidecar supports: {SIDECAR}")]
    GatewayOnly(String),
    /// No such protocol anywhere.
    #[error("`{name}` is not a P/D protocol (supported: {supported})")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        supported: &'static str,
    },
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    /// Reads the name that a sidecar's `--kv-connector` knows.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "nixlv2" => Ok(Self::NixlV2),
            "lmcache" | "shared-storage" => Ok(Self::SharedStorage),
            "sglang" => Ok(Self::SgLang { bootstrap_port: DEFAULT_BOOTSTRAP_PORT }),
            "mooncake" => Ok(Self::Mooncake { bootstrap_port: DEFAULT_BOOTSTRAP_PORT }),
            "offloading" => Err(ProtocolError::NotYet(name.to_owned())),
            "kvt" => Err(ProtocolError::GatewayOnly(name.to_owned())),
            _ => Err(ProtocolError::Unknown { name: name.to_owned(), supported: SIDECAR }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_aliases_are_known() {
        for name in ["nixlv2", "lmcache", "sglang", "mooncake"] {
            assert_eq!(name.parse::<Protocol>().unwrap().name(), name);
        }
        assert_eq!("shared-storage".parse(), Ok(Protocol::SharedStorage));
    }

    #[test]
    fn later_protocols_say_so_and_typos_are_told_apart() {
        let error = "offloading".parse::<Protocol>().unwrap_err();
        assert!(error.to_string().contains("not supported yet"), "{error}");
        let error = "kvt".parse::<Protocol>().unwrap_err();
        assert!(error.to_string().contains("gateway"), "{error}");
        assert!(matches!("nixl".parse::<Protocol>(), Err(ProtocolError::Unknown { .. })));
    }

    #[test]
    fn a_gateway_knows_the_names_of_llumnix_too() {
        let read = |name, staged| Protocol::from_gateway_flag(name, staged).unwrap();
        assert_eq!(read("vllm-kvt", false), Protocol::Kvt { staged: false });
        assert_eq!(read("kvt", true), Protocol::Kvt { staged: true });
        assert_eq!(read("vllm-mooncake", true), Protocol::NixlV2);
        assert_eq!(read("sglang-mooncake", false).name(), "sglang");
        assert_eq!(read("mooncake", false).query_port(), Some(DEFAULT_BOOTSTRAP_PORT));
        let error = Protocol::from_gateway_flag("vllm", false).unwrap_err();
        assert!(error.to_string().contains("vllm-kvt"), "{error}");
    }
}
