//! Tokens whose signature was verified, so that it is not verified for every request. Only that is remembered, and what
//! the token says; whether it still may (its time, revocations, possession, the account) is asked anew each time. A token
//! is remembered with the very key that verified it: once the issuer's set has no such key, or another one under its id,
//! it is unknown here. Tokens that were refused are not remembered.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use shared::cache::CacheKey;

use super::token::Claims;
use crate::jwks::{Key, KeySet, Thumbprint};

/// Bytes of tokens, roughly: some eight thousand of them, so that nobody with many tokens takes all memory.
const LARGEST: u64 = 8 * 1024 * 1024;
/// What an entry takes beside its claims, which are about as long as their token.
const OVERHEAD: usize = 256;
/// Frees the memory of tokens that nobody sends any more. A token that lives longer is verified once in a while.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// The tokens, by the SHA-256 of all of their text. Cheap to clone.
#[derive(Clone)]
pub struct Verified(Cache<CacheKey, Entry>);

#[derive(Clone)]
struct Entry {
    claims: Arc<Claims>,
    key_id: Arc<str>,
    key: Thumbprint,
    weight: u32,
}

impl Default for Verified {
    fn default() -> Self {
        Self::holding(LARGEST)
    }
}

impl Verified {
    fn holding(bytes: u64) -> Self {
        let tokens = Cache::builder().max_capacity(bytes).weigher(|_, entry: &Entry| entry.weight);
        Self(tokens.time_to_live(LONGEST).build())
    }

    /// What this token says, if it was verified before by a key that is still the issuer's.
    pub(super) fn get(&self, token: &str, keys: &KeySet) -> Option<Arc<Claims>> {
        let entry = self.0.get(&name(token))?;
        keys.holds(&entry.key_id, &entry.key).then_some(entry.claims)
    }

    /// Remembers that `key`, of this id, verified `token`.
    pub(super) fn keep(&self, token: &str, key_id: &str, key: &Key, claims: &Arc<Claims>) {
        let weight = u32::try_from(token.len() + OVERHEAD).unwrap_or(u32::MAX);
        let entry = Entry { claims: claims.clone(), key_id: key_id.into(), key: key.thumbprint, weight };
        self.0.insert(name(token), entry);
    }
}

fn name(token: &str) -> CacheKey {
    CacheKey::new("verified-token", token.as_bytes())
}

#[cfg(test)]
mod tests {
    use shared::clock::Clock;

    use super::*;
    use crate::jwks::testing::keys;

    fn claims() -> Arc<Claims> {
        let claims = serde_json::json!({
            "iss": "i", "sub": "s", "aud": "a", "exp": 2, "iat": 1, "jti": "j", "client_id": "c",
        });
        Arc::new(serde_json::from_value(claims).unwrap())
    }

    fn key_set() -> (KeySet, Clock) {
        let clock = Clock::fixed(chrono::DateTime::UNIX_EPOCH);
        let client = shared::outbound::Outbound::new::<&str>(&[], clock.clone()).unwrap().trusted().clone();
        (KeySet::new("http://127.0.0.1:9".into(), client, clock.clone()), clock)
    }

    #[test]
    fn a_verified_token_is_known_while_that_very_key_is_in_the_set() {
        let (verified, (set, clock), claims) = (Verified::default(), key_set(), claims());
        let [one, other] = keys();
        verified.keep("token", "key-1", &one, &claims);
        assert!(verified.get("token", &set).is_none(), "there is no set");
        set.now_holds(vec![("key-1", one)]);
        let known = verified.get("token", &set).expect("nothing is verified again");
        assert!(Arc::ptr_eq(&known, &claims));
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
    fn however_many_tokens_come_only_so_many_are_remembered() {
        let (verified, [key, _], claims) = (Verified::holding(100 * 1024), keys(), claims());
        for n in 0..2000 {
            verified.keep(&format!("token-{n:0>1000}"), "key-1", &key, &claims);
        }
        verified.0.run_pending_tasks();
        assert!(verified.0.weighted_size() <= 100 * 1024, "{}", verified.0.weighted_size());
        assert!(verified.0.entry_count() > 0);
    }
}
