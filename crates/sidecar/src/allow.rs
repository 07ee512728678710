//! Who may be a prefill target.
//!
//! The target comes in a header, and headers come from clients unless somebody in front removes them. Without a check the
//! sidecar would post a prompt to any address that it can reach: the classic way to a cloud's metadata service. So:
//!
//! - link-local addresses are refused whatever the rules say, however they are spelt (IPv4-mapped and NAT64 IPv6 too);
//! - a name that is allowed as a name still must not *resolve* to one; any other name is judged by what it resolves to,
//!   and the connection goes to the address that was judged, so that a second answer of the resolver changes nothing;
//! - the rules are names and ranges of `--prefill-allow`, the pods of an InferencePool, or loopback and private ranges.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;

/// Names and ranges that are allowed.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    names: HashSet<String>,
    ranges: Vec<IpNet>,
}

/// An entry of `--prefill-allow` that is neither a name nor a range.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither a host name, nor an address, nor a range such as 10.0.0.0/8")]
pub struct RuleError(String);

impl Rules {
    /// Nothing is allowed.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Loopback and the private ranges (RFC 1918, RFC 4193).
    #[must_use]
    pub fn private() -> Self {
        const RANGES: [(IpAddr, u8); 6] = [
            (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
            (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
            (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
            (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
            (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
            (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
        ];
        let ranges = RANGES.iter().map(|(address, length)| IpNet::new_assert(*address, *length));
        Self { names: HashSet::new(), ranges: ranges.collect() }
    }

    /// Allows a host name, an address or a CIDR.
    ///
    /// # Errors
    /// When `text` is none of them.
    pub fn add(&mut self, text: &str) -> Result<(), RuleError> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(range) = bare.parse::<IpNet>() {
            self.ranges.push(range);
        } else if let Ok(address) = bare.parse::<IpAddr>() {
            self.ranges.push(IpNet::from(address.to_canonical()));
        } else if is_name(bare) {
            self.names.insert(bare.to_ascii_lowercase());
        } else {
            return Err(RuleError(text.to_owned()));
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// Pods of an InferencePool: addresses and names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pods {
    pub(crate) addresses: HashSet<IpAddr>,
    pub(crate) names: HashSet<String>,
}

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is, or resolves to, a link-local or metadata address.
    LinkLocal,
    /// No rule allows it.
    NotAllowed,
    /// It is a name that does not resolve.
    Unresolved,
}

/// The rules, and the pods as they were last seen.
#[derive(Debug, Default)]
pub(crate) struct AllowList {
    rules: Rules,
    pods: ArcSwap<Pods>,
}

impl AllowList {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, pods: ArcSwap::default() }
    }

    /// Replaces the pods that are allowed.
    pub(crate) fn set_pods(&self, pods: Pods) {
        self.pods.store(Arc::new(pods));
    }

    /// Judges a target that is given as an address.
    pub(crate) fn address(&self, address: IpAddr) -> Result<(), Refusal> {
        let address = embedded(address);
        if never(address) {
            return Err(Refusal::LinkLocal);
        }
        let ruled = self.rules.ranges.iter().any(|range| range.contains(&address));
        if ruled || self.pods.load().addresses.contains(&address) { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// The first of the addresses that `name` resolved to which may be connected to.
    ///
    /// One link-local address among them condemns the name: who controls a resolver decides which one is used.
    pub(crate) fn resolved(&self, name: &str, addresses: &[IpAddr]) -> Result<IpAddr, Refusal> {
        if addresses.iter().any(|address| never(embedded(*address))) {
            return Err(Refusal::LinkLocal);
        }
        let first = *addresses.first().ok_or(Refusal::Unresolved)?;
        if self.names(name) {
            return Ok(first);
        }
        addresses.iter().copied().find(|address| self.address(*address).is_ok()).ok_or(Refusal::NotAllowed)
    }

    fn names(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.rules.names.contains(&name) || self.pods.load().names.contains(&name)
    }
}

/// The IPv4 address inside an IPv6 one that the network would turn back into it (mapped, NAT64), else the address.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        _ => v6.to_canonical(),
    }
}

/// Addresses that no rule can allow: link-local ones, and the IPv6 address of AWS's metadata service, which lies in the
/// private range.
fn never(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.segments()[..2] == [0xfd00, 0xec2],
    }
}

#[cfg(test)]
mod tests;
