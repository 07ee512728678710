//! Stable hashing: block hashes that mean the same in every process, and the engine's random numbers.
//!
//! Prefix caching identifies a block by a hash chained over everything before it, so equal hashes mean equal prefixes.
//! A shared store compares such hashes between processes, therefore the function is fixed here and does not come from
//! the standard library, whose hashers are seeded per process.

/// A token's id in the simulated vocabulary.
pub type TokenId = u32;

/// Identity of a full KV block: its own tokens and, through the chain, every token before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockHash(pub u64);

/// Finaliser of SplitMix64: a bijection that spreads every input bit over the whole word.
#[must_use]
pub const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Folds `word` into the running hash `state`; the order of the words matters.
#[must_use]
pub const fn fold(state: u64, word: u64) -> u64 {
    mix(state.rotate_left(5) ^ mix(word.wrapping_add(0x9e37_79b9_7f4a_7c15)))
}

/// Hashes bytes, eight at a time, with the length folded in so that padding cannot collide.
#[must_use]
pub fn bytes(state: u64, data: &[u8]) -> u64 {
    let (words, rest) = data.as_chunks::<8>();
    let state = words.iter().fold(state, |state, word| fold(state, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    fold(fold(state, u64::from_le_bytes(last)), data.len() as u64)
}

/// Grows a chain of block hashes token by token, keeping only the tokens of the unfinished block.
#[derive(Clone, Debug)]
pub struct BlockChain {
    block_size: usize,
    hashes: Vec<BlockHash>,
    tail: u64,
    tail_len: usize,
}

impl BlockChain {
    /// An empty chain. Requests whose KV must not be shared (another model, an adapter) start from another `salt`.
    #[must_use]
    pub fn new(block_size: u32, salt: u64) -> Self {
        Self { block_size: block_size as usize, hashes: Vec::new(), tail: mix(salt), tail_len: 0 }
    }

    /// Appends one token, completing a block whenever `block_size` tokens have come together.
    pub fn push(&mut self, token: TokenId) {
        self.tail = fold(self.tail, u64::from(token));
        self.tail_len += 1;
        if self.tail_len == self.block_size {
            // The running value goes on into the next block: that is the chain.
            self.hashes.push(BlockHash(self.tail));
            self.tail_len = 0;
        }
    }

    /// What the unfinished block has so far: a running value, and how many tokens it stands for.
    #[must_use]
    pub const fn tail(&self) -> (u64, u32) {
        (self.tail, self.tail_len as u32)
    }

    /// The chain of which these are [`hashes`](Self::hashes) and [`tail`](Self::tail).
    #[must_use]
    pub const fn from_parts(block_size: u32, hashes: Vec<BlockHash>, (tail, tail_len): (u64, u32)) -> Self {
        Self { block_size: block_size as usize, hashes, tail, tail_len: tail_len as usize }
    }

    /// Tokens pushed so far.
    #[must_use]
    pub const fn len(&self) -> u32 {
        (self.hashes.len() * self.block_size + self.tail_len) as u32
    }

    /// Whether nothing was pushed yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hashes of the full blocks so far, block 0 first.
    #[must_use]
    pub fn hashes(&self) -> &[BlockHash] {
        &self.hashes
    }

    /// A value that depends on every token pushed so far, full blocks or not.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        fold(self.tail, self.tail_len as u64)
    }
}

impl Extend<TokenId> for BlockChain {
    fn extend<I: IntoIterator<Item = TokenId>>(&mut self, tokens: I) {
        for token in tokens {
            self.push(token);
        }
    }
}

/// A small deterministic generator (SplitMix64), one per purpose, so that adding a draw in one place does not shift
/// the draws of another.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose sequence depends on `seed` and `purpose` alone.
    #[must_use]
    pub const fn new(seed: u64, purpose: u64) -> Self {
        Self(fold(seed, purpose))
    }

    /// The next 64 random bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        unit(self.next())
    }
}

/// Maps 64 random bits to a number uniform in `[0, 1)`.
#[must_use]
pub fn unit(bits: u64) -> f64 {
    // The top 53 bits are what a double's mantissa holds exactly.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}
