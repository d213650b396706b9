//! A change of the account's address, confirmed at both: the new one proves that it is theirs, and the one of now, if it
//! was ever proved, that they want it. Whoever holds a session and the password does not carry the account off, for the
//! mailbox of now can stop it.
//!
//! A confirmation counts in a browser that is signed in to the account: one careless click in a mailbox gives nobody's
//! address to somebody else's account. Stopping needs the link alone.
//!
//! Nobody learns whether an address has an account: everything goes its way as for a free one, and the owner of a taken
//! one is told in place of being asked.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use shared::db::{Conn, DbError, Tx};
use shared::email::Email;
use shared::ids::{EmailChangeId, UserId};
use shared::limits::Limited;
use shared::outbox::{self, Job, Notice, Side};
use shared::secret::PlainToken;
use shared::users::{self, User};
use shared::{Platform, audit, execute, fetch_optional};
use subtle::ConstantTimeEq;

use super::{notices, signup, typed_code};
use crate::sessions::SignedIn;
use crate::{AppState, sessions};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Changes that one account may ask for.
const CHANGES_PER_ACCOUNT_AND_DAY: u64 = 10;
/// Mails to one new mailbox, whichever accounts want it.
const MAILS_PER_MAILBOX_AND_HOUR: u64 = 3;

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Unknown, expired, used, stopped, or of an account whose address is another by now.
    #[error("the change waits no more")]
    Invalid,
    #[error("the code is wrong")]
    WrongCode,
    /// The browser is not signed in to the account.
    #[error("not signed in to the account")]
    NotTheirs,
    /// The new address got an account since it was confirmed.
    #[error("the address has an account")]
    Taken,
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A change that waits.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct EmailChange {
    pub id: EmailChangeId,
    pub user_id: UserId,
    pub old_email_key: String,
    pub new_email: String,
    pub new_email_key: String,
    pub old_confirmed_at: Option<DateTime<Utc>>,
    pub new_confirmed_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
}

/// What became of a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The other address has to confirm as well.
    Waiting,
    Changed,
}

fn purpose(side: Side) -> &'static str {
    match side {
        Side::Old => "email-change-old",
        Side::New => "email-change-new",
    }
}

/// Begins a change; one that waited is replaced. Who asks has been asked for their password.
pub async fn begin(state: &AppState, user: &User, new: &Email, locale: &str) -> Result<(), ChangeError> {
    let platform = &state.platform;
    let limits = &platform.limits;
    limits.check("email-change", user.id.0.as_bytes(), CHANGES_PER_ACCOUNT_AND_DAY, DAY).await?;
    let mailbox = Sha256::digest(new.canonical.as_bytes());
    let may_mail = limits.check("email-change-mail", &mailbox, MAILS_PER_MAILBOX_AND_HOUR, HOUR).await.is_ok();
    let now = platform.clock.now();
    let hours = i64::try_from(platform.config.accounts.verification_hours).unwrap_or(24);
    let id = EmailChangeId(platform.random.uuid_v4());
    let proved = user.email_verified_at.is_some();
    let mut tx = platform.db.begin().await?;
    forget(&mut tx, platform, user.id).await?;
    execute!(
        &mut tx,
        "INSERT INTO email_changes (id, user_id, old_email_key, new_email, new_email_key, old_confirmed_at, created_at, \
         expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        id,
        user.id,
        &user.email_key,
        &new.display,
        &new.key,
        if proved { None } else { Some(now) },
        now,
        now + TimeDelta::try_hours(hours).unwrap_or(TimeDelta::days(1))
    )?;
    let locale = user.locale.clone().unwrap_or_else(|| locale.to_owned());
    let mail = |side| Job::ConfirmEmailChange { email_change_id: id, side, locale: locale.clone() };
    if may_mail {
        outbox::enqueue(&mut tx, platform, &mail(Side::New)).await?;
    }
    // Also where it was never proved: whoever reads there may stop it.
    outbox::enqueue(&mut tx, platform, &mail(Side::Old)).await?;
    audit::record(&mut tx, platform, "email.change_asked", Some(user.id), None, serde_json::json!({})).await?;
    tx.commit().await?;
    state.outside.wake();
    Ok(())
}

