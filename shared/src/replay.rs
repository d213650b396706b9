//! One-time ids (a proof's or an assertion's `jti`) without a write to the database.

use std::time::Duration;

use crate::cache::CacheKey;
use crate::platform::Platform;

/// Does `id` come for the first time within `ttl`? Atomic: of many who ask at once, one hears yes. With Redis that holds
/// across instances; while Redis does not answer, and on PostgreSQL without Redis, each instance remembers what it saw
/// itself. A restart without Redis forgets, so what is checked here must also be short-lived.
pub async fn first_use(platform: &Platform, namespace: &'static str, id: &[u8], ttl: Duration) -> bool {
    platform.cache.claim(&CacheKey::new(namespace, id), ttl).await
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use futures::future::join_all;

    use super::*;
    use crate::cache::Cache;
    use crate::testing::each_store;

    const TTL: Duration = Duration::from_secs(300);

    #[tokio::test]
    async fn of_many_who_use_an_id_at_once_one_is_first() {
        each_store(|platform| async move {
            let id = platform.random.bytes::<16>();
            let firsts = join_all((0..50).map(|_| first_use(&platform, "tests", &id, TTL))).await;
            assert_eq!(firsts.into_iter().filter(|first| *first).count(), 1);
            assert!(!first_use(&platform, "tests", &id, TTL).await);
            // Another purpose, another id.
            assert!(first_use(&platform, "more-tests", &id, TTL).await);
            assert!(first_use(&platform, "tests", b"another", TTL).await);
        })
        .await;
    }

    #[tokio::test]
    async fn another_instance_on_the_same_redis_refuses_a_replay() {
        each_store(|platform| async move {
            if platform.config.redis.url.is_none() {
                return;
            }
            let url = platform.config.redis.url.clone().unwrap();
            let other =
                Platform { cache: Cache::redis(url.expose(), platform.clock.clone()).unwrap(), ..platform.clone() };
            let id = platform.random.bytes::<16>();
            assert!(first_use(&platform, "tests", &id, TTL).await);
            assert!(!first_use(&other, "tests", &id, TTL).await);
            assert!(!first_use(&other, "tests", &id, TTL).await);
        })
        .await;
    }

    #[tokio::test]
    async fn an_id_may_come_again_when_its_time_is_over() {
        each_store(|platform| async move {
            // In Redis, time is Redis's own.
            let ttl = Duration::from_millis(50);
            let id = platform.random.bytes::<16>();
            assert!(first_use(&platform, "tests", &id, ttl).await);
            assert!(!first_use(&platform, "tests", &id, ttl).await);
            platform.clock.advance(ttl);
            tokio::time::sleep(ttl * 2).await;
            assert!(first_use(&platform, "tests", &id, ttl).await);
        })
        .await;
    }

    #[tokio::test]
    async fn without_an_answer_from_redis_and_without_any_cache_an_instance_still_refuses_replays() {
        each_store(|platform| async move {
            // Nobody listens there.
            let silent = Cache::redis("redis://127.0.0.1:1", platform.clock.clone()).unwrap();
            for cache in [silent, Cache::disabled(platform.clock.clone())] {
                let platform = Platform { cache, ..platform.clone() };
                let id = platform.random.bytes::<16>();
                assert!(first_use(&platform, "tests", &id, TTL).await);
                assert!(!first_use(&platform, "tests", &id, TTL).await);
                platform.clock.advance(Duration::from_secs(200));
                assert!(!first_use(&platform, "tests", &id, TTL).await);
            }
        })
        .await;
    }

    #[tokio::test]
    async fn an_id_used_while_redis_answered_is_refused_when_it_no_longer_does() {
        each_store(|platform| async move {
            let id = platform.random.bytes::<16>();
            assert!(first_use(&platform, "tests", &id, TTL).await);
            let cut_off = Platform { cache: platform.cache.cut_off(&platform.clock), ..platform.clone() };
            assert!(!first_use(&cut_off, "tests", &id, TTL).await);
        })
        .await;
    }
}
