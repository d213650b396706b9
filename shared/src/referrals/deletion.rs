//! The end of a referral code in the cache. It is queued in the transaction that ends the code, delivered after the commit,
//! and while one is undelivered everybody reads the database. Both services end codes: the API for apps, the authorization
//! server on a person's own page and with an account.

use chrono::{DateTime, TimeDelta, Utc};

use super::cached::Entry;
use super::store::CodeRow;
use crate::db::{Db, DbError, Tx};
use crate::execute;
use crate::platform::Platform;

/// How long after a look at the queue the cache may be believed.
pub const TRUST: TimeDelta = TimeDelta::seconds(2);
/// After that, an undelivered invalidation is pointless: the last request that could have filled the cache with the
/// deleted code is over (30 s), and so is the life of what it filled in (60 s).
const POINTLESS_AFTER: TimeDelta = TimeDelta::seconds(150);

/// Queues the invalidation of a code's entries, in the transaction that deletes the code; [`settle`] wants to know when.
pub async fn queue(tx: &mut Tx, platform: &Platform, row: &CodeRow) -> Result<DateTime<Utc>, DbError> {
    let now = platform.clock.now();
    if !platform.cache.keeps_entries() {
        return Ok(now);
    }
    for entry in Entry::of(row) {
        execute!(
            tx,
            "INSERT INTO cache_invalidations (cache_key, created_at, expires_at) VALUES ($1, $2, $3) \
             ON CONFLICT (cache_key) DO UPDATE SET created_at = $2, expires_at = $3",
            entry.to_string(),
            now,
            now + POINTLESS_AFTER
        )?;
    }
    Ok(now)
}

/// Delivers after the commit what [`queue`] queued. `false` when the cache does not answer: then [`until_noticed`] is to be
/// waited for, after which every instance reads the database.
pub async fn settle(platform: &Platform, row: &CodeRow, queued_at: DateTime<Utc>) -> bool {
    if !platform.cache.keeps_entries() {
        return true;
    }
    let entries: Vec<_> = Entry::of(row).map(|entry| (entry, queued_at)).collect();
    if !deliver(platform, &entries).await {
        return false;
    }
    if let Err(error) = forget(&platform.db, &entries).await {
        tracing::debug!(%error, "a delivered invalidation stays queued and is delivered again");
    }
    true
}

/// Everybody believes the cache until their last look at the queue is too old.
pub async fn until_noticed() {
    tokio::time::sleep(TRUST.to_std().unwrap_or_default()).await;
}

/// Have all of these left the cache?
pub async fn deliver(platform: &Platform, entries: &[(Entry, DateTime<Utc>)]) -> bool {
    for (entry, _) in entries {
        if let Err(error) = entry.invalidate(platform).await {
            tracing::warn!(%error, "a cache invalidation can't be delivered; codes come from the database until it is");
            return false;
        }
    }
    true
}

/// Takes delivered invalidations out of the queue, but not what was queued under the same name since.
pub async fn forget(db: &Db, entries: &[(Entry, DateTime<Utc>)]) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    for (entry, queued_at) in entries {
        execute!(
            &mut tx,
            "DELETE FROM cache_invalidations WHERE cache_key = $1 AND created_at <= $2",
            entry.to_string(),
            *queued_at
        )?;
    }
    tx.commit().await
}