/// No change waits for this account any more.
pub(super) async fn forget(tx: &mut Tx, platform: &Platform, user: UserId) -> Result<u64, DbError> {
    execute!(
        tx,
        "UPDATE email_changes SET consumed_at = $2 WHERE user_id = $1 AND consumed_at IS NULL",
        user,
        platform.clock.now()
    )
}

/// The owner gives it up.
pub async fn cancel(platform: &Platform, user: UserId) -> Result<(), DbError> {
    let mut tx = platform.db.begin().await?;
    if forget(&mut tx, platform, user).await? > 0 {
        audit::record(&mut tx, platform, "email.change_stopped", Some(user), None, serde_json::json!({"by": "owner"}))
            .await?;
    }
    tx.commit().await
}

/// What is mailed to one side.
pub struct Minted {
    pub to: String,
    /// Absent where the new address has an account.
    pub confirmation: Option<(PlainToken, String)>,
}

/// The secrets of one side, made when its mail is; the same each time. `None` when there is nothing to ask any more.
pub async fn mint(tx: &mut Tx, platform: &Platform, id: EmailChangeId, side: Side) -> Result<Option<Minted>, DbError> {
    let now = platform.clock.now();
    let purpose = purpose(side);
    let token = PlainToken::presented(URL_SAFE_NO_PAD.encode(platform.master_key.mac(purpose, id.0.as_bytes())));
    let code = typed_code::draw(platform, purpose, id.0);
    let Some(change) = by_id(tx, id, now).await? else { return Ok(None) };
    let Some(user) = users::by_id(tx, change.user_id).await? else { return Ok(None) };
    if user.email_key != change.old_email_key {
        return Ok(None);
    }
    if side == Side::New
        && let Some(owner) = users::by_email(tx, &change.new_email_key).await?
    {
        return Ok(Some(Minted { to: owner.email, confirmation: None }));
    }
    let mac = typed_code::mac(platform, purpose, id.0, &code);
    match side {
        Side::Old => execute!(
            tx,
            "UPDATE email_changes SET old_token_hash = $2, old_code_mac = $3 WHERE id = $1",
            id,
            token.hash(),
            mac
        )?,
        Side::New => execute!(
            tx,
            "UPDATE email_changes SET new_token_hash = $2, new_code_mac = $3 WHERE id = $1",
            id,
            token.hash(),
            mac
        )?,
    };
    let to = if side == Side::Old { user.email } else { change.new_email };
    Ok(Some(Minted { to, confirmation: Some((token, code)) }))
}

async fn by_id(conn: &mut Conn, id: EmailChangeId, now: DateTime<Utc>) -> Result<Option<EmailChange>, DbError> {
    fetch_optional!(
        conn,
        EmailChange,
        "SELECT id, user_id, old_email_key, new_email, new_email_key, old_confirmed_at, new_confirmed_at, expires_at \
         FROM email_changes WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2",
        id,
        now
    )
}

/// The change that waits for this account, if any.
pub async fn waiting(conn: &mut Conn, platform: &Platform, user: &User) -> Result<Option<EmailChange>, DbError> {
    fetch_optional!(
        conn,
        EmailChange,
        "SELECT id, user_id, old_email_key, new_email, new_email_key, old_confirmed_at, new_confirmed_at, expires_at \
         FROM email_changes WHERE user_id = $1 AND old_email_key = $2 AND consumed_at IS NULL AND expires_at > $3 \
         ORDER BY created_at DESC LIMIT 1",
        user.id,
        &user.email_key,
        platform.clock.now()
    )
}

