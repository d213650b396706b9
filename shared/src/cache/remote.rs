//! The Redis face. Each operation is one command or script on one key, so a cluster could serve it; each is bounded in
//! time, and after a failure Redis is left alone for a second, so that an outage slows one request and not all.

use std::future::Future;
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisResult, Script};

use super::{CacheError, CacheKey, Hit, Lookup, TOMBSTONE};
use crate::clock::Clock;
use crate::outbound::CircuitBreaker;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(250);
const REST: Duration = Duration::from_secs(1);

/// The first byte of what is stored says what it is.
const VALUE: u8 = b'v';
const BURIED: u8 = b'x';

static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GETRANGE', KEYS[1], 0, 0) ~= 'x' then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end",
    )
});

/// One script, so that no counter is left without an end.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local count = redis.call('INCRBY', KEYS[1], ARGV[2])
         local left = redis.call('PTTL', KEYS[1])
         if left < 0 then
             left = tonumber(ARGV[1])
             redis.call('PEXPIRE', KEYS[1], left)
         end
         return {count, left}",
    )
});

/// The count and what is left of its window, counting nothing.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local count = redis.call('GET', KEYS[1])
         if not count then return {0, 0} end
         return {tonumber(count), math.max(redis.call('PTTL', KEYS[1]), 0)}",
    )
});

pub(super) struct Remote {
    client: Client,
    connection: RwLock<Numbered>,
    breaker: CircuitBreaker,
}

#[derive(Clone)]
struct Numbered {
    number: u64,
    manager: ConnectionManager,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client's address holds a password.
        f.write_str("Remote")
    }
}

impl Remote {
    pub(super) fn new(url: &str, clock: Clock) -> Result<Self, CacheError> {
        let client = Client::open(url).map_err(|_| CacheError::Url)?;
        let connection = RwLock::new(Numbered { number: 0, manager: connect(&client)? });
        Ok(Self { client, connection, breaker: CircuitBreaker::new("redis", clock, 1, REST) })
    }

    pub(super) async fn get(&self, key: &CacheKey) -> Result<Lookup, CacheError> {
        let name = key.name();
        let found: Option<Vec<u8>> =
            self.run(async |mut c| redis::cmd("GET").arg(&name).query_async(&mut c).await).await?;
        Ok(match found {
            Some(mut bytes) if bytes.first() == Some(&VALUE) => {
                bytes.remove(0);
                Lookup::Hit(Hit::new(bytes))
            }
            Some(_) => Lookup::Tombstone,
            None => Lookup::Miss,
        })
    }

    pub(super) async fn fill(&self, key: &CacheKey, bytes: &[u8], ttl: Duration) -> Result<(), CacheError> {
        let (name, value) = (key.name(), stored(bytes));
        self.run(async |mut c| {
            redis::cmd("SET").arg(&name).arg(&value).arg("NX").arg("PX").arg(millis(ttl)).query_async(&mut c).await
        })
        .await
    }

    /// Did nobody hold `key`?
    pub(super) async fn claim(&self, key: &CacheKey, ttl: Duration) -> Result<bool, CacheError> {
        let name = key.name();
        let set: Option<String> = self
            .run(async |mut c| {
                redis::cmd("SET")
                    .arg(&name)
                    .arg(&[VALUE])
                    .arg("NX")
                    .arg("PX")
                    .arg(millis(ttl))
                    .query_async(&mut c)
                    .await
            })
            .await?;
        Ok(set.is_some())
    }

    pub(super) async fn put(&self, key: &CacheKey, bytes: &[u8], ttl: Duration) -> Result<(), CacheError> {
        let (name, value) = (key.name(), stored(bytes));
        self.run(async |mut c| PUT.key(&name).arg(&value).arg(millis(ttl)).invoke_async(&mut c).await).await
    }

    pub(super) async fn invalidate(&self, key: &CacheKey) -> Result<(), CacheError> {
        let name = key.name();
        self.run(async |mut c| {
            redis::cmd("SET").arg(&name).arg(&[BURIED]).arg("PX").arg(millis(TOMBSTONE)).query_async(&mut c).await
        })
        .await
    }

    pub(super) async fn add(&self, key: &CacheKey, more: u64, window: Duration) -> Result<(u64, Duration), CacheError> {
        let name = key.name();
        let (count, left): (u64, u64) =
            self.run(async |mut c| ADD.key(&name).arg(millis(window)).arg(more).invoke_async(&mut c).await).await?;
        Ok((count, Duration::from_millis(left)))
    }

    pub(super) async fn count(&self, key: &CacheKey) -> Result<(u64, Duration), CacheError> {
        let name = key.name();
        let (count, left): (u64, u64) = self.run(async |mut c| COUNT.key(&name).invoke_async(&mut c).await).await?;
        Ok((count, Duration::from_millis(left)))
    }

    pub(super) async fn forget(&self, key: &CacheKey) -> Result<(), CacheError> {
        let name = key.name();
        self.run(async |mut c| redis::cmd("DEL").arg(&name).query_async(&mut c).await).await
    }

    async fn run<T, Fut: Future<Output = RedisResult<T>>>(
        &self,
        operation: impl FnOnce(ConnectionManager) -> Fut,
    ) -> Result<T, CacheError> {
        let permit = self.breaker.permit()?;
        let Numbered { number, manager } = self.connection.read().unwrap_or_else(PoisonError::into_inner).clone();
        match tokio::time::timeout(CONNECT_TIMEOUT + RESPONSE_TIMEOUT, operation(manager)).await {
            Ok(Ok(value)) => {
                permit.succeeded();
                Ok(value)
            }
            outcome => {
                permit.failed();
                self.renew(number);
                Err(match outcome {
                    Ok(Err(error)) if error.is_timeout() => CacheError::TimedOut,
                    Ok(Err(error)) => CacheError::Failed(error),
                    _ => CacheError::TimedOut,
                })
            }
        }
    }

    /// Puts a fresh connection in the place of number `failed`. The manager reconnects by itself only after some
    /// errors: a peer that went silent (a failed-over machine) or refused the password would never be left.
    fn renew(&self, failed: u64) {
        let mut current = self.connection.write().unwrap_or_else(PoisonError::into_inner);
        if current.number == failed
            && let Ok(manager) = connect(&self.client)
        {
            *current = Numbered { number: failed + 1, manager };
        }
    }
}

/// A manager that connects when first used. It must be made within the runtime.
fn connect(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        // The breaker says when to try again.
        .set_number_of_retries(0);
    client.get_connection_manager_lazy(config)
}

fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes.len() + 1);
    value.push(VALUE);
    value.extend_from_slice(bytes);
    value
}

/// Whole milliseconds, at least one: Redis refuses an expiry of zero.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
