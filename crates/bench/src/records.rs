//! Records as a llumlet writes them, put together from the field table: the bench must not use what it measures.

use std::net::SocketAddr;
use std::time::SystemTime;

use crate::protobuf::Record;

/// A key of the CMS, and what stands under it.
pub(crate) type Entry = (String, Vec<u8>);

/// So many neutral instances, each with something to do.
pub(crate) fn of(instances: usize) -> Vec<Entry> {
    let place = |n: usize| (format!("10.0.{}.{}", n / 250, n % 250 + 1), 8000);
    let all = (0..instances).flat_map(|n| {
        let (host, port) = place(n);
        instance(n, "neutral", &host, port, |field| (n as u64 * 7 + field * 13) % 500)
    });
    all.collect()
}

/// Idle instances of these types at these places.
pub(crate) fn at(places: &[(&str, SocketAddr)]) -> Vec<Entry> {
    let all = places
        .iter()
        .enumerate()
        .flat_map(|(n, (kind, address))| instance(n, kind, &address.ip().to_string(), address.port(), |_| 0));
    all.collect()
}

/// What an instance says: who it is, and how it is. `load` gives the figures of its status, by field.
fn instance(n: usize, kind: &str, host: &str, port: u16, load: impl Fn(u64) -> u64) -> [Entry; 2] {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let id = format!("instance-{n}");
    let metadata = Record::default()
        .text(1, &id)
        .text(2, kind)
        .text(3, "vLLM")
        .text(4, host)
        .int(6, port.into())
        .text(9, &format!("node-{}", n / 8))
        .int(10, 1)
        .text(12, &format!("unit-{n}"))
        .int(20, 8192);
    let mut status = Record::default().text(1, &id).int(2, 1).int(3, since_1970.as_millis() as u64).int(5, 1);
    for field in (8..=25).filter(|&field| field != 14) {
        status = status.int(field, load(field));
    }
    // Room in the cache.
    let status = status.int(14, 400_000);
    let key = |of: &str| format!("llumnix:instance_{of}:{id}");
    [(key("metadata"), metadata.0), (key("status"), status.0)]
}