/// What a link is about.
pub async fn look(
    conn: &mut Conn,
    platform: &Platform,
    token: &PlainToken,
) -> Result<Option<(EmailChange, Side)>, DbError> {
    let now = platform.clock.now();
    for side in [Side::Old, Side::New] {
        let sql = match side {
            Side::Old => "SELECT id FROM email_changes WHERE old_token_hash = $1",
            Side::New => "SELECT id FROM email_changes WHERE new_token_hash = $1",
        };
        let id: Option<(EmailChangeId,)> = fetch_optional!(conn, (EmailChangeId,), sql, token.hash())?;
        if let Some((id,)) = id {
            return Ok(by_id(conn, id, now).await?.map(|change| (change, side)));
        }
    }
    Ok(None)
}

/// Confirms by a link, in a browser that is signed in to the account.
pub async fn confirm_by_link(
    state: &AppState,
    token: &PlainToken,
    signed_in: Option<&SignedIn>,
) -> Result<Confirmed, ChangeError> {
    let platform = &state.platform;
    let mut conn = platform.db.read().await?;
    let (change, side) = look(&mut conn, platform, token).await?.ok_or(ChangeError::Invalid)?;
    drop(conn);
    let signed_in = signed_in.filter(|s| s.user_id == change.user_id).ok_or(ChangeError::NotTheirs)?;
    confirm(state, change.id, side, signed_in).await
}

/// Confirms by a code that was typed on the account's own page; it is either side's.
pub async fn confirm_by_code(state: &AppState, signed_in: &SignedIn, code: &str) -> Result<Confirmed, ChangeError> {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    type Macs = (EmailChangeId, Option<Vec<u8>>, Option<Vec<u8>>);
    // Counted before it is compared: of many who try at once, five for each address are answered.
    let row: Option<Macs> = fetch_optional!(
        &mut tx,
        Macs,
        "UPDATE email_changes SET tries = tries + 1 \
         WHERE user_id = $1 AND tries < $2 AND consumed_at IS NULL AND expires_at > $3 \
         RETURNING id, old_code_mac, new_code_mac",
        signed_in.user_id,
        typed_code::TRIES * 2,
        platform.clock.now()
    )?;
    tx.commit().await?;
    let (id, old, new) = row.ok_or(ChangeError::Invalid)?;
    for (side, expected) in [(Side::Old, old), (Side::New, new)] {
        let given = typed_code::mac(platform, purpose(side), id.0, code);
        if expected.is_some_and(|expected| bool::from(expected.ct_eq(&given))) {
            return confirm(state, id, side, signed_in).await;
        }
    }
    Err(ChangeError::WrongCode)
}

async fn confirm(
    state: &AppState,
    id: EmailChangeId,
    side: Side,
    signed_in: &SignedIn,
) -> Result<Confirmed, ChangeError> {
    let platform = &state.platform;
    match confirm_once(state, id, side, signed_in).await {
        // Somebody signed up with the address meanwhile, or the mail had not been made when they did.
        Err(ChangeError::Db(error)) if error.is_unique_violation() => {
            let mut tx = platform.db.begin().await?;
            forget(&mut tx, platform, signed_in.user_id).await?;
            tx.commit().await?;
            Err(ChangeError::Taken)
        }
        other => other,
    }
}

