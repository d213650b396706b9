//! Referral codes through the cache, so that a deleted code stops working at once on every instance: a deletion is
//! queued in its own transaction, delivered after the commit, and while one is undelivered everybody reads the database.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::db::{DbError, Tx};
use shared::ids::UserId;
use shared::platform::{every, seldom};
use shared::referrals::cached::{self, Entry, Found};
use shared::referrals::code::CodeKey;
use shared::referrals::deletion::{self, TRUST, deliver, forget};
use shared::referrals::store::{self, CodeRow};
use shared::{Platform, fetch_all};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often the queue of undelivered invalidations is read.
const POLL: Duration = Duration::from_secs(1);

/// Codes by code and by referrer. Clones share what they know of the queue.
#[derive(Clone)]
pub struct CodeCache(Arc<Inner>);

struct Inner {
    platform: Platform,
    trust: Mutex<Trust>,
}

/// Until when the cache may be believed.
#[derive(Default)]
struct Trust {
    until: Option<DateTime<Utc>>,
    /// Counts the losses of trust: a look at the queue that began before one says nothing.
    losses: u64,
}

impl CodeCache {
    /// Reads from the database until the queue has been looked at ([`CodeCache::watch`]).
    pub fn new(platform: Platform) -> Self {
        Self(Arc::new(Inner { platform, trust: Mutex::default() }))
    }

    /// The code that folds to `key`, whoever owns it and whatever its status.
    pub async fn by_key(&self, key: &CodeKey) -> Result<Option<CodeRow>, DbError> {
        let trusted = self.is_trusted();
        if trusted && let Some(found) = Entry::Code(key.clone()).get(&self.0.platform).await {
            return Ok(Some(found.row.clone()));
        }
        seldom(async {
            let mut conn = self.0.platform.db.read().await?;
            let row = store::by_key(&mut conn, key).await?;
            drop(conn);
            self.keep(trusted, row.as_ref()).await;
            Ok(row)
        })
        .await
    }

    /// The code of `referrer` that somebody could sign up with now. `None` is never cached, so that it takes as long
    /// for a person without a code as for nobody.
    pub async fn usable_of(&self, referrer: UserId) -> Result<Option<Arc<Found>>, DbError> {
        let now = self.0.platform.clock.now();
        let trusted = self.is_trusted();
        if trusted
            && let Some(row) = Entry::Referrer(referrer).get(&self.0.platform).await
            && row.row.is_usable(now)
        {
            return Ok(Some(row));
        }
        seldom(async {
            let mut conn = self.0.platform.db.read().await?;
            let row = store::active_of(&mut conn, referrer).await?.filter(|row| row.is_usable(now));
            drop(conn);
            self.keep(trusted, row.as_ref()).await;
            Ok(row.map(|row| Arc::new(Found::new(row))))
        })
        .await
    }

    async fn keep(&self, trusted: bool, row: Option<&CodeRow>) {
        if let (true, Some(row)) = (trusted, row) {
            cached::fill(&self.0.platform, row).await;
        }
    }

    /// Queues the invalidation of a code's entries, in the transaction that deletes the code; [`CodeCache::deliver`]
    /// wants to know when.
    pub async fn queue(&self, tx: &mut Tx, row: &CodeRow) -> Result<DateTime<Utc>, DbError> {
        deletion::queue(tx, &self.0.platform, row).await
    }

    /// Delivers what [`CodeCache::queue`] queued, after the commit. When the cache does not answer, it returns once
    /// every instance must have noticed and reads the database.
    pub async fn deliver(&self, row: &CodeRow, queued_at: DateTime<Utc>) {
        if deletion::settle(&self.0.platform, row, queued_at).await {
            return;
        }
        self.lose_trust();
        // The others do not see our memory.
        deletion::until_noticed().await;
    }

    /// Looks at the queue, delivers what is in it, and decides whether the cache may be believed.
    pub async fn look(&self) {
        let platform = &self.0.platform;
        if !platform.cache.keeps_entries() {
            return;
        }
        let (began, losses) = (platform.clock.now(), self.trust().losses);
        let delivered = match self.deliver_queued(began).await {
            Ok(delivered) => delivered,
            Err(error) => {
                tracing::warn!(%error, "the queue of cache invalidations can't be read; codes come from the database");
                false
            }
        };
        let mut trust = self.trust();
        if !delivered {
            trust.until = None;
        } else if trust.losses == losses {
            trust.until = Some(began + TRUST);
        }
    }

    /// Looks at the queue once a second until `stop` turns true.
    pub fn watch(&self, stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let codes = self.clone();
        every(POLL, stop, move || {
            let codes = codes.clone();
            async move { codes.look().await }
        })
    }

    async fn deliver_queued(&self, now: DateTime<Utc>) -> Result<bool, DbError> {
        let platform = &self.0.platform;
        let mut conn = platform.db.read().await?;
        let queued = fetch_all!(
            &mut conn,
            (String, DateTime<Utc>, DateTime<Utc>),
            "SELECT cache_key, created_at, expires_at FROM cache_invalidations ORDER BY created_at LIMIT 1000"
        )?;
        drop(conn);
        let mut all = queued.len() < 1000;
        let mut done = vec![];
        for (name, queued_at, expires_at) in queued {
            let Some(entry) = Entry::parse(&name) else { continue };
            let entry = (entry, queued_at);
            if expires_at > now && !deliver(platform, std::slice::from_ref(&entry)).await {
                // The next would wait for the same silent cache.
                all = false;
                break;
            }
            done.push(entry);
        }
        if !done.is_empty() {
            forget(&platform.db, &done).await?;
        }
        Ok(all)
    }

    fn is_trusted(&self) -> bool {
        let now = self.0.platform.clock.now();
        // The second condition is for a clock that was set back.
        self.trust().until.is_some_and(|until| now <= until && until - now <= TRUST)
    }

    fn lose_trust(&self) {
        let mut trust = self.trust();
        trust.until = None;
        trust.losses += 1;
    }

    fn trust(&self) -> std::sync::MutexGuard<'_, Trust> {
        self.0.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
