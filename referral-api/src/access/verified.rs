//! Tokens whose signature was verified, so that it is not verified for every request. Only that is remembered, and what
//! the token says; whether it still may (its time, revocations, possession, the account) is asked anew each time. A token
//! is remembered with the very key that verified it: once the issuer's set has no such key, or another one under its id,
//! it is unknown here. Tokens that were refused are not remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::token::{Claims, Whose};
use crate::jwks::{Key, KeySet, Thumbprint};

/// Bytes of tokens, roughly: some eight thousand of them, so that nobody with many tokens takes all memory.
const LARGEST: u64 = 16 * 1024 * 1024;
/// What an entry takes beside its token and its claims, which are about as long.
const OVERHEAD: usize = 256;

/// The tokens, by all of their text: no token is taken for another, whatever their hashes. Cheap to clone.
#[derive(Clone)]
pub struct Verified(Arc<Cache<Box<str>, Arc<Known>, ByWeight>>);

#[derive(Clone)]
struct ByWeight;

impl Weighter<Box<str>, Arc<Known>> for ByWeight {
    fn weight(&self, _: &Box<str>, known: &Arc<Known>) -> u64 {
        known.weight
    }
}

/// A token whose signature was verified, and what is known of it since.
#[derive(Debug)]
pub struct Known {
    pub(super) claims: Claims,
    pub(super) whose: Whose,
    key_id: Box<str>,
    key: Thumbprint,
    weight: u64,
    /// The version of the list of revocations that has nothing of it.
    unrevoked_in: AtomicU64,
    /// Until when its account is taken to exist, in microseconds since the epoch.
    exists_until: AtomicI64,
}

impl Known {
    fn new(claims: Claims, key_id: &str, key: Thumbprint, length: usize) -> Self {
        Self {
            whose: claims.whose(),
            claims,
            key_id: key_id.into(),
            key,
            weight: (2 * length + OVERHEAD) as u64,
            unrevoked_in: AtomicU64::new(u64::MAX),
            exists_until: AtomicI64::new(i64::MIN),
        }
    }

    pub(super) fn is_unrevoked_in(&self, version: u64) -> bool {
        self.unrevoked_in.load(Ordering::Acquire) == version
    }

    pub(super) fn unrevoked_in(&self, version: u64) {
        self.unrevoked_in.store(version, Ordering::Release);
    }

    /// At this time, in microseconds since the epoch; it is never known for longer than `at_most`.
    pub(super) fn exists(&self, now: i64, at_most: i64) -> bool {
        let until = self.exists_until.load(Ordering::Relaxed);
        // The second condition is for a clock that was set back.
        now < until && until.saturating_sub(now) <= at_most
    }

    pub(super) fn exists_until(&self, end: i64) {
        self.exists_until.store(end, Ordering::Relaxed);
    }
}

impl Default for Verified {
    fn default() -> Self {
        Self::holding(LARGEST)
    }
}

impl Verified {
    fn holding(bytes: u64) -> Self {
        Self(Arc::new(Cache::with_weighter(64, bytes, ByWeight)))
    }

    /// What this token says, if it was verified before by a key that is still the issuer's.
    pub(super) fn get(&self, token: &str, keys: &KeySet) -> Option<Arc<Known>> {
        let known = self.0.get(token)?;
        keys.holds(&known.key_id, &known.key).then_some(known)
    }

    /// Remembers that `key`, of this id, verified `token`.
    pub(super) fn keep(&self, token: &str, key_id: &str, key: &Key, claims: Claims) -> Arc<Known> {
        let known = Arc::new(Known::new(claims, key_id, key.thumbprint, token.len()));
        self.0.insert(token.into(), known.clone());
        known
    }

    /// Frees the memory of tokens that have expired; `now` in seconds since the epoch.
    pub(crate) fn forget_expired(&self, now: i64) {
        self.0.retain(|_, known| !known.claims.has_ended(now));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::clock::Clock;

    use super::super::token::LEEWAY;
    use super::*;
    use crate::jwks::testing::keys;

    fn claims() -> Claims {
        let claims = serde_json::json!({
            "iss": "i", "sub": "s", "aud": "a", "exp": 2, "iat": 1, "jti": "j", "client_id": "c",
        });
        serde_json::from_value(claims).unwrap()
    }

    fn key_set() -> (KeySet, Clock) {
        let clock = Clock::fixed(chrono::DateTime::UNIX_EPOCH);
        let client = shared::outbound::Outbound::new::<&str>(&[], clock.clone()).unwrap().trusted().clone();
        (KeySet::new("http://127.0.0.1:9".into(), client, clock.clone()), clock)
    }

    #[test]
    fn a_verified_token_is_known_while_that_very_key_is_in_the_set() {
        let (verified, (set, clock)) = (Verified::default(), key_set());
        let [one, other] = keys();
        let kept = verified.keep("token", "key-1", &one, claims());
        assert!(verified.get("token", &set).is_none(), "there is no set");
        set.now_holds(vec![("key-1", one)]);
        let known = verified.get("token", &set).expect("nothing is verified again");
        assert!(Arc::ptr_eq(&known, &kept));
        for other_token in ["token ", "toke", "Token"] {
            assert!(verified.get(other_token, &set).is_none(), "{other_token}");
        }
        let [one, _] = keys();
        set.now_holds(vec![("key-2", one)]);
        assert!(verified.get("token", &set).is_none(), "the key has another id");
        set.now_holds(vec![("key-1", other)]);
        assert!(verified.get("token", &set).is_none(), "another key has the id");
        let [one, other] = keys();
        set.now_holds(vec![("key-2", other), ("key-1", one)]);
        assert!(verified.get("token", &set).is_some(), "fetched anew, it is the same key");
        clock.advance(Duration::from_secs(3600));
        assert!(verified.get("token", &set).is_none(), "the set is too old");
    }

    #[test]
    fn an_account_is_taken_to_exist_for_so_long_and_not_for_longer_by_a_clock_set_back() {
        let [key, _] = keys();
        let known = Verified::default().keep("token", "key-1", &key, claims());
        assert!(!known.exists(100, 5), "nobody looked");
        known.exists_until(105);
        assert!(known.exists(100, 5) && known.exists(104, 5));
        assert!(!known.exists(105, 5) && !known.exists(99, 5) && !known.exists(-1000, 5));
    }

    #[test]
    fn however_many_tokens_come_only_so_many_are_remembered() {
        let (verified, [key, _]) = (Verified::holding(100 * 1024), keys());
        for n in 0..2000 {
            verified.keep(&format!("token-{n:0>1000}"), "key-1", &key, claims());
        }
        assert!(verified.0.weight() <= 100 * 1024, "{}", verified.0.weight());
        assert!(!verified.0.is_empty());
        verified.forget_expired(2 + LEEWAY - 1);
        assert!(!verified.0.is_empty(), "they may still be used");
        verified.forget_expired(2 + LEEWAY);
        assert!(verified.0.is_empty());
    }
}
