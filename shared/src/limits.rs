//! [`Limits`]: how often something may be done in a while. A limit protects; it never takes a service down with it.

use std::time::Duration;

use crate::cache::{Cache, CacheKey, Counters};
use crate::clock::Clock;
use crate::problem::Problem;

/// Rate limits over the counters of the cache; clones share them.
#[derive(Clone, Debug)]
pub struct Limits {
    cache: Cache,
    /// For the time in which the cache does not answer: each instance counts alone then.
    own: Counters,
    enabled: bool,
}

/// Too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too often; again in {retry_after:?}")]
pub struct Limited {
    pub retry_after: Duration,
}

impl Limits {
    /// `enabled` is `limits.enabled` of the configuration.
    pub fn new(cache: Cache, clock: Clock, enabled: bool) -> Self {
        Self { cache, own: Counters::new(clock), enabled }
    }

    /// Counts one more under `name` and `key_material` (an address, an account…), and refuses it when that makes more
    /// than `max` within `window`.
    pub async fn check(
        &self,
        name: &'static str,
        key_material: &[u8],
        max: u64,
        window: Duration,
    ) -> Result<(), Limited> {
        if !self.enabled {
            return Ok(());
        }
        let key = cache_key(name, key_material);
        let (count, retry_after) = match self.cache.increment(&key, window).await {
            Ok(counted) => counted,
            Err(error) => {
                tracing::debug!(%error, limit = name, "counted in this process alone");
                self.own.increment(&key, window)
            }
        };
        if count > max {
            metrics::counter!("limited_total", "limit" => name).increment(1);
            return Err(Limited { retry_after });
        }
        Ok(())
    }

    /// Refuses when `max` or more are counted under `name` and `key_material`, and counts nothing: for limits on what
    /// fails, which is counted only once it has failed.
    pub async fn is_reached(&self, name: &'static str, key_material: &[u8], max: u64) -> Result<(), Limited> {
        if !self.enabled {
            return Ok(());
        }
        let key = cache_key(name, key_material);
        let (count, retry_after) = match self.cache.count(&key).await {
            Ok(counted) => counted,
            Err(_) => self.own.count(&key),
        };
        if count >= max { Err(Limited { retry_after }) } else { Ok(()) }
    }

    /// Counts one more, whatever comes of it: the count within `window`, this one included. Nothing while limits are off.
    pub async fn count(&self, name: &'static str, key_material: &[u8], window: Duration) -> u64 {
        if !self.enabled {
            return 0;
        }
        let key = cache_key(name, key_material);
        match self.cache.increment(&key, window).await {
            Ok((count, _)) => count,
            Err(_) => self.own.increment(&key, window).0,
        }
    }

    /// Lets the count under `name` and `key_material` start anew.
    pub async fn forget(&self, name: &'static str, key_material: &[u8]) {
        let key = cache_key(name, key_material);
        self.own.forget(&key);
        if let Err(error) = self.cache.forget_count(&key).await {
            tracing::debug!(%error, limit = name, "a count goes on for a while");
        }
    }
}

fn cache_key(name: &str, key_material: &[u8]) -> CacheKey {
    CacheKey::new("limit", &[name.as_bytes(), b"\0", key_material].concat())
}

impl From<Limited> for Problem {
    fn from(limited: Limited) -> Self {
        Self::too_many_requests(limited.retry_after)
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn clock() -> Clock {
        Clock::fixed(chrono::DateTime::UNIX_EPOCH)
    }

    #[tokio::test]
    async fn what_is_within_the_limit_passes_and_the_rest_is_told_when_to_come_back() {
        let clock = clock();
        let limits = Limits::new(Cache::in_process(clock.clone()), clock.clone(), true);
        for _ in 0..3 {
            limits.check("signup", b"192.0.2.1", 3, MINUTE).await.unwrap();
        }
        clock.advance(Duration::from_millis(500));
        let limited = limits.check("signup", b"192.0.2.1", 3, MINUTE).await.unwrap_err();
        let response = Problem::from(limited).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "60");

        limits.check("signup", b"192.0.2.2", 3, MINUTE).await.unwrap();
        limits.check("signin", b"192.0.2.1", 3, MINUTE).await.unwrap();
        clock.advance(MINUTE);
        limits.check("signup", b"192.0.2.1", 3, MINUTE).await.unwrap();
    }

    #[tokio::test]
    async fn looking_counts_nothing() {
        let clock = clock();
        let limits = Limits::new(Cache::in_process(clock.clone()), clock.clone(), true);
        for _ in 0..5 {
            limits.is_reached("failures", b"ann", 2).await.unwrap();
        }
        for _ in 0..2 {
            limits.is_reached("failures", b"ann", 2).await.unwrap();
            limits.check("failures", b"ann", 2, MINUTE).await.unwrap();
        }
        assert_eq!(limits.is_reached("failures", b"ann", 2).await.unwrap_err().retry_after, MINUTE);
        clock.advance(MINUTE);
        limits.is_reached("failures", b"ann", 2).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_forgotten_is_counted_anew() {
        let limits = Limits::new(Cache::in_process(clock()), clock(), true);
        assert_eq!(limits.count("failures", b"ann", MINUTE).await, 1);
        assert_eq!(limits.count("failures", b"ann", MINUTE).await, 2);
        limits.forget("failures", b"ann").await;
        assert_eq!(limits.count("failures", b"ann", MINUTE).await, 1);
    }

    #[tokio::test]
    async fn a_limit_that_is_off_lets_everything_pass() {
        let limits = Limits::new(Cache::in_process(clock()), clock(), false);
        for _ in 0..3 {
            limits.check("signup", b"192.0.2.1", 1, MINUTE).await.unwrap();
        }
    }

    #[tokio::test]
    async fn without_redis_it_still_limits_and_never_fails() {
        // Nothing listens on the discard port of a test machine.
        let cache = Cache::redis("redis://127.0.0.1:9", clock()).unwrap();
        let limits = Limits::new(cache, clock(), true);
        limits.check("signup", b"192.0.2.1", 1, MINUTE).await.unwrap();
        limits.check("signup", b"192.0.2.1", 1, MINUTE).await.unwrap_err();
    }
}
