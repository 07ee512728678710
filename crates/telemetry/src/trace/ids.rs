//! Random ids without a cryptographic generator: xoshiro256++ (Blackman and Vigna), one per thread, seeded by the
//! operating system. Ids need to be unlikely to collide, not unpredictable, and are made on the hot path.

use std::cell::RefCell;

use rand::Rng as _;

use super::{SpanId, TraceId};

/// A generator of trace and span ids.
#[derive(Clone, Debug)]
pub struct IdGenerator {
    state: [u64; 4],
}

thread_local! {
    static LOCAL: RefCell<IdGenerator> = RefCell::new(IdGenerator::from_entropy());
}

/// Runs `make` with this thread's generator.
pub(super) fn with_local<T>(make: impl FnOnce(&mut IdGenerator) -> T) -> T {
    LOCAL.with_borrow_mut(make)
}

impl IdGenerator {
    /// A generator seeded by the operating system.
    pub fn from_entropy() -> Self {
        let mut seed = rand::rng();
        Self { state: std::array::from_fn(|_| seed.next_u64() | 1) }
    }

    /// A generator that repeats its ids: for tests.
    pub fn from_seed(seed: u64) -> Self {
        // SplitMix64 spreads the seed over the state, which must not be all zero.
        let mut x = seed;
        let state = std::array::from_fn(|_| {
            x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Self { state }
    }

    /// A new trace id.
    pub fn trace_id(&mut self) -> TraceId {
        let high = u128::from(self.next());
        TraceId(high << 64 | u128::from(self.nonzero()))
    }

    /// A new span id.
    pub fn span_id(&mut self) -> SpanId {
        SpanId(self.nonzero())
    }

    fn nonzero(&mut self) -> u64 {
        loop {
            let value = self.next();
            if value != 0 {
                return value;
            }
        }
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }
}
