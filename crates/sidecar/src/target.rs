//! Prefill candidates, as the routing header names them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use proxy::Target;
use rand::seq::SliceRandom as _;
use smallvec::SmallVec;

/// The header by which the scheduler names prefill hosts.
pub(crate) const PREFILLER: HeaderName = HeaderName::from_static("x-prefiller-host-port");

/// More candidates than this are not looked at; a scheduler names two or three.
const MOST: usize = 16;

/// A host and a port to send a prefill to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// `host:port` as it goes into `Host`, into metrics of the span, and into errors.
    authority: Arc<str>,
    /// The host alone, an IPv6 address without its brackets.
    host: Arc<str>,
    pub(crate) port: u16,
}

impl Candidate {
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn shared_authority(&self) -> Arc<str> {
        Arc::clone(&self.authority)
    }

    /// The target at `address`, which this candidate's host is or resolved to.
    pub(crate) fn target(&self, address: IpAddr) -> Target {
        let at_address = || Target::from_addr(SocketAddr::new(address, self.port));
        // Every authority that was accepted here parses; should one not, the address alone reaches the same host.
        Target::parse(&self.authority).map_or_else(|_| at_address(), |target| target.with_address(address))
    }

    /// The address, where the host is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

/// A value of the header that is no `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` in x-prefiller-host-port is not host:port")]
pub(crate) struct TargetError(String);

/// The candidates of a request: few, and usually one.
pub(crate) type Candidates = SmallVec<[Candidate; 1]>;

/// Reads all values of the header, each a comma-separated list, in order and without repetitions.
///
/// Nothing, or nothing but white space, means that the request is not to be disaggregated.
pub(crate) fn candidates(headers: &HeaderMap) -> Result<Candidates, TargetError> {
    let mut found = Candidates::new();
    for value in headers.get_all(PREFILLER) {
        let text = value.to_str().map_err(|_| TargetError(format!("{value:?}")))?;
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let candidate = parse(item).ok_or_else(|| TargetError(item.chars().take(100).collect()))?;
            if found.len() < MOST && !found.contains(&candidate) {
                found.push(candidate);
            }
        }
    }
    Ok(found)
}

/// Brings candidates into a random order, for `--enable-prefiller-sampling`.
pub(crate) fn shuffle(candidates: &mut Candidates) {
    candidates.shuffle(&mut rand::rng());
}

/// `host:port`; a scheme in front is tolerated, as schedulers of old wrote one, and has no effect.
fn parse(text: &str) -> Option<Candidate> {
    let text = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    let bare = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').filter(|inner| inner.parse::<Ipv6Addr>().is_ok())?,
        None => Some(host).filter(|host| is_host(host))?,
    };
    Some(Candidate { authority: text.into(), host: bare.into(), port })
}

/// What may stand before the port without brackets: a name or an IPv4 address, nothing that URLs give a meaning to.
fn is_host(host: &str) -> bool {
    (1..=253).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Vec<String>, TargetError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFILLER, value.parse().unwrap());
        }
        Ok(candidates(&headers)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn one_several_repeated_and_none() {
        assert_eq!(read(&["10.0.0.1:8000"]).unwrap(), ["10.0.0.1:8000"]);
        assert_eq!(read(&["http://10.0.0.1:8000"]).unwrap(), ["10.0.0.1:8000"]);
        assert_eq!(read(&[" a:1 ,, b:2", "c:3,a:1"]).unwrap(), ["a:1", "b:2", "c:3"]);
        assert!(read(&["", " , "]).unwrap().is_empty());
        assert!(read(&[]).unwrap().is_empty());
    }

    #[test]
    fn an_address_in_brackets_loses_them_as_a_host() {
        let mut headers = HeaderMap::new();
        headers.insert(PREFILLER, "[fd00::7]:8000".parse().unwrap());
        let found = candidates(&headers).unwrap();
        assert_eq!((found[0].host(), found[0].authority()), ("fd00::7", "[fd00::7]:8000"));
        assert_eq!(found[0].address(), "fd00::7".parse().ok());
    }

    #[test]
    fn what_is_no_host_and_port_is_refused() {
        for bad in ["a", "a:", ":1", "a:0", "a:70000", "a:1/x", "u@a:1", "fd00::7:1", "[a]:1", "a b:1", "a:1 b:2"] {
            assert!(read(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn candidates_are_bounded() {
        let many: Vec<String> = (1..100).map(|port| format!("a:{port}")).collect();
        assert_eq!(read(&[&many.join(",")]).unwrap().len(), MOST);
    }
}
