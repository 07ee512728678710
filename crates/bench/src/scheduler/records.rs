//! Records as a llumlet writes them, put together from the field table: the bench must not use what it measures.

use std::time::SystemTime;

use crate::protobuf::Record;

/// Keys and values of so many neutral instances, each with something to do.
pub(super) fn of(instances: usize) -> Vec<(String, Vec<u8>)> {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let mut records = Vec::with_capacity(2 * instances);
    for n in 0..instances {
        let id = format!("instance-{n}");
        let metadata = Record::default()
            .text(1, &id)
            .text(2, "neutral")
            .text(3, "vLLM")
            .text(4, &format!("10.0.{}.{}", n / 250, n % 250 + 1))
            .int(6, 8000)
            .text(9, &format!("node-{}", n / 8))
            .int(10, 1)
            .text(12, &format!("unit-{n}"))
            .int(20, 8192);
        records.push((format!("llumnix:instance_metadata:{id}"), metadata.0));
        let mut status = Record::default().text(1, &id).int(2, 1).int(3, since_1970.as_millis() as u64).int(5, 1);
        for field in (8..=25).filter(|&field| field != 14) {
            status = status.int(field, (n as u64 * 7 + field * 13) % 500);
        }
        // Room in the cache.
        let status = status.int(14, 400_000);
        records.push((format!("llumnix:instance_status:{id}"), status.0));
    }
    records
}
