use super::leases::{Leases, Standing};
use super::rooms::{Rooms, Side};
use super::store::Shelf;
use crate::core::hash::BlockHash;
use std::time::Duration;

#[test]
fn a_lease_is_live_then_pulled_and_remembered() {
    let mut leases = Leases::default();
    leases.grant("a", 1);
    assert_eq!(leases.standing("a"), Standing::Live(1));
    assert_eq!(leases.pulled("a"), Some(1));
    assert_eq!(leases.standing("a"), Standing::Pulled);
    assert_eq!(leases.pulled("a"), None, "the second pull has nothing to free");
    assert_eq!(leases.standing("b"), Standing::Unknown);
}

#[test]
fn an_expired_lease_is_unknown() {
    let mut leases = Leases::default();
    leases.grant("a", 1);
    leases.grant("b", 2);
    leases.expired(&[1, 99]);
    assert_eq!(leases.standing("a"), Standing::Unknown);
    assert_eq!(leases.standing("b"), Standing::Live(2));
    assert_eq!(leases.len(), 1);
}

#[test]
fn a_full_store_forgets_what_came_first() {
    let shelf = Shelf::new(3);
    let hashes = |range: std::ops::Range<u64>| range.map(BlockHash);
    shelf.put(hashes(0..3));
    shelf.put(hashes(0..3));
    assert_eq!(shelf.hits(hashes(0..4)), 3);
    shelf.put(hashes(3..4));
    assert_eq!(shelf.hits(hashes(0..4)), 0, "hits are counted from the first block");
    assert_eq!(shelf.hits(hashes(1..4)), 3);
}

#[tokio::test(start_paused = true)]
async fn the_two_sides_of_a_room_pass_their_stages_in_order() {
    let rooms = Rooms::default();
    let mut prefill = rooms.enter(1, Side::Prefill).unwrap();
    assert!(rooms.enter(1, Side::Prefill).is_none());
    let soon = Duration::from_secs(1);
    assert!(tokio::time::timeout(soon, prefill.joined()).await.is_err());
    let mut decode = rooms.enter(1, Side::Decode).unwrap();
    prefill.joined().await;
    assert!(tokio::time::timeout(soon, decode.ready()).await.is_err());
    prefill.set_ready();
    decode.ready().await;
    assert!(tokio::time::timeout(soon, prefill.done()).await.is_err());
    drop(decode);
    prefill.done().await;
    drop(prefill);
    assert_eq!(rooms.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_prefill_that_leaves_is_not_reported_to_decode() {
    let rooms = Rooms::default();
    let prefill = rooms.enter(1, Side::Prefill).unwrap();
    let mut decode = rooms.enter(1, Side::Decode).unwrap();
    drop(prefill);
    assert!(tokio::time::timeout(Duration::from_secs(300), decode.ready()).await.is_err());
    drop(decode);
    assert_eq!(rooms.len(), 0);
}
