use std::time::Duration;

use super::{Moment, now};

#[tokio::test(start_paused = true)]
async fn follows_virtual_time_exactly() {
    let before = now();
    tokio::time::sleep(Duration::from_millis(65)).await;
    let after = now();
    assert_eq!(after - before, Duration::from_millis(65));
    assert_eq!(after.unix_nanos() - before.unix_nanos(), 65_000_000);
}

#[test]
fn distance_to_a_later_moment_is_zero() {
    let early = Moment::from_nanos(5);
    let late = Moment::from_nanos(9);
    assert_eq!(early - late, Duration::ZERO);
    assert_eq!(late.nanos_since(early), 4);
    assert_eq!(early + Duration::from_nanos(4), late);
    assert_eq!(late - Duration::from_nanos(4), early);
}

#[test]
fn wall_time_is_plausible() {
    // 2020-01-01 .. 2100-01-01
    let seconds = now().unix_nanos() / 1_000_000_000;
    assert!((1_577_836_800..4_102_444_800).contains(&seconds), "{seconds}");
}
