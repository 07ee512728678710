//! What was placed where.
//!
//! Engines are not asked: a prompt that was placed on an instance is taken to be in its cache from then on, until it was not
//! placed there again for too long, or too much else was placed. So this is a guess, and free of charge for the engines.
//!
//! Memory is bounded. Each part of the index has two generations; what is placed goes into the young one, and when that is full,
//! or old, it takes the place of the old one, whose content is forgotten. What is placed again and again stays.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use smallvec::SmallVec;
use telemetry::clock::Moment;

/// The index lies in so many parts, each with a lock of its own, which is held for one block.
const PARTS: usize = 64;

/// How much is remembered, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexConfig {
    /// Blocks altogether, one counting for each instance that has it; shared out among the parts, of which each keeps at least two.
    pub most_blocks: usize,
    /// How long after its last placement a block is thought to be in a cache.
    pub age: Duration,
}

/// Who is thought to have which block.
#[derive(Debug)]
pub struct Index {
    parts: [Mutex<Part>; PARTS],
    /// Entries of one generation of one part.
    most: usize,
    age: Duration,
    holders: AtomicU32,
}

#[derive(Debug, Default)]
struct Part {
    young: Generation,
    old: Generation,
    /// When the young generation began.
    since: Moment,
}

#[derive(Debug, Default)]
struct Generation {
    blocks: HashMap<u64, SmallVec<[Held; 1]>, RandomState>,
    entries: usize,
}

/// An instance that has a block.
#[derive(Clone, Copy, Debug)]
struct Held {
    by: u32,
    since: Moment,
}

/// Who has each block of a prompt, from the first one to the last that anybody has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Of one block after the other, each in the order of their numbers.
    all: Vec<u32>,
    /// Where each block's end.
    ends: Vec<usize>,
}

impl Holders {
    /// The holders of one block after the other.
    pub fn blocks(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.all[start..end])
    }

    /// Adds the holders of the next block, in the order of their numbers.
    pub fn push(&mut self, holders: impl IntoIterator<Item = u32>) {
        self.all.extend(holders);
        self.ends.push(self.all.len());
    }
}

impl Index {
    /// An empty one.
    #[must_use]
    pub fn new(config: IndexConfig) -> Self {
        Self {
            parts: std::array::from_fn(|_| Mutex::default()),
            most: (config.most_blocks / PARTS / 2).max(1),
            age: config.age,
            holders: AtomicU32::new(0),
        }
    }

    /// A number for an instance. None is given twice, so what an instance had ends with it.
    pub fn next_holder(&self) -> u32 {
        self.holders.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// A prompt with these blocks was placed on an instance.
    pub fn place(&self, blocks: &[u64], by: u32, now: Moment) {
        for &block in blocks {
            let mut part = self.part(block).lock();
            if part.young.entries >= self.most || now - part.since > self.age {
                part.old = std::mem::take(&mut part.young);
                part.since = now;
            }
            part.young.hold(block, Held { by, since: now });
        }
    }

    /// Who has the blocks, up to the first that nobody has: what comes after it is of no use to anybody.
    #[must_use]
    pub fn holders(&self, blocks: &[u64], now: Moment) -> Holders {
        let mut holders = Holders::default();
        for &block in blocks {
            let before = holders.all.len();
            let part = self.part(block).lock();
            let of = |generation: &Generation| generation.blocks.get(&block).map(SmallVec::len).unwrap_or_default();
            holders.all.reserve(of(&part.young) + of(&part.old));
            merge(part.young.held(block), part.old.held(block), |held| {
                if now - held.since <= self.age {
                    holders.all.push(held.by);
                }
            });
            if holders.all.len() == before {
                break;
            }
            holders.ends.push(holders.all.len());
        }
        holders
    }

    /// Blocks that are remembered, one counting for each instance that has it.
    #[must_use]
    pub fn entries(&self) -> usize {
        let of = |part: &Mutex<Part>| {
            let part = part.lock();
            part.young.entries + part.old.entries
        };
        self.parts.iter().map(of).sum()
    }

    fn part(&self, block: u64) -> &Mutex<Part> {
        &self.parts[(block >> 32) as usize % PARTS]
    }
}

impl Generation {
    fn held(&self, block: u64) -> &[Held] {
        self.blocks.get(&block).map(SmallVec::as_slice).unwrap_or_default()
    }

    fn hold(&mut self, block: u64, held: Held) {
        let holders = self.blocks.entry(block).or_default();
        match holders.binary_search_by_key(&held.by, |known| known.by) {
            Ok(at) => holders[at] = held,
            Err(at) => {
                holders.insert(at, held);
                self.entries += 1;
            }
        }
    }
}

/// Both in the order of their numbers; of what is in both the first.
fn merge<'a>(mut first: &'a [Held], mut second: &'a [Held], mut each: impl FnMut(Held)) {
    loop {
        let (one, two) = (first.first(), second.first());
        let take_first = match (one, two) {
            (None, None) => return,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(one), Some(two)) => one.by <= two.by,
        };
        let from = if take_first { &mut first } else { &mut second };
        let Some((held, rest)) = from.split_first() else { return };
        *from = rest;
        if take_first && second.first().is_some_and(|other| other.by == held.by) {
            second = &second[1..];
        }
        each(*held);
    }
}
