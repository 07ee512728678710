//! Against a real Redis, and for the store in memory against the clock.

use proxy::Drain;
use testkit::{Wire, eventually};
use tokio::sync::Notify;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn metadata(id: &str) -> InstanceMetadata {
    InstanceMetadata { instance_id: id.to_owned(), instance_type: "decode".to_owned(), ..InstanceMetadata::default() }
}

fn status(id: &str, update_id: i32) -> InstanceStatus {
    InstanceStatus { instance_id: id.to_owned(), schedulable: true, update_id, ..InstanceStatus::default() }
}

fn store(url: &str, timeout: Duration) -> Store {
    Store::redis(RedisConfig::parse(url, timeout).unwrap())
}

fn ids<M>(read: &Read<M>, id_of: impl Fn(&M) -> &str) -> Vec<String> {
    read.records.iter().map(|record| id_of(record).to_owned()).collect()
}

async fn check_round_trip(store: &Store) {
    assert!(store.metadata().await.unwrap().records.is_empty());
    for id in ["b", "a"] {
        store.put_metadata(&metadata(id)).await.unwrap();
        store.put_status(&status(id, 1)).await.unwrap();
    }
    store.put_status(&status("a", 2)).await.unwrap();
    let read = store.metadata().await.unwrap();
    assert_eq!(ids(&read, |metadata| &metadata.instance_id), ["a", "b"]);
    assert_eq!(*read.records[0], metadata("a"));
    let read = store.statuses(["a", "b", "c"]).await.unwrap();
    assert_eq!(read.records.iter().map(|status| status.update_id).collect::<Vec<_>>(), [2, 1]);
    store.remove("a").await.unwrap();
    assert_eq!(ids(&store.metadata().await.unwrap(), |metadata| &metadata.instance_id), ["b"]);
    assert!(store.statuses(["a"]).await.unwrap().records.is_empty());
}

#[tokio::test]
async fn in_memory_what_is_written_is_read() {
    check_round_trip(&Store::memory()).await;
}

#[tokio::test]
async fn in_redis_what_is_written_is_read() {
    let redis = testkit::Redis::start().await;
    check_round_trip(&store(&redis.url(), PATIENCE)).await;
}