async fn confirm_once(
    state: &AppState,
    id: EmailChangeId,
    side: Side,
    signed_in: &SignedIn,
) -> Result<Confirmed, ChangeError> {
    let platform = &state.platform;
    let now = platform.clock.now();
    let mut tx = platform.db.begin().await?;
    // The session must last until the commit: one that was just ended, by the owner perhaps, confirms nothing.
    if !sessions::hold(&mut tx, platform, signed_in.sid).await? {
        return Err(ChangeError::NotTheirs);
    }
    let sql = match side {
        Side::Old => {
            "UPDATE email_changes SET old_confirmed_at = COALESCE(old_confirmed_at, $2) \
             WHERE id = $1 AND user_id = $3 AND consumed_at IS NULL AND expires_at > $2"
        }
        Side::New => {
            "UPDATE email_changes SET new_confirmed_at = COALESCE(new_confirmed_at, $2) \
             WHERE id = $1 AND user_id = $3 AND consumed_at IS NULL AND expires_at > $2"
        }
    };
    // The row is locked from here: of two confirmations at once, the second sees the first's.
    if execute!(&mut tx, sql, id, now, signed_in.user_id)? == 0 {
        return Err(ChangeError::Invalid);
    }
    let change = by_id(&mut tx, id, now).await?.ok_or(ChangeError::Invalid)?;
    let confirmed = match (change.old_confirmed_at, change.new_confirmed_at) {
        (Some(_), Some(_)) => {
            apply(&mut tx, platform, &change, signed_in).await?;
            Confirmed::Changed
        }
        _ => Confirmed::Waiting,
    };
    tx.commit().await?;
    state.outside.wake();
    Ok(confirmed)
}

async fn apply(
    tx: &mut Tx,
    platform: &Platform,
    change: &EmailChange,
    signed_in: &SignedIn,
) -> Result<(), ChangeError> {
    let now = platform.clock.now();
    let user = users::by_id(tx, change.user_id).await?.ok_or(ChangeError::Invalid)?;
    let new = Email::parse(&change.new_email).map_err(|_| ChangeError::Invalid)?;
    // The unique index has the last word on whose address it is.
    let changed = execute!(
        tx,
        "UPDATE users SET email = $3, email_key = $4, email_canonical = $5, email_verified_at = $6, updated_at = $6 \
         WHERE id = $1 AND email_key = $2",
        user.id,
        &change.old_email_key,
        &new.display,
        &new.key,
        &new.canonical,
        now
    )?;
    if changed == 0 {
        return Err(ChangeError::Invalid);
    }
    forget(tx, platform, user.id).await?;
    // What was mailed to the former address opens nothing any more, and what was found out about it is not about this one.
    execute!(
        tx,
        "UPDATE recovery_requests SET consumed_at = $2 WHERE user_id = $1 AND consumed_at IS NULL",
        user.id,
        now
    )?;
    execute!(tx, "DELETE FROM email_verifications WHERE user_id = $1", user.id)?;
    execute!(tx, "DELETE FROM email_checks WHERE user_id = $1", user.id)?;
    execute!(tx, "DELETE FROM enrichments WHERE user_id = $1", user.id)?;
    signup::ask_about_address(tx, platform, user.id).await?;
    signup::ask_who(tx, platform, user.id).await?;
    shared::referrals::life::mark_verified(tx, platform, user.id).await?;
    sessions::end_others_of(tx, platform, user.id, signed_in.sid).await?;
    audit::record(tx, platform, "email.changed", Some(user.id), None, serde_json::json!({})).await?;
    for to in [&user.email, &new.display] {
        notices::tell_with(tx, platform, &user, Notice::EmailChanged, |notice| notice.to = Some(to.clone())).await?;
    }
    Ok(())
}

/// Stops a change by either mail's link: whoever reads there did not want it.
pub async fn stop(state: &AppState, token: &PlainToken) -> Result<(), ChangeError> {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    let stopped: Option<(UserId,)> = fetch_optional!(
        &mut tx,
        (UserId,),
        "UPDATE email_changes SET consumed_at = $2 \
         WHERE (old_token_hash = $1 OR new_token_hash = $1) AND consumed_at IS NULL AND expires_at > $2 \
         RETURNING user_id",
        token.hash(),
        platform.clock.now()
    )?;
    let (user,) = stopped.ok_or(ChangeError::Invalid)?;
    audit::record(&mut tx, platform, "email.change_stopped", Some(user), None, serde_json::json!({"by": "link"}))
        .await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
#[path = "email_change_tests.rs"]
mod tests;
