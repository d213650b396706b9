//! [`AppState`]: what the handlers share.

use std::sync::Arc;
use std::time::Duration;

use shared::budget::Budgets;
use shared::cache::CacheKey;
use shared::db::DbError;
use shared::dpop::Nonces;
use shared::ids::UserId;
use shared::platform::seldom;
use shared::users::User;
use shared::{Platform, subjects};

use crate::access::Verified;
use crate::code_cache::CodeCache;
use crate::jwks::KeySet;

/// How long an account that was found is taken to exist. Its deletion lists it as revoked, which takes effect within a
/// second; this is for tokens of accounts that are gone for other reasons (a database put back).
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// The same for whose a pairwise subject identifier is, which never changes; that the account exists is asked besides.
const SUBJECT_FOR: Duration = Duration::from_secs(60);
/// How long it is remembered whose an address is, and whether they may be found by it, or that it is nobody's: no longer
/// than a revocation takes to be noticed.
const ADDRESS_FOR: Duration = Duration::from_secs(1);

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    platform: Platform,
    keys: KeySet,
    codes: CodeCache,
    known_users: moka::sync::Cache<UserId, ()>,
    pairwise_subjects: moka::sync::Cache<String, UserId>,
    addresses: moka::sync::Cache<CacheKey, Whose>,
    nonces: Nonces,
    verified: Verified,
    budgets: Budgets,
    lookups: Budgets,
}

/// Whose an address is, as of then.
#[derive(Clone)]
struct Whose {
    user: Option<Arc<User>>,
    /// In microseconds.
    read_at: i64,
}

impl AppState {
    /// On `platform`. Nothing runs yet: [`crate::serve`] starts the background work.
    pub fn new(platform: Platform) -> Self {
        let keys = KeySet::new(platform.config.jwks_url(), platform.outbound.trusted().clone(), platform.clock.clone());
        let codes = CodeCache::new(platform.clone());
        let known_users = moka::sync::Cache::builder().max_capacity(10_000).time_to_live(KNOWN_FOR).build();
        let pairwise_subjects = moka::sync::Cache::builder().max_capacity(10_000).time_to_live(SUBJECT_FOR).build();
        let addresses = moka::sync::Cache::builder().max_capacity(10_000).time_to_live(ADDRESS_FOR).build();
        let nonces = Nonces::new(&platform.master_key);
        let max = platform.config.limits.api_requests_per_minute;
        let budgets = Budgets::new(&platform, "api-requests", max, Duration::from_secs(60));
        let max = platform.config.limits.lookups_per_minute;
        let lookups = Budgets::new(&platform, "lookup", max, Duration::from_secs(60));
        let verified = Verified::default();
        Self(Arc::new(Inner {
            platform,
            keys,
            codes,
            known_users,
            pairwise_subjects,
            addresses,
            nonces,
            verified,
            budgets,
            lookups,
        }))
    }

    pub fn platform(&self) -> &Platform {
        &self.0.platform
    }

    /// The issuer's keys.
    pub fn keys(&self) -> &KeySet {
        &self.0.keys
    }

    /// Referral codes, through the cache.
    pub fn codes(&self) -> &CodeCache {
        &self.0.codes
    }

    /// The nonces of DPoP proofs.
    pub fn nonces(&self) -> &Nonces {
        &self.0.nonces
    }

    /// Tokens whose signature was verified.
    pub(crate) fn verified(&self) -> &Verified {
        &self.0.verified
    }

    /// How many requests each caller has left.
    pub(crate) fn budgets(&self) -> &Budgets {
        &self.0.budgets
    }

    /// How many addresses each caller may still look up.
    pub(crate) fn lookups(&self) -> &Budgets {
        &self.0.lookups
    }

    /// Whose pairwise subject identifier is it?
    pub(crate) async fn pairwise_subject(&self, subject: &str) -> Result<Option<UserId>, DbError> {
        if let Some(user) = self.0.pairwise_subjects.get(subject) {
            return Ok(Some(user));
        }
        seldom(async {
            let mut conn = self.platform().db.read().await?;
            let found = subjects::resolve(&mut conn, subject).await?;
            drop(conn);
            if let Some(user) = found {
                self.0.pairwise_subjects.insert(subject.to_owned(), user);
            }
            Ok(found)
        })
        .await
    }

    /// Whose is this address ([`shared::email::Email::key`])? It is the same work for somebody's as for nobody's, the
    /// first time and after.
    pub(crate) async fn person_at(&self, email_key: &str) -> Result<Option<Arc<User>>, DbError> {
        let key = CacheKey::new("address", email_key.as_bytes());
        let now = self.platform().clock.micros();
        if let Some(Whose { user, read_at }) = self.0.addresses.get(&key)
            && u128::try_from(now - read_at).is_ok_and(|age| age < ADDRESS_FOR.as_micros())
        {
            return Ok(user);
        }
        seldom(async {
            let mut conn = self.platform().db.read().await?;
            let user = shared::users::by_email(&mut conn, email_key).await?.map(Arc::new);
            drop(conn);
            self.0.addresses.insert(key, Whose { user: user.clone(), read_at: now });
            Ok(user)
        })
        .await
    }

    /// Is there such an account?
    pub(crate) async fn user_exists(&self, user: UserId) -> Result<bool, DbError> {
        if self.0.known_users.get(&user).is_some() {
            return Ok(true);
        }
        seldom(async {
            let mut conn = self.platform().db.read().await?;
            let found = shared::users::by_id(&mut conn, user).await?.is_some();
            drop(conn);
            if found {
                self.0.known_users.insert(user, ());
            }
            Ok(found)
        })
        .await
    }
}
