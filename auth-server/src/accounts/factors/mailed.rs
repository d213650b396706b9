//! A code from the mailbox in place of the app's, for who has neither app nor recovery code at hand. Why it is off unless
//! an operator wants it, what it counts for and when it is refused: `docs/decisions/0014-mailed-codes-and-remembered-devices.md`.
//!
//! A code serves for the sign-in that asked for it, in the browser that did, beside a password and nothing else. Whether
//! one is mailed is decided when the mail is made: asking is the same work and the same answer for everybody.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::db::{Conn, DbError, Tx};
use shared::http::ClientIp;
use shared::ids::{MailedCodeId, UserId};
use shared::limits::Limited;
use shared::outbox::{self, Job, Notice};
use shared::secret::PlainToken;
use shared::users::{self, User};
use shared::{Platform, audit, execute, fetch_optional};
use subtle::ConstantTimeEq;

use super::unfinished::{self, LIFETIME, Unfinished};
use super::{DAY, QUARTER, TRIES, TRIES_PER_DAY};
use crate::AppState;
use crate::accounts::{notices, typed_code};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Mails for one account. Only who knows its password asks for any.
const MAILS_PER_HOUR: u64 = 3;
const MAILS_PER_DAY: u64 = 10;
/// To one mailbox, whatever accounts it has, by tags and dots.
const MAILS_PER_MAILBOX_AND_DAY: u64 = 20;

/// Distinguishes these codes from all others.
const PURPOSE: &str = "second-factor";

