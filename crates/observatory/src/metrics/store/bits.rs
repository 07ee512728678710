//! Bits in bytes, most significant first.

/// A growing string of bits.
#[derive(Clone, Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not used yet.
    free: u32,
}

impl BitWriter {
    /// Appends the lowest `count` bits of `value`, 64 at most.
    pub(super) fn write(&mut self, value: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = left.min(self.free);
            let part = (value >> (left - take)) & ((1u64 << take) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::try_from(part << (self.free - take)).unwrap_or(u8::MAX);
            }
            self.free -= take;
            left -= take;
        }
    }

    /// What has been written; bits that are free yet are 0.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The bytes, with no memory to spare.
    pub(super) fn finish(self) -> Box<[u8]> {
        self.bytes.into_boxed_slice()
    }
}

/// Reads what a [`BitWriter`] wrote.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, 64 at most; `None` where fewer are left.
    pub(super) fn read(&mut self, count: u32) -> Option<u64> {
        if self.at + count as usize > self.bytes.len() * 8 {
            return None;
        }
        let (mut value, mut left) = (0u64, count);
        while left > 0 {
            let used = u32::try_from(self.at % 8).unwrap_or(0);
            let take = left.min(8 - used);
            let part = (self.bytes[self.at / 8] << used) >> (8 - take);
            value = if take == 64 { 0 } else { value << take } | u64::from(part);
            self.at += take as usize;
            left -= take;
        }
        Some(value)
    }

    /// How many of the next bits are 1 before the first 0, `most` at most; takes the 0 too.
    pub(super) fn ones(&mut self, most: u32) -> Option<u32> {
        for ones in 0..most {
            if self.read(1)? == 0 {
                return Some(ones);
            }
        }
        Some(most)
    }
}
