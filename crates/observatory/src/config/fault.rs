//! What may be wrong with a command line.

use std::net::SocketAddr;

/// One thing wrong with a command line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Anybody on the network could read everything.
    #[error("--listen {0} is reachable from other machines: set --token, or listen on a loopback address")]
    Open(SocketAddr),
    /// Anybody on the network could send telemetry.
    #[error("--{flag} {addr} is reachable from other machines: set --token, or listen on a loopback address")]
    OpenOtlp {
        /// The flag.
        flag: &'static str,
        /// Its value.
        addr: SocketAddr,
    },
    /// The token cannot be sent.
    #[error("--token holds a character that cannot stand in a header")]
    Token,
    /// Not the URL of a server.
    #[error("--{flag}: {fault}")]
    Url {
        /// The flag.
        flag: &'static str,
        /// What is wrong with it.
        fault: String,
    },
    /// A number outside its range.
    #[error("--{flag} must be {expected}")]
    Range {
        /// The flag.
        flag: &'static str,
        /// What would do.
        expected: &'static str,
    },
}
