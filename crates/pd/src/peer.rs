//! The prefill instance as a plan names it to an engine, and where two legs meet that run at once.

use crate::bootstrap::Transfer;

use rand::RngExt as _;

/// A prefill instance, as far as an engine has to be told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    host: Box<str>,
    kv: Option<(Box<str>, u16)>,
    rank: Option<Rank>,
}

/// Which of an instance's data-parallel ranks is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rank {
    index: u32,
    size: u32,
}

impl Peer {
    /// The instance at `host`, which has no port, nor brackets around an IPv6 address.
    #[must_use]
    pub fn new(host: &str) -> Self {
        Self { host: host.into(), kv: None, rank: None }
    }

    /// The same instance, whose connector for KV transfers listens at `host:port`. Only `kvt` needs to know.
    #[must_use]
    pub fn with_kv_address(mut self, host: &str, port: u16) -> Self {
        self.kv = Some((host.into(), port));
        self
    }

    /// The same instance, of whose `size` data-parallel ranks number `index` is meant. Without more than one rank this says
    /// nothing.
    #[must_use]
    pub fn with_rank(mut self, index: u32, size: u32) -> Self {
        self.rank = (size > 1 && index < size).then_some(Rank { index, size });
        self
    }

    /// The host alone.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where its connector listens.
    #[must_use]
    pub fn kv_address(&self) -> Option<(&str, u16)> {
        self.kv.as_ref().map(|(host, port)| (&**host, *port))
    }

    /// A room that the meant rank of this instance serves.
    #[must_use]
    pub fn room(&self) -> Room {
        let room = Room::random();
        self.rank.map_or(room, |rank| room.on_rank(rank.index, rank.size))
    }
}

/// Where the two legs of one attempt of a concurrent protocol meet. Another attempt takes another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// In a room of the prefill server (SGLang).
    Room(Room),
    /// At a transfer that the prefill server's bootstrap service knows the parties of (Mooncake).
    Transfer(Transfer),
}

/// Where SGLang's two legs meet: a number that no other request on the prefill server uses at the same time.
///
/// Two requests in one room crash the scheduler of the engine, and whoever guesses a room can enter it. So it is 62 random
/// bits from a cryptographic generator: coordinators need not know of each other, and a clock (what peers use) gives
/// neither property. The 63rd bit stays free because SGLang numbers the prompts of a batch upwards from the room in a
/// signed 64-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room(u64);

impl Room {
    /// A room of one's own.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::rng().random_range(1..1 << 62))
    }

    /// The room's number: positive, and fits a signed 64-bit integer.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// The nearest room that is served by data-parallel rank `index` of `size`: SGLang gives room *r* to rank
    /// *r* mod *size*.
    #[must_use]
    fn on_rank(self, index: u32, size: u32) -> Self {
        let (index, size) = (u64::from(index), u64::from(size.max(1)));
        let base = self.0 - self.0 % size;
        // Only rank 0 of the lowest rooms would be number 0, which SGLang takes for none.
        Self(if base + index == 0 { size } else { base + index })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_room_on_a_rank_is_that_ranks_and_a_room(number in 1..1u64 << 62, size in 1..64u32, index in 0..64u32) {
            let index = index % size;
            let room = Room(number).on_rank(index, size);
            prop_assert_eq!(room.number() % u64::from(size), u64::from(index));
            prop_assert!(room.number() > 0 && i64::try_from(room.number()).is_ok());
        }
    }

    #[test]
    fn a_rank_counts_only_among_several() {
        assert_eq!(Peer::new("a").with_rank(0, 1), Peer::new("a"));
        assert_eq!(Peer::new("a").with_rank(4, 4), Peer::new("a"));
        let peer = Peer::new("a").with_rank(3, 4);
        assert!((0..50).all(|_| peer.room().number() % 4 == 3));
    }
}
