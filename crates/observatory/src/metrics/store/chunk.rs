//! Samples of one series, compressed as Gorilla does: timestamps as the difference of differences, values as the XOR with
//! the value before. A regular scrape of a value that does not change costs two bits.

use super::bits::{BitReader, BitWriter};

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// The value.
    pub value: f64,
}

/// Samples that a chunk holds at most. Fewer cost more memory, more cost more time where a query needs a part.
pub(super) const FULL: u32 = 120;

/// How a difference of differences is written: a prefix of ones, then so many bits. The first step is for the few
/// milliseconds by which a scraper is late.
const STEPS: [u32; 3] = [8, 15, 24];

/// A chunk that still grows.
#[derive(Clone, Debug)]
pub(super) struct Head {
    bits: BitWriter,
    count: u32,
    first: i64,
    last: Sample,
    delta: i64,
    window: Window,
}

/// The bits of a value that the one before changed.
#[derive(Clone, Copy, Debug)]
struct Window {
    leading: u32,
    length: u32,
}

/// A chunk that has its last sample.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    bytes: Box<[u8]>,
    count: u32,
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Head {
    /// A chunk of one sample.
    pub(super) fn new(sample: Sample) -> Self {
        let mut bits = BitWriter::default();
        bits.write(sample.at.cast_unsigned(), 64);
        bits.write(sample.value.to_bits(), 64);
        Self { bits, count: 1, first: sample.at, last: sample, delta: 0, window: Window::NONE }
    }

    /// Appends a sample that is later than the last one.
    pub(super) fn push(&mut self, sample: Sample) {
        let delta = sample.at.wrapping_sub(self.last.at);
        self.write_time(delta.wrapping_sub(self.delta));
        self.write_value(sample.value.to_bits() ^ self.last.value.to_bits());
        (self.delta, self.last, self.count) = (delta, sample, self.count + 1);
    }

    fn write_time(&mut self, change: i64) {
        if change == 0 {
            return self.bits.write(0, 1);
        }
        for (at, bits) in (0u32..).zip(STEPS) {
            let half = 1i64 << (bits - 1);
            if (-half..half).contains(&change) {
                // `at + 1` ones and a zero.
                self.bits.write((1 << (at + 2)) - 2, at + 2);
                return self.bits.write(change.cast_unsigned(), bits);
            }
        }
        let ones = 1 + STEPS.len() as u32;
        self.bits.write((1 << ones) - 1, ones);
        self.bits.write(change.cast_unsigned(), 64);
    }

    fn write_value(&mut self, xor: u64) {
        if xor == 0 {
            return self.bits.write(0, 1);
        }
        let leading = xor.leading_zeros().min(31);
        let length = 64 - leading - xor.trailing_zeros();
        if self.window.holds(xor) {
            self.bits.write(0b10, 2);
        } else {
            self.window = Window { leading, length };
            self.bits.write(0b11, 2);
            self.bits.write(leading.into(), 5);
            self.bits.write(u64::from(length) - 1, 6);
        }
        self.bits.write(xor >> self.window.trailing(), self.window.length);
    }

    pub(super) fn is_full(&self) -> bool {
        self.count >= FULL
    }

    pub(super) fn last(&self) -> Sample {
        self.last
    }

    pub(super) fn first(&self) -> i64 {
        self.first
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn bytes(&self) -> usize {
        self.bits.capacity()
    }

    pub(super) fn samples(&self) -> Samples<'_> {
        Samples::new(self.bits.bytes(), self.count)
    }

    pub(super) fn finish(self) -> Chunk {
        Chunk { count: self.count, first: self.first, last: self.last.at, bytes: self.bits.finish() }
    }
}

impl Window {
    const NONE: Self = Self { leading: 64, length: 0 };

    const fn trailing(self) -> u32 {
        64 - self.leading - self.length
    }

    /// Whether all bits that are set lie inside.
    fn holds(self, xor: u64) -> bool {
        self.length > 0 && xor.leading_zeros() >= self.leading && xor.trailing_zeros() >= self.trailing()
    }
}

impl Chunk {
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }

    pub(super) fn samples(&self) -> Samples<'_> {
        Samples::new(&self.bytes, self.count)
    }
}

/// The samples of a chunk in order.
pub(super) struct Samples<'a> {
    bits: BitReader<'a>,
    left: u32,
    last: Option<Sample>,
    delta: i64,
    window: Window,
}

impl<'a> Samples<'a> {
    fn new(bytes: &'a [u8], count: u32) -> Self {
        Self { bits: BitReader::new(bytes), left: count, last: None, delta: 0, window: Window::NONE }
    }

    fn decode(&mut self) -> Option<Sample> {
        let Some(last) = self.last else {
            let at = self.bits.read(64)?.cast_signed();
            return Some(Sample { at, value: f64::from_bits(self.bits.read(64)?) });
        };
        self.delta = self.delta.wrapping_add(self.time()?);
        let xor = self.xor()?;
        Some(Sample { at: last.at.wrapping_add(self.delta), value: f64::from_bits(last.value.to_bits() ^ xor) })
    }

    fn time(&mut self) -> Option<i64> {
        let ones = self.bits.ones(1 + STEPS.len() as u32)?;
        let Some(step) = ones.checked_sub(1) else {
            return Some(0);
        };
        let bits = STEPS.get(step as usize).copied().unwrap_or(64);
        let value = self.bits.read(bits)?;
        // Moves the sign bit to the top and back.
        Some((value << (64 - bits)).cast_signed() >> (64 - bits))
    }

    fn xor(&mut self) -> Option<u64> {
        match self.bits.ones(2)? {
            0 => return Some(0),
            1 => {}
            _ => {
                let leading = u32::try_from(self.bits.read(5)?).ok()?;
                let length = u32::try_from(self.bits.read(6)?).ok()? + 1;
                self.window = Window { leading, length };
            }
        }
        Some(self.bits.read(self.window.length)? << self.window.trailing())
    }
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        self.left = self.left.checked_sub(1)?;
        self.last = self.decode();
        self.last
    }
}
