//! Whose an email address is, remembered for a moment under the address as it was written: whoever is asked about again
//! need not be looked for, nor their address be read.

use std::borrow::Cow;
use std::sync::Arc;

use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;
use shared::cache::CacheKey;
use shared::db::DbError;
use shared::email::{Email, InvalidEmail};
use shared::platform::seldom;
use shared::users::{self, User};

use crate::state::AppState;

/// How long it is remembered whose an address is, and whether they may be found by it, or that it is nobody's: no longer
/// than a revocation takes to be noticed. In microseconds.
const FOR: i64 = 1_000_000;
const MANY: u64 = 10_000;
/// Room for so many is made ready.
const EXPECTED: usize = 500;

/// Addresses that were asked about.
pub(crate) struct Addresses(Cache<CacheKey, Whose>);

/// Whose an address is, as of then.
#[derive(Clone)]
struct Whose {
    user: Option<Arc<User>>,
    /// In microseconds since the epoch.
    read_at: i64,
}

impl Whose {
    fn is_fresh(&self, now: i64) -> bool {
        // The first condition is for a clock that was set back.
        self.read_at <= now && now - self.read_at < FOR
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Self(Cache::with_weighter(EXPECTED, MANY, UnitWeighter))
    }
}

impl Addresses {
    fn get(&self, key: &CacheKey, now: i64) -> Option<Whose> {
        self.0.get(key).filter(|whose| whose.is_fresh(now))
    }

    /// Frees the memory of what is remembered no more.
    pub(crate) fn forget_old(&self, now: i64) {
        self.0.retain(|_, whose| whose.is_fresh(now));
    }
}

/// An address that is asked about.
pub(crate) struct Address<'a> {
    key: CacheKey,
    what: What<'a>,
}

enum What<'a> {
    Known(Whose),
    Unknown(Cow<'a, Email>),
}

impl<'a> Address<'a> {
    /// As a caller wrote it.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn read(text: &str, state: &AppState) -> Result<Self, InvalidEmail> {
        let key = CacheKey::new("address", text.as_bytes());
        let what = match state.addresses().get(&key, state.platform().clock.micros()) {
            Some(whose) => What::Known(whose),
            None => What::Unknown(Cow::Owned(Email::parse(text)?)),
        };
        Ok(Self { key, what })
    }

    /// One that was read before.
    pub(crate) fn of(email: &'a Email, state: &AppState) -> Self {
        let key = CacheKey::new("address", email.display.as_bytes());
        let what = match state.addresses().get(&key, state.platform().clock.micros()) {
            Some(whose) => What::Known(whose),
            None => What::Unknown(Cow::Borrowed(email)),
        };
        Self { key, what }
    }

    /// Whose it is. It is the same work for somebody's as for nobody's, the first time and after.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn person(self, state: &AppState) -> Result<Option<Arc<User>>, DbError> {
        let email = match self.what {
            What::Known(whose) => return Ok(whose.user),
            What::Unknown(email) => email,
        };
        seldom(async move {
            let read_at = state.platform().clock.micros();
            let mut conn = state.platform().db.read().await?;
            let user = users::by_email(&mut conn, &email.key).await?.map(Arc::new);
            drop(conn);
            state.addresses().0.insert(self.key, Whose { user: user.clone(), read_at });
            Ok(user)
        })
        .await
    }
}
