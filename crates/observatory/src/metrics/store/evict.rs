//! Dropping the oldest.

use super::inner::Inner;

/// After an eviction, this share of the limit is free: so that it is not repeated for every batch.
const HEADROOM_DIVISOR: usize = 10;

impl Inner {
    /// Drops what ended before `cutoff`, because of its age.
    pub(super) fn expire(&mut self, cutoff: i64) {
        self.stats.expired += self.drop_before(cutoff);
    }

    /// Drops the oldest chunks of all until the bytes are well within `max_bytes`, if they are not within it.
    pub(super) fn shrink(&mut self, max_bytes: usize) {
        let bytes = self.bytes();
        if bytes <= max_bytes {
            return;
        }
        let surplus = bytes - (max_bytes - max_bytes / HEADROOM_DIVISOR);
        let mut ends: Vec<(i64, usize)> = self.series.iter().flatten().flat_map(|series| series.ends()).collect();
        ends.sort_unstable();
        let mut freed = 0;
        let enough = ends.iter().find(|(_, bytes)| {
            freed += bytes;
            freed >= surplus
        });
        let Some((last, _)) = enough.or_else(|| ends.last()) else {
            return;
        };
        let before = last.saturating_add(1);
        let dropped = self.drop_before(before);
        self.stats.evicted += dropped;
        tracing::warn!(
            samples = dropped,
            before_unix_ms = before,
            bytes,
            max_bytes,
            "dropped the oldest samples to stay within --max-bytes"
        );
    }

    fn drop_before(&mut self, cutoff: i64) -> u64 {
        self.cutoff = self.cutoff.max(cutoff);
        let mut dropped = 0;
        for id in 0..self.series.len() {
            let Some(series) = &mut self.series[id] else { continue };
            let bytes = series.bytes();
            dropped += series.drop_before(cutoff);
            let kept = if series.is_empty() { 0 } else { series.bytes() };
            self.stats.bytes = (self.stats.bytes + kept as u64).saturating_sub(bytes as u64);
            if kept == 0
                && let Some(series) = self.series[id].take()
            {
                let id = u32::try_from(id).unwrap_or(u32::MAX);
                self.index.remove(series.hash(), id, series.labels());
                self.free.push(id);
                self.stats.series -= 1;
            }
        }
        self.exemplars.drop_before(cutoff);
        self.index.forget_unused();
        self.stats.samples = self.stats.samples.saturating_sub(dropped);
        dropped
    }
}
