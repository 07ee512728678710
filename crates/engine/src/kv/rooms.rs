//! Rooms of a prefill instance's bootstrap server (SGLang).
//!
//! A prefill and a decode request that carry the same room number meet here. Prefill starts computing once decode has
//! reserved memory (SGLang's bootstrap queue), decode goes on once prefill is complete, and prefill's memory is free
//! once decode has it. Each side sits in a seat; a room is gone when both seats are empty. Whoever waits in vain waits
//! for the instance's room time-out: that a partner died is not passed on, as in the real thing.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use tokio::sync::watch;

/// All rooms of an instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rooms(Arc<Mutex<HashMap<u64, Room>>>);

#[derive(Debug)]
struct Room {
    prefill: bool,
    decode: bool,
    stage: watch::Sender<Stage>,
}

/// How far the two have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// One side is missing.
    #[default]
    Open,
    /// Decode has reserved memory.
    Joined,
    /// Prefill is complete.
    Ready,
    /// Decode has the KV.
    Done,
}

/// Which side of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Computes the KV.
    Prefill,
    /// Receives it.
    Decode,
}

/// A place in a room; left when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    rooms: Rooms,
    number: u64,
    side: Side,
    stage: watch::Receiver<Stage>,
}

impl Rooms {
    /// Takes a seat; None when somebody sits there already.
    pub(crate) fn enter(&self, number: u64, side: Side) -> Option<Seat> {
        let mut rooms = self.0.lock();
        let room = match rooms.entry(number) {
            Entry::Occupied(room) => room.into_mut(),
            Entry::Vacant(free) => free.insert(Room { prefill: false, decode: false, stage: watch::Sender::default() }),
        };
        if std::mem::replace(room.taken(side), true) {
            return None;
        }
        if side == Side::Decode {
            room.advance(Stage::Joined);
        }
        let stage = room.stage.subscribe();
        Some(Seat { rooms: self.clone(), number, side, stage })
    }

    /// Rooms with anybody in them.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl Room {
    fn taken(&mut self, side: Side) -> &mut bool {
        match side {
            Side::Prefill => &mut self.prefill,
            Side::Decode => &mut self.decode,
        }
    }

    fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let further = to > *stage;
            *stage = to.max(*stage);
            further
        });
    }
}

impl Seat {
    /// Prefill waits here until decode is there.
    pub(crate) async fn joined(&mut self) {
        self.reached(Stage::Joined).await;
    }

    /// Decode waits here until prefill is complete.
    pub(crate) async fn ready(&mut self) {
        self.reached(Stage::Ready).await;
    }

    /// Prefill waits here until decode has the KV or has left.
    pub(crate) async fn done(&mut self) {
        self.reached(Stage::Done).await;
    }

    /// Prefill is complete.
    pub(crate) fn set_ready(&self) {
        self.set(Stage::Ready);
    }

    fn set(&self, stage: Stage) {
        if let Some(room) = self.rooms.0.lock().get(&self.number) {
            room.advance(stage);
        }
    }

    async fn reached(&mut self, stage: Stage) {
        // The sender lives in the room, which lives as long as this seat.
        let _ = self.stage.wait_for(|reached| *reached >= stage).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.side == Side::Decode {
            // Whether it has the KV or gave up: nobody needs prefill's copy any more.
            self.set(Stage::Done);
        }
        let mut rooms = self.rooms.0.lock();
        if let Entry::Occupied(mut room) = rooms.entry(self.number) {
            *room.get_mut().taken(self.side) = false;
            if !room.get().prefill && !room.get().decode {
                room.remove();
            }
        }
    }
}
