//! [`Budgets`]: how many requests a caller has left in this minute, told with every answer. Each is counted in this
//! process, which costs next to nothing, and settled with what the other instances counted when it is due: with the first
//! request of a minute, then every twentieth of the budget and once a second. So all instances together let pass at most
//! that much more than one would, and a request seldom waits for Redis.

use std::convert::Infallible;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::Platform;
use crate::cache::{self, CacheKey};
use crate::clock::Clock;
use crate::limits::Limited;
use crate::platform::seldom;

/// Callers who are counted at once. One who is forgotten starts anew.
const CALLERS: u64 = 100_000;
/// Room for so many is made ready.
const EXPECTED: usize = 1_000;
/// What others spent is known after so long, in microseconds.
const SETTLE_AFTER: i64 = 1_000_000;
/// And after this part of the budget.
const SETTLE_PART: u64 = 20;

/// The budgets of all callers; clones share them.
#[derive(Clone)]
pub struct Budgets(Arc<Inner>);

struct Inner {
    name: &'static str,
    max: u64,
    window: Duration,
    /// Where other instances count too, if there are any.
    shared: Option<cache::Cache>,
    clock: Clock,
    /// Of those who were seen once, the longest ago goes first; who comes again and again stays.
    tallies: Cache<Vec<u8>, Arc<Mutex<Tally>>, UnitWeighter, RandomState>,
}

/// What is counted for one caller. Times are microseconds since the epoch.
#[derive(Debug, Default)]
struct Tally {
    /// By everybody, as far as this instance knows, its own included.
    spent: u64,
    /// Of these, what the others have not been told.
    untold: u64,
    /// When it starts anew.
    end: i64,
    settled_at: Option<i64>,
}

/// A caller's budget, after one request was taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Requests a window.
    pub max: u64,
    pub window: Duration,
    /// What is left of it.
    pub remaining: u64,
    /// Until it starts anew.
    pub renewed_in: Duration,
    /// Was this request one too many?
    pub is_overdrawn: bool,
}

impl Budgets {
    /// `max` requests in each `window`, which begins with a caller's first; `name` is what they are counted under.
    pub fn new(platform: &Platform, name: &'static str, max: u64, window: Duration) -> Self {
        let shared = platform.cache.is_shared().then(|| platform.cache.clone());
        // Callers may have chosen what they are called.
        let hasher = RandomState::new();
        let tallies = Cache::with(EXPECTED, CALLERS, UnitWeighter, hasher, DefaultLifecycle::default());
        Self(Arc::new(Inner { name, max, window, shared, clock: platform.clock.clone(), tallies }))
    }

    /// Takes one request off the caller's budget.
    pub async fn spend(&self, caller: &[u8]) -> Budget {
        let inner = &*self.0;
        let Ok(tally) = inner.tallies.get_or_insert_with(caller, || Ok::<_, Infallible>(Arc::default()));
        let now = inner.clock.micros();
        let due = {
            let mut tally = locked(&tally);
            tally.spend(now, inner.window);
            // Taken before it is told, so that of many requests one tells it.
            (inner.shared.is_some() && tally.is_due(now, inner.max)).then(|| {
                tally.settled_at = Some(now);
                std::mem::take(&mut tally.untold)
            })
        };
        if let (Some(cache), Some(untold)) = (&inner.shared, due) {
            let key = CacheKey::new(inner.name, caller);
            match seldom(cache.add(&key, untold, inner.window)).await {
                Ok((spent, left)) => locked(&tally).settle(spent, now.saturating_add(micros(left))),
                Err(error) => {
                    tracing::debug!(%error, budget = inner.name, "counted in this process alone");
                    locked(&tally).untold += untold;
                }
            }
        }
        let tally = locked(&tally);
        Budget {
            max: inner.max,
            window: inner.window,
            remaining: inner.max.saturating_sub(tally.spent),
            renewed_in: Duration::from_micros(u64::try_from(tally.end - now).unwrap_or_default()),
            is_overdrawn: tally.spent > inner.max,
        }
    }
}

impl Budgets {
    /// Frees the memory of callers whose window is over.
    pub fn forget_old(&self) {
        let now = self.0.clock.micros();
        self.0.tallies.retain(|_, tally| locked(tally).end > now);
    }

