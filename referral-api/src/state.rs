//! [`AppState`]: what the handlers share.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use shared::budget::Budgets;
use shared::db::DbError;
use shared::dpop::Nonces;
use shared::ids::UserId;
use shared::platform::{every, seldom};
use shared::{Platform, subjects};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::{Verified, budget_policy};
use crate::addresses::Addresses;
use crate::code_cache::CodeCache;
use crate::jwks::KeySet;

/// How long it is remembered whose a pairwise subject identifier is, which never changes; that the account exists is asked besides.
const SUBJECT_FOR: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    platform: Platform,
    keys: KeySet,
    codes: CodeCache,
    pairwise_subjects: moka::sync::Cache<String, UserId>,
    addresses: Addresses,
    nonces: Nonces,
    verified: Verified,
    budgets: Budgets,
    budget_policy: Option<HeaderValue>,
    lookups: Budgets,
}

impl AppState {
    /// On `platform`. Nothing runs yet: [`crate::serve`] starts the background work.
    pub fn new(platform: Platform) -> Self {
        let keys = KeySet::new(platform.config.jwks_url(), platform.outbound.trusted().clone(), platform.clock.clone());
        let codes = CodeCache::new(platform.clone());
        let pairwise_subjects = moka::sync::Cache::builder().max_capacity(10_000).time_to_live(SUBJECT_FOR).build();
        let nonces = Nonces::new(&platform.master_key);
        let max = platform.config.limits.api_requests_per_minute;
        let budgets = Budgets::new(&platform, "api-requests", max, MINUTE);
        let budget_policy = budget_policy(max, MINUTE);
        let max = platform.config.limits.lookups_per_minute;
        let lookups = Budgets::new(&platform, "lookup", max, MINUTE);
        Self(Arc::new(Inner {
            platform,
            keys,
            codes,
            pairwise_subjects,
            addresses: Addresses::default(),
            nonces,
            verified: Verified::default(),
            budgets,
            budget_policy,
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

    /// What each budget is, as the header says it.
    pub(crate) fn budget_policy(&self) -> Option<&HeaderValue> {
        self.0.budget_policy.as_ref()
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

    /// Whose the addresses are that were asked about.
    pub(crate) fn addresses(&self) -> &Addresses {
        &self.0.addresses
    }

    /// Is there such an account?
    pub(crate) async fn user_exists(&self, user: UserId) -> Result<bool, DbError> {
        let mut conn = self.platform().db.read().await?;
        Ok(shared::users::by_id(&mut conn, user).await?.is_some())
    }

    /// Forgets, now and then until `stop` turns true, what is remembered and of no more use.
    pub(crate) fn watch(&self, stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let state = self.clone();
        every(MINUTE, stop, move || {
            let state = state.clone();
            async move {
                let clock = &state.platform().clock;
                state.verified().forget_expired(clock.timestamp());
                state.addresses().forget_old(clock.micros());
                state.budgets().forget_old();
                state.lookups().forget_old();
            }
        })
    }
}
