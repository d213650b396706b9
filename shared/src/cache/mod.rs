//! [`Cache`]: what may be forgotten at any time. Two faces, Redis and in-process; the database stays the truth.
//!
//! A late fill must not revive a deletion: [`Cache::invalidate`] leaves a tombstone that outlives every fill under way,
//! and neither [`Cache::fill`] nor [`Cache::put`] overwrites one. On any [`CacheError`] readers go to the database.

mod local;
mod remote;

use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::outbound::Open;
use crate::platform::seldom;

pub(crate) use local::Counters;

/// No entry lives longer, whatever was asked for.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Longer than a request may take (30 s) and than an entry may live: whoever read the database before the deletion is
/// done with filling when the tombstone goes.
const TOMBSTONE: Duration = Duration::from_secs(90);

/// What an entry is found by: a namespace and a hash, so that neither emails nor tokens reach the cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey {
    namespace: &'static str,
    digest: [u8; 32],
}

impl CacheKey {
    /// The key for `material` (a code, a session's hash, an address…) within `namespace`.
    pub fn new(namespace: &'static str, material: &[u8]) -> Self {
        Self { namespace, digest: Sha256::digest(material).into() }
    }

    /// Its name in Redis. The number is the format of what is stored: raise it when that changes, so that two releases
    /// running side by side do not read each other's entries.
    fn name(&self) -> String {
        format!("referris:1:{}:{}", self.namespace, URL_SAFE_NO_PAD.encode(self.digest))
    }
}

impl std::fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

/// What is kept under a key.
#[derive(Clone)]
pub struct Hit(Arc<Kept>);

struct Kept {
    bytes: Vec<u8>,
    /// What the bytes were read as.
    read: OnceLock<Option<Arc<dyn Any + Send + Sync>>>,
}

impl Hit {
    fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Kept { bytes, read: OnceLock::new() }))
    }

    /// As it was handed over.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// What `read` makes of it. What the process keeps itself is read once, and then is there for everyone who finds it:
    /// a namespace holds one type.
    pub fn read<T: Send + Sync + 'static>(&self, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<Arc<T>> {
        let kept = &*self.0;
        let found = kept.read.get_or_init(|| Some(Arc::new(read(&kept.bytes)?)));
        found.clone()?.downcast().ok()
    }
}

impl PartialEq for Hit {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Hit {}

impl std::fmt::Debug for Hit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.bytes().len())
    }
}

/// What a look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    Hit(Hit),
    /// Deleted a moment ago: ask the database.
    Tombstone,
    Miss,
}

/// The cache did not answer. Never a reason to fail a request.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("redis.url is not usable; write redis://host:6379 or rediss://user:password@host:6380")]
    Url,
    #[error("the cache does not answer in time")]
    TimedOut,
    #[error("the cache fails: {0}")]
    Failed(#[from] redis::RedisError),
    #[error(transparent)]
    Resting(#[from] Open),
}

/// The handle both services hold. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cache {
    face: Arc<Face>,
    /// What this process has claimed. Apart from the counters of limits, so that a flood of ids resets none of them.
    claimed: Counters,
}

#[derive(Debug)]
enum Face {
    Redis(remote::Remote),
    InProcess(local::Local),
    /// PostgreSQL without Redis: another instance could not be told of a deletion, so nothing but counters is kept.
    Disabled(local::Counters),
}

impl Cache {
    /// On the Redis at `url`. Connects when first needed, so that a service starts while Redis is down. Call it within
    /// the runtime.
    pub fn redis(url: &str, clock: Clock) -> Result<Self, CacheError> {
        Ok(Self::on(Face::Redis(remote::Remote::new(url, clock.clone())?), clock))
    }

    /// In this process's memory. Right only while nobody else changes the database.
    pub fn in_process(clock: Clock) -> Self {
        Self::on(Face::InProcess(local::Local::new(clock.clone())), clock)
    }

    /// Remembers nothing but counters.
    pub fn disabled(clock: Clock) -> Self {
        Self::on(Face::Disabled(local::Counters::new(clock.clone())), clock)
    }

    fn on(face: Face, clock: Clock) -> Self {
        Self { face: Arc::new(face), claimed: Counters::new(clock) }
    }

    /// Does it keep entries at all? When not, there is no use in preparing them.
    pub fn keeps_entries(&self) -> bool {
        !matches!(*self.face, Face::Disabled(_))
    }

    /// Do other instances read and count in it too?
    pub fn is_shared(&self) -> bool {
        matches!(*self.face, Face::Redis(_))
    }

