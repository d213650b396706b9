//! The same stories on both faces; on Redis when `TEST_REDIS_URL` names one.

use chrono::Utc;

use super::*;
use crate::random::Random;

const TTL: Duration = Duration::from_secs(30);

/// Each face with a namespace nobody else uses.
fn faces() -> Vec<(Cache, Clock)> {
    let mut faces = vec![];
    let clock = Clock::fixed(chrono::DateTime::<Utc>::UNIX_EPOCH);
    faces.push((Cache::in_process(clock.clone()), clock));
    if let Ok(url) = std::env::var("TEST_REDIS_URL") {
        let clock = Clock::system();
        faces.push((Cache::redis(&url, clock.clone()).unwrap(), clock));
    }
    faces
}

fn key() -> CacheKey {
    CacheKey::new("tests", &Random::system().bytes::<16>())
}

#[tokio::test]
async fn what_was_filled_is_found_and_a_second_fill_changes_nothing() {
    for (cache, _) in faces() {
        let key = key();
        assert_eq!(cache.get(&key).await.unwrap(), Lookup::Miss);
        cache.fill(&key, b"one", TTL).await.unwrap();
        cache.fill(&key, b"two", TTL).await.unwrap();
        assert_eq!(cache.get(&key).await.unwrap(), Lookup::Hit(Hit::new(b"one".to_vec())));
        cache.put(&key, b"three", TTL).await.unwrap();
        assert_eq!(cache.get(&key).await.unwrap(), Lookup::Hit(Hit::new(b"three".to_vec())));
    }
}

#[tokio::test]
async fn a_late_fill_does_not_revive_a_deletion() {
    for (cache, _) in faces() {
        let key = key();
        cache.fill(&key, b"", TTL).await.unwrap();
        assert_eq!(cache.get(&key).await.unwrap(), Lookup::Hit(Hit::new(vec![])));
        cache.invalidate(&key).await.unwrap();
        assert_eq!(cache.get(&key).await.unwrap(), Lookup::Tombstone);
        cache.fill(&key, b"late", TTL).await.unwrap();
        cache.put(&key, b"later", TTL).await.unwrap();
        assert_eq!(cache.get(&key).await.unwrap(), Lookup::Tombstone);
    }
}

#[tokio::test]
async fn entries_end_after_a_minute_and_tombstones_outlive_them() {
    let clock = Clock::fixed(chrono::DateTime::<Utc>::UNIX_EPOCH);
    let cache = Cache::in_process(clock.clone());
    let (kept, deleted) = (key(), key());
    cache.fill(&kept, b"one", Duration::from_secs(3600)).await.unwrap();
    cache.invalidate(&deleted).await.unwrap();
    clock.advance(LONGEST);
    assert_eq!(cache.get(&kept).await.unwrap(), Lookup::Miss);
    assert_eq!(cache.get(&deleted).await.unwrap(), Lookup::Tombstone);
    cache.fill(&kept, b"two", TTL).await.unwrap();
    assert_eq!(cache.get(&kept).await.unwrap(), Lookup::Hit(Hit::new(b"two".to_vec())));
    clock.advance(LONGEST);
    assert_eq!(cache.get(&deleted).await.unwrap(), Lookup::Miss);
}