    /// The same where nobody is told what is left.
    ///
    /// # Errors
    /// When this request was one too many.
    pub async fn check(&self, caller: &[u8]) -> Result<(), Limited> {
        let budget = self.spend(caller).await;
        if !budget.is_overdrawn {
            return Ok(());
        }
        metrics::counter!("limited_total", "limit" => self.0.name).increment(1);
        Err(Limited { retry_after: budget.renewed_in })
    }
}

impl Tally {
    fn spend(&mut self, now: i64, window: Duration) {
        // The second condition is for a clock that was set back.
        if now >= self.end || self.end - now > micros(window) {
            *self = Self { end: now.saturating_add(micros(window)), ..Self::default() };
        }
        self.spent += 1;
        self.untold += 1;
    }

    fn is_due(&self, now: i64, max: u64) -> bool {
        let long_ago = self.settled_at.is_none_or(|at| now - at >= SETTLE_AFTER);
        long_ago || self.untold >= (max / SETTLE_PART).max(1)
    }

    /// `spent` is everybody's, and starts anew at `end`.
    fn settle(&mut self, spent: u64, end: i64) {
        self.spent = spent + self.untold;
        self.end = end;
    }
}

fn locked(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Scratch, Store, each_store};

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_budget_is_spent_told_and_renewed() {
        each_store(|platform| async move {
            let budgets = Budgets::new(&platform, "test-budget", 3, MINUTE);
            let caller = platform.random.uuid_v4();
            let mut left = vec![];
            for _ in 0..4 {
                let budget = budgets.spend(caller.as_bytes()).await;
                assert!(budget.renewed_in <= MINUTE && budget.renewed_in > Duration::from_secs(50), "{budget:?}");
                left.push((budget.remaining, budget.is_overdrawn));
            }
            assert_eq!(left, [(2, false), (1, false), (0, false), (0, true)]);
            assert_eq!(budgets.spend(platform.random.uuid_v4().as_bytes()).await.remaining, 2, "somebody else's");
            // Redis has a clock of its own.
            if !platform.cache.is_shared() {
                platform.clock.advance(MINUTE);
                assert_eq!(budgets.spend(caller.as_bytes()).await.remaining, 2);
            }
        })
        .await;
    }

    #[tokio::test]
    async fn two_instances_share_one_budget() {
        let Some(scratch) = Scratch::new(Store::Server).await else { return };
        let (one, two) = (scratch.platform(&[]).await, scratch.platform(&[]).await);
        let caller = one.random.uuid_v4();
        let [one, two] = [one, two].map(|platform| Budgets::new(&platform, "test-budget", 100, MINUTE));
        let mut passed = 0;
        for _ in 0..100 {
            for instance in [&one, &two] {
                passed += u64::from(!instance.spend(caller.as_bytes()).await.is_overdrawn);
            }
        }
        // Each may have let pass a twentieth before it was told.
        assert!((100..=110).contains(&passed), "{passed}");
    }

    #[tokio::test]
    async fn while_redis_is_silent_each_instance_counts_alone_and_what_it_counted_is_told_later() {
        let Some(scratch) = Scratch::new(Store::Server).await else { return };
        let mut platform = scratch.platform(&[]).await;
        platform.cache = cache::Cache::redis("redis://127.0.0.1:9", platform.clock.clone()).unwrap();
        let budgets = Budgets::new(&platform, "test-budget", 2, MINUTE);
        let overdrawn = [budgets.spend(b"ann").await, budgets.spend(b"ann").await, budgets.spend(b"ann").await];
        assert_eq!(overdrawn.map(|budget| budget.is_overdrawn), [false, false, true]);
    }

    #[tokio::test]
    async fn callers_whose_window_is_over_take_no_memory() {
        each_store(|platform| async move {
            let budgets = Budgets::new(&platform, "test-budget", 3, MINUTE);
            budgets.spend(b"ann").await;
            budgets.forget_old();
            assert_eq!(budgets.0.tallies.len(), 1, "it is still counted");
            platform.clock.advance(MINUTE * 2);
            budgets.forget_old();
            assert_eq!(budgets.0.tallies.len(), 0);
        })
        .await;
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nobody_out_for_long() {
        let mut tally = Tally::default();
        tally.spend(micros(MINUTE) * 100, MINUTE);
        tally.spend(micros(MINUTE) * 10, MINUTE);
        assert_eq!((tally.spent, tally.end), (1, micros(MINUTE) * 11));
    }
}
