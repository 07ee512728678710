//! Ports for servers that cannot pick one themselves.

use std::net::{Ipv4Addr, TcpListener};

use rand::RngExt as _;

/// A port that nobody listens on. It lies below the range that the system takes clients' ports from, so that a server may be
/// stopped and started again on it.
pub fn free() -> u16 {
    let mut random = rand::rng();
    loop {
        let port = random.random_range(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