#[tokio::test]
async fn entries_in_redis_end_too() {
    let Ok(url) = std::env::var("TEST_REDIS_URL") else { return };
    let cache = Cache::redis(&url, Clock::system()).unwrap();
    let key = key();
    cache.fill(&key, b"one", Duration::from_millis(20)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(cache.get(&key).await.unwrap(), Lookup::Miss);
    cache.put(&key, b"two", Duration::from_secs(3600)).await.unwrap();
    let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let left: i64 = redis::cmd("PTTL").arg(key.name()).query_async(&mut connection).await.unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
}

#[tokio::test]
async fn forty_counting_at_once_are_all_counted() {
    for (cache, _) in faces() {
        let key = key();
        let counted = futures::future::join_all((0..40).map(|_| cache.increment(&key, Duration::from_secs(60)))).await;
        let mut counts: Vec<_> = counted.into_iter().map(|c| c.unwrap().0).collect();
        counts.sort_unstable();
        assert_eq!(counts, (1..=40).collect::<Vec<u64>>());
    }
}

#[tokio::test]
async fn a_count_starts_anew_after_its_window() {
    let clock = Clock::fixed(chrono::DateTime::<Utc>::UNIX_EPOCH);
    for cache in [Cache::in_process(clock.clone()), Cache::disabled(clock.clone())] {
        let key = key();
        let minute = Duration::from_secs(60);
        assert_eq!(cache.increment(&key, minute).await.unwrap(), (1, minute));
        clock.advance(Duration::from_secs(20));
        assert_eq!(cache.increment(&key, minute).await.unwrap(), (2, Duration::from_secs(40)));
        clock.advance(Duration::from_secs(40));
        assert_eq!(cache.increment(&key, minute).await.unwrap(), (1, minute));
    }
    let Ok(url) = std::env::var("TEST_REDIS_URL") else { return };
    let (cache, key, window) = (Cache::redis(&url, Clock::system()).unwrap(), key(), Duration::from_millis(300));
    assert_eq!(cache.increment(&key, window).await.unwrap(), (1, window));
    let (count, left) = cache.increment(&key, window).await.unwrap();
    assert!(count == 2 && left <= window);
    tokio::time::sleep(window).await;
    assert_eq!(cache.increment(&key, window).await.unwrap().0, 1);
}

#[tokio::test]
async fn without_redis_nothing_but_counters_is_kept() {
    let cache = Cache::disabled(Clock::system());
    let key = key();
    assert!(!cache.keeps_entries());
    cache.fill(&key, b"one", TTL).await.unwrap();
    assert_eq!(cache.get(&key).await.unwrap(), Lookup::Miss);
    cache.invalidate(&key).await.unwrap();
    assert_eq!(cache.increment(&key, TTL).await.unwrap().0, 1);
}

#[tokio::test]
async fn a_redis_that_is_down_or_silent_fails_fast() {
    let clock = Clock::fixed(chrono::DateTime::<Utc>::UNIX_EPOCH);
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let cache = Cache::redis(&format!("redis://127.0.0.1:{port}"), clock.clone()).unwrap();
    let key = key();
    assert!(matches!(cache.get(&key).await, Err(CacheError::Failed(_))));
    assert!(matches!(cache.invalidate(&key).await, Err(CacheError::Resting(_))));

    // Something that takes the connection and never says a word.
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    clock.advance(Duration::from_secs(1));
    let start = tokio::time::Instant::now();
    assert!(matches!(cache.get(&key).await, Err(CacheError::TimedOut)));
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(matches!(cache.get(&key).await, Err(CacheError::Resting(_))));
    drop(silent);
}

#[tokio::test]
async fn a_redis_that_comes_back_is_found_again_even_after_it_went_silent() {
    let Ok(url) = std::env::var("TEST_REDIS_URL") else { return };
    let redis = url::Url::parse(&url).unwrap();
    let redis = (redis.host_str().unwrap().to_owned(), redis.port().unwrap_or(6379));
    let front = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = front.local_addr().unwrap().port();
    let (hush, hushed) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let mut held = vec![];
        loop {
            let (mut client, _) = front.accept().await.unwrap();
            let mut server = tokio::net::TcpStream::connect(&redis).await.unwrap();
            let mut hushed = hushed.clone();
            held.push(tokio::spawn(async move {
                let silenced = async {
                    let _ = hushed.wait_for(|h| *h).await;
                };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    // Held open, as by a machine that lost its power.
                    () = silenced => std::future::pending().await,
                }
            }));
        }
    });
    let clock = Clock::fixed(chrono::DateTime::<Utc>::UNIX_EPOCH);
    let cache = Cache::redis(&format!("redis://127.0.0.1:{port}"), clock.clone()).unwrap();
    let key = key();
    cache.fill(&key, b"one", TTL).await.unwrap();
    hush.send(true).unwrap();
    assert!(matches!(cache.get(&key).await, Err(CacheError::TimedOut)));
    hush.send(false).unwrap();
    assert!(matches!(cache.get(&key).await, Err(CacheError::Resting(_))));
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.get(&key).await.unwrap(), Lookup::Hit(Hit::new(b"one".to_vec())));
}

#[test]
fn keys_show_neither_emails_nor_tokens() {
    let key = CacheKey::new("code-by-referrer", b"ada@example.com");
    assert!(!format!("{key:?}").contains("ada"));
    assert_ne!(key.name(), CacheKey::new("code", b"ada@example.com").name());
}
