//! [`AppState`]: what the handlers share.

use std::sync::Arc;
use std::time::Duration;

use shared::db::DbError;
use shared::dpop::Nonces;
use shared::ids::UserId;
use shared::{Platform, subjects};

use crate::code_cache::CodeCache;
use crate::jwks::KeySet;

/// How long an account that was found is taken to exist. Its deletion lists it as revoked, which takes effect within a
/// second; this is for tokens of accounts that are gone for other reasons (a database put back).
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// The same for whose a pairwise subject identifier is, which never changes; that the account exists is asked besides.
const SUBJECT_FOR: Duration = Duration::from_secs(60);

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    platform: Platform,
    keys: KeySet,
    codes: CodeCache,
    known_users: moka::future::Cache<UserId, ()>,
    pairwise_subjects: moka::future::Cache<String, UserId>,
    nonces: Nonces,
}

impl AppState {
    /// On `platform`. Nothing runs yet: [`crate::serve`] starts the background work.
    pub fn new(platform: Platform) -> Self {
        let keys = KeySet::new(platform.config.jwks_url(), platform.outbound.trusted().clone(), platform.clock.clone());
        let codes = CodeCache::new(platform.clone());
        let known_users = moka::future::Cache::builder().max_capacity(10_000).time_to_live(KNOWN_FOR).build();
        let pairwise_subjects = moka::future::Cache::builder().max_capacity(10_000).time_to_live(SUBJECT_FOR).build();
        let nonces = Nonces::new(&platform.master_key);
        Self(Arc::new(Inner { platform, keys, codes, known_users, pairwise_subjects, nonces }))
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

    /// Whose pairwise subject identifier is it?
    pub(crate) async fn pairwise_subject(&self, subject: &str) -> Result<Option<UserId>, DbError> {
        if let Some(user) = self.0.pairwise_subjects.get(subject).await {
            return Ok(Some(user));
        }
        let mut conn = self.platform().db.read().await?;
        let found = subjects::resolve(&mut conn, subject).await?;
        drop(conn);
        if let Some(user) = found {
            self.0.pairwise_subjects.insert(subject.to_owned(), user).await;
        }
        Ok(found)
    }

    /// Is there such an account?
    pub(crate) async fn user_exists(&self, user: UserId) -> Result<bool, DbError> {
        if self.0.known_users.get(&user).await.is_some() {
            return Ok(true);
        }
        let mut conn = self.platform().db.read().await?;
        let found = shared::users::by_id(&mut conn, user).await?.is_some();
        drop(conn);
        if found {
            self.0.known_users.insert(user, ()).await;
        }
        Ok(found)
    }
}
