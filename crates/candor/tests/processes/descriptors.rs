//! A server's table of file descriptors has room before anybody connects: growing it stops a thread for a grace period.

use crate::support::Candor;

#[tokio::test]
async fn the_descriptor_table_does_not_have_to_grow() {
    let engine = Candor::start("engine", &[]).await;
    let pid = engine.pid();
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let limits = read("limits");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let [soft, hard] = [0, 1].map(|column| limit.split_whitespace().nth(column).unwrap());
    assert_eq!(soft, hard, "the limit was not raised to what it may be");

    let status = read("status");
    let room = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap().trim();
    let allowed: u64 = hard.parse().unwrap_or(u64::MAX);
    let room: u64 = room.parse().unwrap();
    assert!(room >= allowed.min(65_536), "room for {room} of {allowed}");
    assert!(engine.sum("process_open_fds").await < 100.0, "what made the room is still open");
}
