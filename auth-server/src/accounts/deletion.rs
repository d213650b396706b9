//! Deletion by its owner's wish, with days to think better of it. Until the day comes the account is nobody's: nothing is
//! signed in or granted, its referral code rests, and signing in leads to one question, whether to keep it.

use chrono::{DateTime, TimeDelta, Utc};
use shared::db::DbError;
use shared::ids::{CodeId, UserId};
use shared::outbox::Notice;
use shared::referrals::deletion::queue;
use shared::referrals::store::{self, CodeRow};
use shared::users::{self, User};
use shared::{Platform, audit, execute, fetch_all, fetch_optional};

use super::notices;
use crate::{AppState, sessions};

/// Accounts deleted in one transaction of the sweeper.
const BATCH: i64 = 50;

/// What became of the wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// It will be deleted then.
    For(DateTime<Utc>),
    /// There was no time to wait for.
    Deleted,
}

/// Has the account deleted after the days of grace, or at once where there are none. Every session and grant ends. Who
/// asks has been asked for their password.
pub async fn plan(state: &AppState, user: &User) -> Result<Planned, DbError> {
    let platform = &state.platform;
    let now = platform.clock.now();
    let days = i64::try_from(platform.config.accounts.deletion_grace_days).unwrap_or(14);
    let mut tx = platform.db.begin().await?;
    if days == 0 {
        super::delete(&mut tx, platform, user.id, "own wish").await?;
        notices::tell_with(&mut tx, platform, user, Notice::AccountDeleted, |n| n.to = Some(user.email.clone()))
            .await?;
        tx.commit().await?;
        state.outside.wake();
        return Ok(Planned::Deleted);
    }
    let at = now + TimeDelta::try_days(days).unwrap_or(TimeDelta::days(14));
    // The password's row first: a password grant that is under way holds it, and is waited for (`signin::still_holds`).
    execute!(&mut tx, "UPDATE password_credentials SET phc = phc WHERE user_id = $1", user.id)?;
    let code: Option<CodeRow> = fetch_optional!(
        &mut tx,
        CodeRow,
        "UPDATE referral_codes SET status = 'deleted', deleted_at = $2 WHERE referrer_id = $1 AND status = 'active' \
         RETURNING id, referrer_id, code, status, created_at, expires_at, max_uses, uses",
        user.id,
        now
    )?;
    if let Some(code) = &code {
        queue(&mut tx, platform, code).await?;
    }
    let planned = execute!(
        &mut tx,
        "UPDATE users SET deletion_at = $2, resting_code_id = $3, updated_at = $4 WHERE id = $1 AND deletion_at IS NULL",
        user.id,
        at,
        code.map(|code| code.id),
        now
    )?;
    if planned == 0 {
        // In another tab, a moment ago. That day counts, and so does the code that rests since.
        drop(tx);
        let again = users::by_id(&mut platform.db.read().await?, user.id).await?;
        return Ok(again.and_then(|user| user.deletion_at).map_or(Planned::Deleted, Planned::For));
    }
    sessions::end_all_of(&mut tx, platform, user.id).await?;
    execute!(
        &mut tx,
        "UPDATE email_changes SET consumed_at = $2 WHERE user_id = $1 AND consumed_at IS NULL",
        user.id,
        now
    )?;
    audit::record(&mut tx, platform, "deletion.planned", Some(user.id), None, serde_json::json!({"at": at})).await?;
    notices::tell_with(&mut tx, platform, user, Notice::DeletionPlanned, |notice| notice.at = at).await?;
    tx.commit().await?;
    state.outside.wake();
    Ok(Planned::For(at))
}

/// The owner thought better of it. `false` when there is nothing to keep it from, or nothing left to keep.
pub async fn keep(state: &AppState, user_id: UserId) -> Result<bool, DbError> {
    let platform = &state.platform;
    let now = platform.clock.now();
    let mut tx = platform.db.begin().await?;
    let resting: Option<(Option<CodeId>,)> = fetch_optional!(
        &mut tx,
        (Option<CodeId>,),
        "UPDATE users SET deletion_at = NULL, updated_at = $2 WHERE id = $1 AND deletion_at > $2 \
         RETURNING resting_code_id",
        user_id,
        now
    )?;
    let Some((code,)) = resting else { return Ok(false) };
    if let Some(code) = code {
        execute!(
            &mut tx,
            "UPDATE referral_codes SET status = 'active', deleted_at = NULL \
             WHERE id = $1 AND referrer_id = $2 AND status = 'deleted' \
               AND NOT EXISTS (SELECT 1 FROM referral_codes o WHERE o.referrer_id = $2 AND o.status = 'active')",
            code,
            user_id
        )?;
        execute!(&mut tx, "UPDATE users SET resting_code_id = NULL WHERE id = $1", user_id)?;
        if let Some(code) = store::active_of(&mut tx, user_id).await? {
            // What the cache holds of it by now is that it was deleted.
            queue(&mut tx, platform, &code).await?;
        }
    }
    audit::record(&mut tx, platform, "deletion.cancelled", Some(user_id), None, serde_json::json!({})).await?;
    if let Some(user) = users::by_id(&mut tx, user_id).await? {
        notices::tell(&mut tx, platform, &user, Notice::AccountKept).await?;
    }
    tx.commit().await?;
    state.outside.wake();
    Ok(true)
}

/// Deletes the accounts whose day has come.
pub async fn sweep(platform: &Platform) -> Result<u64, DbError> {
    let mut total = 0;
    loop {
        let now = platform.clock.now();
        let mut tx = platform.db.begin().await?;
        let due: Vec<(UserId,)> = fetch_all!(
            &mut tx,
            (UserId,),
            "SELECT id FROM users WHERE deletion_at <= $1 ORDER BY deletion_at LIMIT $2",
            now,
            BATCH
        )?;
        let mut deleted = 0;
        for (id,) in &due {
            // Held, and looked at once more: several instances sweep, and it may have been kept at the last moment.
            let still = execute!(
                &mut tx,
                "UPDATE users SET deletion_at = deletion_at WHERE id = $1 AND deletion_at <= $2",
                id,
                now
            )?;
            if still == 0 {
                continue;
            }
            if let Some(user) = users::by_id(&mut tx, *id).await? {
                super::delete(&mut tx, platform, *id, "own wish").await?;
                notices::tell_with(&mut tx, platform, &user, Notice::AccountDeleted, |n| {
                    n.to = Some(user.email.clone())
                })
                .await?;
                deleted += 1;
            }
        }
        tx.commit().await?;
        total += deleted;
        if i64::try_from(due.len()).unwrap_or(0) < BATCH {
            return Ok(total);
        }
    }
}

#[cfg(test)]
#[path = "deletion_tests.rs"]
mod tests;