#[tokio::test(start_paused = true)]
async fn in_memory_records_expire() {
    let store = Store::memory();
    store.put_metadata(&metadata("a")).await.unwrap();
    tokio::time::advance(EXPIRY - Duration::from_secs(1)).await;
    store.put_status(&status("a", 1)).await.unwrap();
    assert_eq!(store.metadata().await.unwrap().records.len(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(store.metadata().await.unwrap().records.is_empty());
    assert_eq!(store.statuses(["a"]).await.unwrap().records.len(), 1);
}

#[tokio::test]
async fn in_redis_records_have_upstreams_keys_and_expiry() {
    let redis = testkit::Redis::start().await;
    let store = store(&redis.url(), PATIENCE);
    store.put_metadata(&metadata("a_dp0")).await.unwrap();
    store.put_status(&status("a_dp0", 1)).await.unwrap();
    for key in ["llumnix:instance_metadata:a_dp0", "llumnix:instance_status:a_dp0"] {
        assert_eq!(redis.command(&format!("TTL {key}")).await, ":100\r\n", "{key}");
    }
}

#[tokio::test]
async fn wrong_data_in_a_key_costs_that_record_only_and_is_named() {
    let redis = testkit::Redis::start().await;
    let store = store(&redis.url(), PATIENCE);
    for id in ["good", "moved"] {
        store.put_metadata(&metadata(id)).await.unwrap();
        store.put_status(&status(id, 1)).await.unwrap();
    }
    redis.command("SET llumnix:instance_metadata:bad nonsense").await;
    redis.command("RENAME llumnix:instance_metadata:moved llumnix:instance_metadata:elsewhere").await;
    redis.command("LPUSH llumnix:instance_metadata:list a").await;
    redis.command("SET llumnix:instance_status:bad \"\"").await;
    let read = store.metadata().await.unwrap();
    assert_eq!(ids(&read, |metadata| &metadata.instance_id), ["good"]);
    let bad: Vec<_> = read.bad.iter().map(|bad| bad.key.as_str()).collect();
    assert_eq!(bad, ["llumnix:instance_metadata:bad", "llumnix:instance_metadata:elsewhere"]);
    assert!(read.bad[1].problem.contains("\"moved\""), "{}", read.bad[1]);
    let read = store.statuses(["good", "bad"]).await.unwrap();
    assert_eq!(ids(&read, |status| &status.instance_id), ["good"]);
    assert_eq!(read.bad[0].key, "llumnix:instance_status:bad");
}

#[tokio::test]
async fn a_redis_that_goes_is_an_error_and_one_that_comes_back_is_used_again() {
    let mut redis = testkit::Redis::start().await;
    let store = store(&redis.url(), PATIENCE);
    store.put_status(&status("a", 1)).await.unwrap();
    redis.stop();
    // The first call finds the connection closed, the second cannot make another.
    store.statuses(["a"]).await.unwrap_err();
    let error = store.statuses(["a"]).await.unwrap_err();
    assert!(error.to_string().contains(&redis.url()) && error.to_string().contains("refuses connections"), "{error}");
    redis.restart().await;
    assert!(store.statuses(["a"]).await.unwrap().records.is_empty(), "it came back empty");
    store.put_status(&status("a", 2)).await.unwrap();
    assert_eq!(store.statuses(["a"]).await.unwrap().records[0].update_id, 2);
}

#[tokio::test]
async fn a_slow_redis_is_waited_for_as_long_as_the_time_out_says() {
    let redis = testkit::Redis::start().await;
    let wire = Wire::to(redis.addr(), Duration::from_millis(100)).await;
    let url = format!("redis://{}", wire.addr());
    let patient = store(&url, PATIENCE);
    patient.put_status(&status("a", 1)).await.unwrap();
    assert_eq!(patient.statuses(["a"]).await.unwrap().records.len(), 1);
    let error = store(&url, Duration::from_millis(20)).statuses(["a"]).await.unwrap_err();
    assert!(error.problem.contains("did not answer within 20ms"), "{error}");
}

#[tokio::test]
async fn a_refusal_is_said_as_redis_says_it_and_without_the_password() {
    let redis = testkit::Redis::start().await;
    redis.command("CONFIG SET requirepass right").await;
    let url = |password: &str| format!("redis://:{password}@{}", redis.addr());
    let error = store(&url("wrong"), PATIENCE).metadata().await.unwrap_err();
    assert!(!error.to_string().contains("wrong@") && error.store == redis.url(), "{error}");
    store(&url("right"), PATIENCE).put_status(&status("a", 1)).await.unwrap();
    let by_flags = RedisConfig::new(("127.0.0.1", redis.addr().port()), ("", "right"), PATIENCE).unwrap();
    assert!(!format!("{by_flags:?}").contains("right"));
    assert_eq!(Store::redis(by_flags).statuses(["a"]).await.unwrap().records.len(), 1);
}

/// Counts its statuses.
#[derive(Default)]
struct Counting(i32);

impl Reporter for Counting {
    fn metadata(&mut self) -> InstanceMetadata {
        metadata("a")
    }

    fn status(&mut self) -> InstanceStatus {
        self.0 += 1;
        status("a", self.0)
    }
}

#[tokio::test]
async fn a_publisher_writes_again_to_a_redis_that_came_back_empty_and_cleans_up_at_the_end() {
    let mut redis = testkit::Redis::start().await;
    let written = store(&redis.url(), PATIENCE);
    let (drain, changes) = (Drain::new(), Arc::new(Notify::new()));
    let publisher =
        Publisher { store: written.clone(), changes: Arc::clone(&changes), min_interval: Duration::from_millis(1) };
    drain.spawn(publisher.run(Counting::default(), drain.clone()));
    let read = store(&redis.url(), PATIENCE);
    let latest = async || match read.statuses(["a"]).await {
        Ok(read) => read.records.first().map_or(0, |status| status.update_id),
        Err(_) => 0,
    };
    eventually("a status", || async { latest().await > 0 }).await;
    let before = latest().await;
    changes.notify_one();
    eventually("a newer status", || async { latest().await > before }).await;
    redis.restart().await;
    eventually("both records again", || async {
        changes.notify_one();
        latest().await > before && read.metadata().await.is_ok_and(|read| read.records.len() == 1)
    })
    .await;
    assert!(drain.finish(PATIENCE).await.complete);
    assert_eq!(latest().await, 0);
    assert!(read.metadata().await.unwrap().records.is_empty());
}
