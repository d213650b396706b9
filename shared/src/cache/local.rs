//! The in-process face, on moka. Expiry follows our clock, so that tests move it by hand; moka's own only frees memory.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use moka::Expiry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::{CacheKey, Hit, Lookup, TOMBSTONE};
use crate::clock::Clock;

const ENTRY_BYTES: u64 = 32 * 1024 * 1024;
const TOMBSTONES: u64 = 100_000;
const COUNTERS: u64 = 200_000;

/// Something that ends.
#[derive(Clone, Debug)]
struct Until<T> {
    value: T,
    end: DateTime<Utc>,
    life: Duration,
}

impl<T> Until<T> {
    fn new(value: T, now: DateTime<Utc>, life: Duration) -> Self {
        Self { value, end: now + TimeDelta::from_std(life).unwrap_or(TimeDelta::days(365)), life }
    }

    fn is_live(&self, now: DateTime<Utc>) -> bool {
        now < self.end
    }
}

struct ByItsLife;

impl<T> Expiry<CacheKey, Until<T>> for ByItsLife {
    fn expire_after_create(&self, _: &CacheKey, entry: &Until<T>, _: Instant) -> Option<Duration> {
        Some(entry.life)
    }

    fn expire_after_update(&self, _: &CacheKey, entry: &Until<T>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.life)
    }
}

#[derive(Debug)]
pub(super) struct Local {
    clock: Clock,
    entries: Cache<CacheKey, Until<Hit>>,
    /// Apart from the entries: moka may turn away a newcomer that is asked for less often than what it would displace,
    /// and a tombstone turned away would let a deleted code through.
    tombstones: Cache<CacheKey, Until<()>>,
    /// When the last of them ends, in microseconds since the epoch.
    last_tombstone: AtomicI64,
    pub(super) counters: Counters,
}

impl Local {
    pub(super) fn new(clock: Clock) -> Self {
        let entries = Cache::builder()
            .max_capacity(ENTRY_BYTES)
            // The text, and what it is read as.
            .weigher(|_, entry: &Until<Hit>| u32::try_from(2 * entry.value.bytes().len() + 256).unwrap_or(u32::MAX))
            .expire_after(ByItsLife)
            .build();
        let tombstones = Cache::builder()
            .max_capacity(TOMBSTONES)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(ByItsLife)
            .build();
        let last_tombstone = AtomicI64::new(i64::MIN);
        Self { counters: Counters::new(clock.clone()), clock, entries, tombstones, last_tombstone }
    }

    pub(super) fn get(&self, key: &CacheKey) -> Lookup {
        let now = self.clock.now();
        // The tombstone first: an entry written beside it, by a fill that looked a moment earlier, is never seen. The
        // entry is gone before the tombstone is.
        if self.is_buried(key, now) {
            return Lookup::Tombstone;
        }
        match self.entries.get(key) {
            Some(entry) if entry.is_live(now) => Lookup::Hit(entry.value),
            _ => Lookup::Miss,
        }
    }

    pub(super) fn fill(&self, key: &CacheKey, bytes: &[u8], ttl: Duration) {
        let now = self.clock.now();
        if self.is_buried(key, now) {
            return;
        }
        self.entries.entry_by_ref(key).and_compute_with(|present| match present {
            Some(present) if present.value().is_live(now) => Op::Nop,
            _ => Op::Put(Until::new(Hit::new(bytes.to_vec()), now, ttl)),
        });
    }

    pub(super) fn put(&self, key: &CacheKey, bytes: &[u8], ttl: Duration) {
        let now = self.clock.now();
        if !self.is_buried(key, now) {
            self.entries.insert(*key, Until::new(Hit::new(bytes.to_vec()), now, ttl));
        }
    }

    pub(super) fn invalidate(&self, key: &CacheKey) {
        let tombstone = Until::new((), self.clock.now(), TOMBSTONE);
        // Before the tombstone itself: who sees neither may take it that the deletion is still to come.
        self.last_tombstone.fetch_max(tombstone.end.timestamp_micros(), Ordering::SeqCst);
        self.tombstones.insert(*key, tombstone);
        self.entries.invalidate(key);
    }

    fn is_buried(&self, key: &CacheKey, now: DateTime<Utc>) -> bool {
        now.timestamp_micros() < self.last_tombstone.load(Ordering::SeqCst)
            && self.tombstones.get(key).is_some_and(|tombstone| tombstone.is_live(now))
    }
}

/// Counters of this process alone.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    clock: Clock,
    counts: Cache<CacheKey, Until<u64>>,
}

impl Counters {
    pub(crate) fn new(clock: Clock) -> Self {
        // Least recently used goes first: with moka's usual policy, a flood of one-time addresses could keep new
        // counters out, and each of them would start at one again.
        let counts = Cache::builder()
            .max_capacity(COUNTERS)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(ByItsLife)
            .build();
        Self { clock, counts }
    }

    pub(crate) fn increment(&self, key: &CacheKey, window: Duration) -> (u64, Duration) {
        self.add(key, 1, window)
    }

    pub(crate) fn add(&self, key: &CacheKey, more: u64, window: Duration) -> (u64, Duration) {
        let now = self.clock.now();
        let counted = self
            .counts
            .entry_by_ref(key)
            .and_upsert_with(|present| match present.map(|entry| entry.into_value()) {
                Some(Until { value, end, .. }) if now < end => {
                    Until { value: value.saturating_add(more), end, life: (end - now).to_std().unwrap_or_default() }
                }
                _ => Until::new(more, now, window),
            })
            .into_value();
        (counted.value, counted.life)
    }

    pub(crate) fn forget(&self, key: &CacheKey) {
        self.counts.invalidate(key);
    }

    pub(crate) fn count(&self, key: &CacheKey) -> (u64, Duration) {
        let now = self.clock.now();
        match self.counts.get(key) {
            Some(entry) if entry.is_live(now) => (entry.value, (entry.end - now).to_std().unwrap_or_default()),
            _ => (0, Duration::ZERO),
        }
    }
}
