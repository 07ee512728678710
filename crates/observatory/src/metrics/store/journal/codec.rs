//! How a batch is written: entries one after another, numbers in as few bytes as they need.
//!
//! | entry | bytes |
//! |---|---|
//! | a sample | how its series' number and its time differ from those of the sample before, then its value: a whole number, or eight bytes |
//! | a series | its number, its labels |
//! | a family | its name, type, help and unit |
//! | an exemplar | its series' number, time, value and labels |
//!
//! The lowest two bits of an entry's first number say which it is.

use crate::metrics::Labels;
use crate::metrics::store::chunk::Sample;
use crate::metrics::store::exemplars::Exemplar;
use crate::metrics::store::types::Metadata;

const WHOLE: u64 = 0;
const REAL: u64 = 1;
const OTHER: u64 = 2;
/// What follows [`OTHER`].
const SERIES: u64 = 0;
const FAMILY: u64 = 1;
const EXEMPLAR: u64 = 2;

/// Whole numbers up to here are exact as floating-point numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// One entry of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    Sample { id: u32, sample: Sample },
    Series { id: u32, labels: Labels },
    Family { name: String, metadata: Metadata },
    Exemplar { id: u32, exemplar: Exemplar },
}

/// What the next sample differs from.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    id: i64,
    at: i64,
}

/// Writes a batch.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    before: Before,
}

impl Writer {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.before = Before::default();
    }

    pub(super) fn sample(&mut self, id: u32, sample: Sample) {
        let id = i64::from(id);
        let value = sample.value;
        let whole = value.fract() == 0.0 && value.abs() < EXACT && (value as i64 as f64).to_bits() == value.to_bits();
        self.number(zigzag(id - self.before.id) << 2 | if whole { WHOLE } else { REAL });
        self.number(zigzag(sample.at.wrapping_sub(self.before.at)));
        if whole {
            self.number(zigzag(value as i64));
        } else {
            self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        self.before = Before { id, at: sample.at };
    }

    pub(super) fn entry(&mut self, entry: &Entry) {
        let other = |kind: u64| kind << 2 | OTHER;
        match entry {
            Entry::Sample { id, sample } => self.sample(*id, *sample),
            Entry::Series { id, labels } => {
                self.number(other(SERIES));
                self.number((*id).into());
                self.labels(labels);
            }
            Entry::Family { name, metadata } => {
                self.number(other(FAMILY));
                [name, &metadata.kind, &metadata.help, &metadata.unit].into_iter().for_each(|text| self.text(text));
            }
            Entry::Exemplar { id, exemplar } => {
                self.number(other(EXEMPLAR));
                self.number((*id).into());
                self.number(zigzag(exemplar.at));
                self.bytes.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
                self.labels(&exemplar.labels);
            }
        }
    }

    fn labels(&mut self, labels: &Labels) {
        self.number(labels.len() as u64);
        for (name, value) in labels.iter() {
            self.text(name);
            self.text(value);
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

/// Small numbers of either sign as small ones without.
fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The entries of a batch; ends early where it makes no sense.
pub(super) struct Entries<'a> {
    rest: &'a [u8],
    before: Before,
}

impl<'a> Entries<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, before: Before::default() }
    }

    /// Whether all of it has been read.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next entry.
    pub(super) fn entry(&mut self) -> Option<Entry> {
        let head = self.number()?;
        match (head & 3, head >> 2) {
            (kind @ (WHOLE | REAL), id) => self.sample(id, kind == WHOLE),
            (OTHER, SERIES) => Some(Entry::Series { id: self.id()?, labels: self.labels()? }),
            (OTHER, FAMILY) => {
                let [name, kind, help, unit] = [self.text()?, self.text()?, self.text()?, self.text()?];
                let metadata = Metadata { kind: kind.to_owned(), help: help.to_owned(), unit: unit.to_owned() };
                Some(Entry::Family { name: name.to_owned(), metadata })
            }
            (OTHER, EXEMPLAR) => {
                let (id, at, value) = (self.id()?, unzigzag(self.number()?), self.real()?);
                Some(Entry::Exemplar { id, exemplar: Exemplar { labels: self.labels()?, value, at } })
            }
            _ => None,
        }
    }

    fn sample(&mut self, id: u64, whole: bool) -> Option<Entry> {
        let before = self.before;
        let id = before.id.checked_add(unzigzag(id))?;
        let at = before.at.wrapping_add(unzigzag(self.number()?));
        let value = if whole { unzigzag(self.number()?) as f64 } else { self.real()? };
        self.before = Before { id, at };
        Some(Entry::Sample { id: u32::try_from(id).ok()?, sample: Sample { at, value } })
    }

    fn id(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn real(&mut self) -> Option<f64> {
        let (bits, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(f64::from_bits(u64::from_le_bytes(*bits)))
    }

    /// Labels, which must be in order as they were written.
    fn labels(&mut self) -> Option<Labels> {
        let count = usize::try_from(self.number()?).ok().filter(|count| *count <= self.rest.len())?;
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            pairs.push((self.text()?, self.text()?));
        }
        let in_order =
            pairs.windows(2).all(|pair| pair[0].0 < pair[1].0) && pairs.iter().all(|pair| !pair.1.is_empty());
        in_order.then(|| Labels::new(pairs))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        std::str::from_utf8(text).ok()
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}
