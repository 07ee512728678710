//! A connection to Redis that is made when it is needed, given up at the first error, and never waited for longer than a
//! time-out says.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline,
};
use tokio::sync::Mutex;

/// Keys asked for in one `MGET`: long enough to make round trips rare, short enough that others get their turn between two.
const BATCH: usize = 256;

/// Keys that Redis looks at in one step of a `SCAN`.
const SCAN_COUNT: usize = 1000;

/// Where a Redis is, and how long it may take to answer. [`fmt::Debug`] hides the password.
#[derive(Clone)]
pub struct RedisConfig {
    info: ConnectionInfo,
    timeout: Duration,
}

/// Text that is no address of a Redis. It does not repeat the text, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it should be redis://[[user]:password@]host[:port][/database]: {0}")]
pub struct RedisUrlError(String);

/// Why a store did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{store} {problem}")]
pub struct StoreError {
    /// Which store, without secrets.
    pub store: String,
    /// What happened.
    pub problem: String,
}

impl RedisConfig {
    /// Reads `redis://[[user]:password@]host[:port][/database]`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(url: &str, timeout: Duration) -> Result<Self, RedisUrlError> {
        let info = url.into_connection_info().map_err(|error| RedisUrlError(error.to_string()))?;
        match info.addr() {
            ConnectionAddr::Tcp(..) => Ok(Self { info, timeout }),
            other => Err(RedisUrlError(format!("{other} is no TCP address"))),
        }
    }

    /// As upstream's flags say it: host, port, and a user name and password that may be empty.
    ///
    /// # Errors
    /// When host and port make no address.
    pub fn new(
        (host, port): (&str, u16),
        (username, password): (&str, &str),
        timeout: Duration,
    ) -> Result<Self, RedisUrlError> {
        let mut config = Self::parse(&format!("redis://{host}:{port}"), timeout)?;
        let mut settings = config.info.redis_settings().clone();
        if !password.is_empty() {
            settings = settings.set_password(password);
            if !username.is_empty() {
                settings = settings.set_username(username);
            }
        }
        config.info = config.info.set_redis_settings(settings);
        Ok(config)
    }
}

impl fmt::Display for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis://{}", self.info.addr())
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisConfig({self}, {:?})", self.timeout)
    }
}

/// A Redis that may be away. Every call ends in time; after any error the next one begins with a fresh connection.
pub struct Redis {
    config: RedisConfig,
    /// Held while connecting, not while asking.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(config: RedisConfig) -> Self {
        Self { config, connection: Mutex::new(None) }
    }

    /// Where it is.
    #[must_use]
    pub fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// Runs the commands of `pipeline` in one round trip.
    ///
    /// # Errors
    /// When Redis cannot be reached, takes too long, or refuses. Whatever it was, the next call begins with a fresh connection:
    /// that is what leads away from a replica that was the primary a moment ago.
    pub async fn run<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        let outcome = match self.connection().await {
            Ok(mut connection) => pipeline.query_async(&mut connection).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(answer) => Ok(answer),
            Err(error) => {
                *self.connection.lock().await = None;
                Err(self.error(&error))
            }
        }
    }

    /// Every key that begins with `prefix`, in order.
    ///
    /// # Errors
    /// As [`Redis::run`].
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let pattern = format!("{prefix}*");
        let (mut cursor, mut keys) = (0_u64, Vec::new());
        loop {
            let mut scan = redis::pipe();
            scan.cmd("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN_COUNT);
            let ((next, found),): ((u64, Vec<String>),) = self.run(&scan).await?;
            keys.extend(found);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        // A key may be seen twice while Redis rearranges its table.
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// What lies under each of `keys`; nothing where there is nothing, or no string.
    ///
    /// # Errors
    /// As [`Redis::run`].
    pub async fn values(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut reads = redis::pipe();
        for batch in keys.chunks(BATCH) {
            reads.cmd("MGET").arg(batch);
        }
        let batches: Vec<Vec<Option<Vec<u8>>>> = self.run(&reads).await?;
        let values: Vec<_> = batches.into_iter().flatten().collect();
        if values.len() == keys.len() {
            return Ok(values);
        }
        Err(self.problem(format!("was asked for {} values and sent {}", keys.len(), values.len())))
    }

    /// Puts `value` under `key` for `expiry`.
    ///
    /// # Errors
    /// As [`Redis::run`].
    pub async fn put(&self, key: &str, value: &[u8], expiry: Duration) -> Result<(), StoreError> {
        let mut write = redis::pipe();
        write.cmd("SET").arg(key).arg(value).arg("EX").arg(expiry.as_secs()).ignore();
        self.run(&write).await
    }

    /// Takes `keys` away.
    ///
    /// # Errors
    /// As [`Redis::run`].
    pub async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        let mut delete = redis::pipe();
        delete.cmd("DEL").arg(keys).ignore();
        self.run(&delete).await
    }

    async fn connection(&self) -> redis::RedisResult<MultiplexedConnection> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.timeout))
            .set_response_timeout(Some(self.config.timeout));
        let client = Client::open(self.config.info.clone())?;
        let fresh = Box::pin(client.get_multiplexed_async_connection_with_config(&limits)).await?;
        Ok(connection.insert(fresh).clone())
    }

    fn error(&self, error: &redis::RedisError) -> StoreError {
        if error.is_timeout() {
            return self.problem(format!("did not answer within {:?}", self.config.timeout));
        }
        if error.is_connection_refusal() {
            return self.problem("refuses connections: is it running, and is this its address?".to_owned());
        }
        self.problem(format!("failed: {error}"))
    }

    fn problem(&self, problem: String) -> StoreError {
        StoreError { store: self.config.to_string(), problem }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({})", self.config)
    }
}