    /// Looks `key` up.
    pub async fn get(&self, key: &CacheKey) -> Result<Lookup, CacheError> {
        match &*self.face {
            Face::Redis(remote) => seldom(remote.get(key)).await,
            Face::InProcess(local) => Ok(local.get(key)),
            Face::Disabled(_) => Ok(Lookup::Miss),
        }
    }

    /// Keeps what was just read from the database, unless there is an entry or a tombstone already. For `ttl`, at most
    /// [`LONGEST`].
    pub async fn fill(&self, key: &CacheKey, bytes: &[u8], ttl: Duration) -> Result<(), CacheError> {
        let ttl = ttl.min(LONGEST);
        match &*self.face {
            _ if ttl.is_zero() => Ok(()),
            Face::Redis(remote) => seldom(remote.fill(key, bytes, ttl)).await,
            Face::InProcess(local) => {
                local.fill(key, bytes, ttl);
                Ok(())
            }
            Face::Disabled(_) => Ok(()),
        }
    }

    /// Keeps what was just written to the database, over an older entry but not over a tombstone. For `ttl`, at most
    /// [`LONGEST`]. When it fails, the older entry may live on for that long: invalidate where that matters.
    pub async fn put(&self, key: &CacheKey, bytes: &[u8], ttl: Duration) -> Result<(), CacheError> {
        let ttl = ttl.min(LONGEST);
        match &*self.face {
            _ if ttl.is_zero() => Ok(()),
            Face::Redis(remote) => seldom(remote.put(key, bytes, ttl)).await,
            Face::InProcess(local) => {
                local.put(key, bytes, ttl);
                Ok(())
            }
            Face::Disabled(_) => Ok(()),
        }
    }

    /// Ends an entry everywhere, after the database was changed. For a while nothing is kept under this key. An error
    /// means that the old entry may still be served: queue the invalidation and try again.
    pub async fn invalidate(&self, key: &CacheKey) -> Result<(), CacheError> {
        match &*self.face {
            Face::Redis(remote) => seldom(remote.invalidate(key)).await,
            Face::InProcess(local) => {
                local.invalidate(key);
                Ok(())
            }
            Face::Disabled(_) => Ok(()),
        }
    }

    /// Claims `key` for `ttl`: true for the one who comes first. This process remembers for itself in any case, so that
    /// it holds within one instance while Redis does not answer; across instances Redis decides.
    pub async fn claim(&self, key: &CacheKey, ttl: Duration) -> bool {
        if self.claimed.increment(key, ttl).0 > 1 {
            return false;
        }
        let Face::Redis(remote) = &*self.face else { return true };
        seldom(remote.claim(key, ttl)).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "claimed in this process alone");
            true
        })
    }

    /// This cache when Redis has gone silent: what the process remembers itself, and no more.
    #[cfg(test)]
    pub(crate) fn cut_off(&self, clock: &Clock) -> Self {
        Self { claimed: self.claimed.clone(), ..Self::disabled(clock.clone()) }
    }

    /// Counts one more under `key`: the count so far, this one included, and the time until it starts anew. A window
    /// begins with its first event.
    pub async fn increment(&self, key: &CacheKey, window: Duration) -> Result<(u64, Duration), CacheError> {
        self.add(key, 1, window).await
    }

    /// Counts `more` under `key`, as [`Cache::increment`] counts one.
    pub async fn add(&self, key: &CacheKey, more: u64, window: Duration) -> Result<(u64, Duration), CacheError> {
        match &*self.face {
            Face::Redis(remote) => seldom(remote.add(key, more, window)).await,
            Face::InProcess(local) => Ok(local.counters.add(key, more, window)),
            Face::Disabled(counters) => Ok(counters.add(key, more, window)),
        }
    }

    /// The count under `key` and the time until it starts anew, counting nothing.
    pub async fn count(&self, key: &CacheKey) -> Result<(u64, Duration), CacheError> {
        match &*self.face {
            Face::Redis(remote) => seldom(remote.count(key)).await,
            Face::InProcess(local) => Ok(local.counters.count(key)),
            Face::Disabled(counters) => Ok(counters.count(key)),
        }
    }

    /// Lets the count under `key` start anew.
    pub async fn forget_count(&self, key: &CacheKey) -> Result<(), CacheError> {
        match &*self.face {
            Face::Redis(remote) => seldom(remote.forget(key)).await,
            Face::InProcess(local) => {
                local.counters.forget(key);
                Ok(())
            }
            Face::Disabled(counters) => {
                counters.forget(key);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
