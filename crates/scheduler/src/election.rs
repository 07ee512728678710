//! Which of several replicas places requests: the one that holds a lease in Redis.
//!
//! The holder renews its lease three times before it runs out; whoever finds none takes it. A holder that cannot reach Redis
//! goes on: nobody else can take the lease from a Redis that is down, and if Redis is merely cut off from the holder, two
//! replicas place requests for a while, each with half the account, which is better than none doing so. It stops as soon
//! as Redis says that another has the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use cluster::{Redis, StoreError};
use redis::Pipeline;
use tokio::sync::watch;

use crate::config::ElectionConfig;

/// Where the lease lies.
const KEY: &str = "candor:scheduler:leader";

/// Renews the lease if we hold it, takes it if nobody does, and says who has it.
const CLAIM: &str = "local holder = redis.call('GET', KEYS[1]) \
    if holder == false or holder == ARGV[1] then \
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) \
        return ARGV[1] \
    end \
    return holder";

/// Gives the lease back if we hold it.
const YIELD: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// Whether this replica leads, and who does. Read by every request.
#[derive(Debug)]
pub(crate) struct Leadership {
    leads: AtomicBool,
    leader: ArcSwapOption<String>,
    changes: watch::Sender<bool>,
}

impl Leadership {
    /// The only replica leads; of several, none does until it has the lease.
    pub(crate) fn new(alone: bool) -> Self {
        let (changes, _) = watch::channel(alone);
        Self { leads: AtomicBool::new(alone), leader: ArcSwapOption::empty(), changes }
    }

    pub(crate) fn leads(&self) -> bool {
        self.leads.load(Ordering::Acquire)
    }

    /// Where the leader is, as far as it is another and known.
    pub(crate) fn leader(&self) -> Option<Arc<String>> {
        self.leader.load_full()
    }

    /// Resolves when this replica does not lead (any more).
    pub(crate) async fn lost(&self) {
        let mut changes = self.changes.subscribe();
        // The sender is ours: it cannot be gone.
        let _ = changes.wait_for(|leads| !leads).await;
    }

    /// Says whether that is news.
    fn set(&self, leads: bool, leader: Option<String>) -> bool {
        self.leader.store(leader.map(Arc::new));
        self.leads.store(leads, Ordering::Release);
        self.changes.send_if_modified(|before| std::mem::replace(before, leads) != leads)
    }
}

/// A replica that stands for election.
pub(crate) struct Candidate {
    redis: Redis,
    lease: Duration,
    /// Address and a word of its own, so that a replica that comes back does not take its predecessor's lease for its own.
    name: String,
}

impl Candidate {
    pub(crate) fn new(config: &ElectionConfig, address: &str) -> Self {
        let address = config.advertise.as_deref().unwrap_or(address);
        let name = format!("{address} {:016x}", rand::random::<u64>());
        Self { redis: Redis::new(config.redis.clone()), lease: config.lease, name }
    }

    /// How often it asks.
    pub(crate) fn period(&self) -> Duration {
        self.lease / 3
    }

    /// Asks for the lease once. Says whether leadership changed.
    pub(crate) async fn ask(&self, leadership: &Leadership) -> Result<bool, StoreError> {
        let holder: String = self.eval(CLAIM).await?;
        let leads = holder == self.name;
        let leader = (!leads).then(|| holder.split(' ').next().unwrap_or_default().to_owned());
        Ok(leadership.set(leads, leader))
    }

    /// Gives the lease back, so that the next one need not wait for its end.
    pub(crate) async fn resign(&self, leadership: &Leadership) {
        leadership.set(false, None);
        if let Err(error) = self.eval::<i64>(YIELD).await {
            tracing::warn!(%error, "lease not given back; it runs out");
        }
    }

    async fn eval<T: redis::FromRedisValue>(&self, script: &str) -> Result<T, StoreError> {
        let mut pipeline = Pipeline::new();
        let millis = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        pipeline.cmd("EVAL").arg(script).arg(1).arg(KEY).arg(&self.name).arg(millis);
        let (answer,): (T,) = self.redis.run(&pipeline).await?;
        Ok(answer)
    }
}