/// Why a code was not taken.
#[derive(Debug, thiserror::Error)]
pub enum MailedError {
    /// The sign-in is over, or is none that a mailed code serves for.
    #[error("no sign-in waits for a mailed code")]
    Gone,
    /// No code waits, or too many were tried: another mail has to be asked for.
    #[error("no mailed code waits")]
    NoneWaits,
    #[error("the code is wrong")]
    Wrong,
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// May a code be mailed for this sign-in at all? Beside a password only: who comes from another provider may have got in
/// there by the same mailbox.
pub fn may_be_asked_for(platform: &Platform, begun: &Unfinished) -> bool {
    platform.config.factors.mailed_code && begun.phc_digest.is_some()
}

/// Asks for a mail. The answer is the same whether one is sent or not.
///
/// # Errors
/// When the sign-in is over, or too many were asked for.
pub async fn ask(state: &AppState, key: &PlainToken, locale: &str, ip: &ClientIp) -> Result<(), MailedError> {
    let platform = &state.platform;
    let limits = &platform.limits;
    limits.check("mailed-code-address", &ip.bucket(), platform.config.limits.signins_per_minute, MINUTE).await?;
    let (begun, user) = {
        let mut conn = platform.db.read().await?;
        let begun = unfinished::look(&mut conn, platform, key).await?.ok_or(MailedError::Gone)?;
        let user = users::by_id(&mut conn, begun.user_id).await?.ok_or(MailedError::Gone)?;
        (begun, user)
    };
    if !may_be_asked_for(platform, &begun) {
        return Err(MailedError::Gone);
    }
    let (account, mailbox) = (user.id.0, Sha256::digest(user.email_canonical.as_bytes()));
    limits.check("mailed-code-mail", account.as_bytes(), MAILS_PER_HOUR, HOUR).await?;
    limits.check("mailed-code-mail-day", account.as_bytes(), MAILS_PER_DAY, DAY).await?;
    limits.check("mailed-code-mailbox", &mailbox, MAILS_PER_MAILBOX_AND_DAY, DAY).await?;
    let now = platform.clock.now();
    let id = MailedCodeId(platform.random.uuid_v4());
    let mut tx = platform.db.begin().await?;
    // A mail takes a minute: the sign-in waits anew from here.
    let waits = execute!(
        &mut tx,
        "UPDATE unfinished_signins SET expires_at = $2 WHERE key_hash = $1 AND consumed_at IS NULL AND expires_at > $3",
        key.hash(),
        now + LIFETIME,
        now
    )?;
    if waits == 0 {
        return Err(MailedError::Gone);
    }
    execute!(
        &mut tx,
        "UPDATE mailed_codes SET consumed_at = $2 WHERE signin_hash = $1 AND consumed_at IS NULL",
        key.hash(),
        now
    )?;
    execute!(
        &mut tx,
        "INSERT INTO mailed_codes (id, user_id, signin_hash, email_key, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        id,
        user.id,
        key.hash(),
        &user.email_key,
        now,
        now + LIFETIME
    )?;
    let locale = user.locale.unwrap_or_else(|| locale.to_owned());
    outbox::enqueue(&mut tx, platform, &Job::MailCode { mailed_code_id: id, locale }).await?;
    audit::record(&mut tx, platform, "factor.code_mail_asked", Some(user.id), None, json!({})).await?;
    tx.commit().await?;
    state.outside.wake();
    Ok(())
}

/// Has this sign-in asked for a mail, whose code it may still show?
pub async fn was_asked(conn: &mut Conn, platform: &Platform, key: &PlainToken) -> Result<bool, DbError> {
    let row: Option<(MailedCodeId,)> = fetch_optional!(
        conn,
        (MailedCodeId,),
        "SELECT id FROM mailed_codes WHERE signin_hash = $1 AND consumed_at IS NULL AND expires_at > $2 AND tries < $3",
        key.hash(),
        platform.clock.now(),
        typed_code::TRIES
    )?;
    Ok(row.is_some())
}

/// Whose mailbox may stand in for the app: an address that is proved and still the account's, and no password that was
/// replaced by a mail to it since a code of the app was last shown. Who reads the mailbox would else have both.
async fn entitled(conn: &mut Conn, user: UserId, email_key: &str) -> Result<Option<User>, DbError> {
    let refused: Option<(Option<DateTime<Utc>>,)> = fetch_optional!(
        conn,
        (Option<DateTime<Utc>>,),
        "SELECT mail_refused_at FROM totp_secrets WHERE user_id = $1",
        user
    )?;
    // Without an app nothing is stood in for.
    if !matches!(refused, Some((None,))) {
        return Ok(None);
    }
    let user = users::by_id(conn, user).await?;
    Ok(user.filter(|user| user.email_key == email_key && user.email_verified_at.is_some()))
}

/// The code and where it goes, made when its mail is; the same each time. `None` when nothing is to be mailed.
pub async fn mint(tx: &mut Tx, platform: &Platform, id: MailedCodeId) -> Result<Option<(String, String)>, DbError> {
    let waiting: Option<(UserId, String)> = fetch_optional!(
        tx,
        (UserId, String),
        "SELECT user_id, email_key FROM mailed_codes WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2",
        id,
        platform.clock.now()
    )?;
    let Some((user_id, email_key)) = waiting else { return Ok(None) };
    let Some(user) = entitled(tx, user_id, &email_key).await? else { return Ok(None) };
    let code = typed_code::draw(platform, PURPOSE, id.0);
    execute!(
        tx,
        "UPDATE mailed_codes SET code_mac = $2 WHERE id = $1",
        id,
        typed_code::mac(platform, PURPOSE, id.0, &code)
    )?;
    Ok(Some((user.email, code)))
}

/// Is `typed` the code that was mailed for this sign-in? Then both are used up.
///
/// # Errors
/// What to tell the person. A code that was never mailed is answered like one that was missed.
pub async fn use_up(platform: &Platform, key: &PlainToken, typed: &str) -> Result<Unfinished, MailedError> {
    let begun = {
        let mut conn = platform.db.read().await?;
        unfinished::look(&mut conn, platform, key).await?
    };
    let begun = begun.filter(|begun| may_be_asked_for(platform, begun)).ok_or(MailedError::Gone)?;
    let (limits, who) = (&platform.limits, begun.user_id.0);
    limits.check("mailed-code", who.as_bytes(), TRIES, QUARTER).await?;
    limits.check("mailed-code-day", who.as_bytes(), TRIES_PER_DAY, DAY).await?;
    let mut tx = platform.db.begin().await?;
    // Counted before it is compared: of many who try at once, five are answered.
    let row: Option<(MailedCodeId, String, Option<Vec<u8>>)> = fetch_optional!(
        &mut tx,
        (MailedCodeId, String, Option<Vec<u8>>),
        "UPDATE mailed_codes SET tries = tries + 1 \
         WHERE signin_hash = $1 AND user_id = $2 AND tries < $3 AND consumed_at IS NULL AND expires_at > $4 \
         RETURNING id, email_key, code_mac",
        key.hash(),
        begun.user_id,
        typed_code::TRIES,
        platform.clock.now()
    )?;
    tx.commit().await?;
    let (id, email_key, expected) = row.ok_or(MailedError::NoneWaits)?;
    let given = typed_code::mac(platform, PURPOSE, id.0, typed);
    let right = expected.is_some_and(|expected| bool::from(expected.ct_eq(&given)));
    let mut tx = platform.db.begin().await?;
    if !right {
        let details = json!({"via": "mail"});
        audit::record(&mut tx, platform, "signin.second_factor_failed", Some(begun.user_id), None, details).await?;
        tx.commit().await?;
        return Err(MailedError::Wrong);
    }
    // The sign-in first, as where another mail is asked for: of two at once, neither waits for what the other holds.
    if !unfinished::consume(&mut tx, platform, key).await? {
        return Err(MailedError::Gone);
    }
    let used = execute!(
        &mut tx,
        "UPDATE mailed_codes SET consumed_at = $2 WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2",
        id,
        platform.clock.now()
    )?;
    // The password may have been replaced, or the address changed, since the mail was made.
    let user = entitled(&mut tx, begun.user_id, &email_key).await?;
    let (Some(user), 1) = (user, used) else { return Err(MailedError::Gone) };
    audit::record(&mut tx, platform, "factor.mailed_code_used", Some(user.id), None, json!({})).await?;
    notices::tell(&mut tx, platform, &user, Notice::MailedCodeUsed).await?;
    tx.commit().await?;
    Ok(begun)
}

/// A forgotten password was replaced by mail: until a code of the app is shown beside it, none is mailed.
pub async fn refuse_from_now(tx: &mut Tx, platform: &Platform, user: UserId) -> Result<(), DbError> {
    execute!(tx, "UPDATE totp_secrets SET mail_refused_at = $2 WHERE user_id = $1", user, platform.clock.now())?;
    execute!(tx, "DELETE FROM mailed_codes WHERE user_id = $1", user)?;
    Ok(())
}

/// A factor was shown that the mailbox does not give, beside the password of now; or by its means that password was
/// replaced. One alone does not do: whoever replaced the password by a mail would gain from what its owner shows.
pub async fn allow_again(tx: &mut Tx, user: UserId) -> Result<(), DbError> {
    let shown = "UPDATE totp_secrets SET mail_refused_at = NULL WHERE user_id = $1 AND mail_refused_at IS NOT NULL";
    execute!(tx, shown, user)?;
    Ok(())
}

#[cfg(test)]
#[path = "mailed_tests.rs"]
mod tests;
