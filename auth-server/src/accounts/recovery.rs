//! A forgotten password: a link and a code are mailed, and either sets a new one.
//!
//! Whoever asks learns nothing: the answer is the same, after the same work, whether the address has an account or not.
//! An address without one is mailed nothing, so that nobody uses us to write to strangers. Who reads the mailbox owns
//! the account from then on: everything that was signed in or granted before ends, and the address counts as proved.
//!
//! What else opens the account, or is asked for beside the password, stays as it was where the address had been proved: a
//! mailbox must not be enough to take a second factor off. The mail about the new password says what there is. Where it had
//! not been proved, all that goes: it is of whoever typed a stranger's address.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use shared::db::{Conn, DbError, Tx};
use shared::email::Email;
use shared::http::ClientIp;
use shared::ids::{PendingSignupId, RecoveryId, UserId};
use shared::limits::Limited;
use shared::outbox::{self, Job, Notice};
use shared::referrals::life;
use shared::secret::PlainToken;
use shared::users::{self, User};
use shared::{Platform, audit, execute, fetch_optional};
use subtle::ConstantTimeEq;

use super::{
    Fault, Unfit, check_new_password, check_password, email_change, factors, notices, signup, typed_code, upstream,
};
use crate::passwords::PasswordError;
use crate::{AppState, sessions};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Mails to one address: nobody's mailbox is filled by others who forget. Counted by the address as it is compared, not by
/// the mailbox: with tags and dots that have no account, a stranger would use up what its owner may ask for.
const MAILS_PER_MAILBOX_AND_HOUR: u64 = 3;
const MAILS_PER_MAILBOX_AND_DAY: u64 = 10;
/// Others must not use up the owner's either: beyond those of the day, one still leaves in each of these whiles.
const DRIP: Duration = Duration::from_secs(7200);

/// Distinguishes these codes and links from all others.
const PURPOSE: &str = "recovery";

/// Why there is no new password. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// Unknown, expired, used, or of an address that the account no longer has.
    #[error("the link or the request does not work")]
    Invalid,
    /// Not the code, or one too many were tried.
    #[error("the code is wrong")]
    WrongCode,
    #[error("the new password is not accepted")]
    Password(Fault),
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error("too many passwords wait to be hashed; again in {0:?}")]
    Busy(Duration),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<Unfit> for ResetError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Fault(fault) => Self::Password(fault),
            Unfit::Unknown(error) => error.into(),
        }
    }
}

impl From<PasswordError> for ResetError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy { retry_after } => Self::Busy(retry_after),
            PasswordError::TooLong => Self::Password(Fault::PasswordLong),
            PasswordError::Stored | PasswordError::Broken => Self::Busy(MINUTE),
        }
    }
}

/// The limit on mails to unproved addresses that are one mailbox: of those, anybody can open as many as there are tags.
const MAILBOX: &str = "recovery-mail-mailbox";

/// Somebody forgot the password of `email`. What they get is the name of the request, whatever came of it.
///
/// # Errors
/// The limit by the asker's own address, and the store: neither tells of the account.
pub async fn ask(state: &AppState, email: &Email, locale: &str, ip: &ClientIp) -> Result<RecoveryId, ResetError> {
    let platform = &state.platform;
    platform.limits.check("recovery", &ip.bucket(), platform.config.limits.signins_per_minute, MINUTE).await?;
    let may_mail = may_mail(platform, email).await;
    let mailbox = Sha256::digest(email.canonical.as_bytes()).to_vec();
    let full = platform.limits.is_reached(MAILBOX, &mailbox, MAILS_PER_MAILBOX_AND_DAY).await.is_err();
    let now = platform.clock.now();
    let id = RecoveryId(platform.random.uuid_v4());
    let mut tx = platform.db.begin().await?;
    let owner = users::by_email(&mut tx, &email.key).await?;
    let waiting: Option<(PendingSignupId,)> = fetch_optional!(
        &mut tx,
        (PendingSignupId,),
        "SELECT id FROM pending_signups WHERE email_key = $1 AND consumed_at IS NULL AND expires_at > $2 \
         ORDER BY created_at DESC LIMIT 1",
        &email.key,
        now
    )?;
    execute!(
        &mut tx,
        "INSERT INTO recovery_requests (id, user_id, email_key, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        id,
        owner.as_ref().map(|owner| owner.id),
        &email.key,
        now,
        now + minutes(platform)
    )?;
    // Where nobody has shown that they read mail there, all ways to write one address count together.
    let proved = owner.as_ref().is_some_and(|owner| owner.email_verified_at.is_some());
    let may_mail = may_mail && (proved || !full);
    let someone = owner.is_some() || waiting.is_some();
    let locale = owner.as_ref().and_then(|owner| owner.locale.clone()).unwrap_or_else(|| locale.to_owned());
    let reset = Job::ResetPassword { recovery_id: id, locale: locale.clone() };
    match (owner, waiting) {
        (Some(_), _) if may_mail => outbox::enqueue(&mut tx, platform, &reset).await?,
        // What they forgot is to confirm: the mail of the sign-up, once more.
        (None, Some((pending_signup_id,))) if may_mail => {
            outbox::enqueue(&mut tx, platform, &Job::ConfirmSignup { pending_signup_id, locale }).await?;
        }
        _ => outbox::enqueue_nothing(&mut tx, platform, &reset, None).await?,
    }
    tx.commit().await?;
    state.outside.wake();
    // Something is counted whatever came of it: what took how long tells nobody.
    let counted = if may_mail && someone && !proved { mailbox } else { id.0.into_bytes().to_vec() };
    let _ = platform.limits.check(MAILBOX, &counted, MAILS_PER_MAILBOX_AND_DAY, DAY).await;
    Ok(id)
}

fn minutes(platform: &Platform) -> TimeDelta {
    let minutes = i64::try_from(platform.config.accounts.recovery_minutes).unwrap_or(30);
    TimeDelta::try_minutes(minutes).unwrap_or(TimeDelta::minutes(30))
}

/// Counted by what was typed, so that addresses without an account run into the same limits.
async fn may_mail(platform: &Platform, email: &Email) -> bool {
    let limits = &platform.limits;
    let key = Sha256::digest(email.key.as_bytes());
    let hour = limits.check("recovery-mail", &key, MAILS_PER_MAILBOX_AND_HOUR, HOUR).await.is_ok();
    let day = limits.check("recovery-mail-day", &key, MAILS_PER_MAILBOX_AND_DAY, DAY).await.is_ok();
    (hour && day) || limits.check("recovery-mail-drip", &key, 1, DRIP).await.is_ok()
}

/// What is mailed for a request.
pub struct Minted {
    pub email: String,
    pub token: PlainToken,
    pub code: String,
}

/// The secrets of a request, made when its mail is. The same each time, so that a mail sent twice (the first answer was
/// lost) works both times. `None` when there is nothing to mail any more.
pub async fn mint(tx: &mut Tx, platform: &Platform, id: RecoveryId) -> Result<Option<Minted>, DbError> {
    let token = URL_SAFE_NO_PAD.encode(platform.master_key.mac("recovery-link", id.0.as_bytes()));
    let (token, code) = (PlainToken::presented(token), typed_code::draw(platform, PURPOSE, id.0));
    let user: Option<(UserId, String)> = fetch_optional!(
        tx,
        (UserId, String),
        "UPDATE recovery_requests SET token_hash = $2, code_mac = $3 \
         WHERE id = $1 AND user_id IS NOT NULL AND consumed_at IS NULL AND expires_at > $4 RETURNING user_id, email_key",
        id,
        token.hash(),
        typed_code::mac(platform, PURPOSE, id.0, &code),
        platform.clock.now()
    )?;
    let Some((user_id, email_key)) = user else { return Ok(None) };
    let user = users::by_id(tx, user_id).await?.filter(|user| user.email_key == email_key);
    Ok(user.map(|user| Minted { email: user.email, token, code }))
}

/// Whose password a link sets, told before anything is done.
pub async fn look(conn: &mut Conn, platform: &Platform, token: &PlainToken) -> Result<Option<User>, DbError> {
    let row: Option<(UserId,)> = fetch_optional!(
        conn,
        (UserId,),
        "SELECT u.id FROM recovery_requests r JOIN users u ON u.id = r.user_id AND u.email_key = r.email_key \
         WHERE r.token_hash = $1 AND r.consumed_at IS NULL AND r.expires_at > $2",
        token.hash(),
        platform.clock.now()
    )?;
    match row {
        Some((id,)) => users::by_id(conn, id).await,
        None => Ok(None),
    }
}

/// What somebody shows to set a new password.
pub enum Proof {
    Link(PlainToken),
    /// The code, in the browser that asked.
    Code {
        id: RecoveryId,
        code: String,
    },
}

/// Sets a new password, once. Returns whose.
pub async fn reset(state: &AppState, proof: &Proof, password: &str, ip: &ClientIp) -> Result<User, ResetError> {
    let platform = &state.platform;
    platform.limits.check("reset", &ip.bucket(), platform.config.limits.signins_per_minute, MINUTE).await?;
    // First what can be said without using up a try. The address is not known yet to who types a code.
    check_password(state, password, None).await?;
    let id = match proof {
        Proof::Link(token) => by_link(platform, token).await?,
        Proof::Code { id, code } => {
            try_code(platform, *id, code).await?;
            *id
        }
    };
    let email = email_of(platform, id).await?;
    check_new_password(state, password, email.as_ref()).await?;
    let phc = state.passwords.hash(password).await?;
    let mut tx = platform.db.begin().await?;
    let user = consume(&mut tx, platform, id, &phc).await?;
    tx.commit().await?;
    state.outside.wake();
    Ok(user)
}

async fn email_of(platform: &Platform, id: RecoveryId) -> Result<Option<Email>, DbError> {
    let mut conn = platform.db.read().await?;
    let row: Option<(String,)> =
        fetch_optional!(&mut conn, (String,), "SELECT email_key FROM recovery_requests WHERE id = $1", id)?;
    Ok(row.and_then(|(email_key,)| Email::parse(&email_key).ok()))
}

async fn by_link(platform: &Platform, token: &PlainToken) -> Result<RecoveryId, ResetError> {
    let mut conn = platform.db.read().await?;
    look(&mut conn, platform, token).await?.ok_or(ResetError::Invalid)?;
    let row: Option<(RecoveryId,)> = fetch_optional!(
        &mut conn,
        (RecoveryId,),
        "SELECT id FROM recovery_requests WHERE token_hash = $1",
        token.hash()
    )?;
    row.map(|(id,)| id).ok_or(ResetError::Invalid)
}

/// Is it the code of this request? Counted before it is compared: of many who try at once, five are answered. A request
/// that was never mailed, or that served by now, is answered as one whose code was missed: else whoever asked in somebody's
/// name would see that there is an account, and its owner at work. Who knows the code may hear that it is over.
async fn try_code(platform: &Platform, id: RecoveryId, code: &str) -> Result<(), ResetError> {
    let mut tx = platform.db.begin().await?;
    type Row = (Option<Vec<u8>>, Option<DateTime<Utc>>);
    let row: Option<Row> = fetch_optional!(
        &mut tx,
        Row,
        "UPDATE recovery_requests SET tries = tries + 1 \
         WHERE id = $1 AND tries < $2 AND expires_at > $3 RETURNING code_mac, consumed_at",
        id,
        typed_code::TRIES,
        platform.clock.now()
    )?;
    tx.commit().await?;
    let (expected, consumed_at) = row.ok_or(ResetError::Invalid)?;
    let given = typed_code::mac(platform, PURPOSE, id.0, code);
    if !expected.is_some_and(|expected| bool::from(expected.ct_eq(&given))) {
        return Err(ResetError::WrongCode);
    }
    if consumed_at.is_some() { Err(ResetError::Invalid) } else { Ok(()) }
}

async fn consume(tx: &mut Tx, platform: &Platform, id: RecoveryId, phc: &str) -> Result<User, ResetError> {
    let now = platform.clock.now();
    let used: Option<(Option<UserId>, String)> = fetch_optional!(
        tx,
        (Option<UserId>, String),
        "UPDATE recovery_requests SET consumed_at = $2 WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2 \
         RETURNING user_id, email_key",
        id,
        now
    )?;
    let (user_id, email_key) = used.ok_or(ResetError::Invalid)?;
    // Locks the row: a change of the address at the same moment is over before this, or comes after.
    let held: Option<(UserId, Option<DateTime<Utc>>)> = fetch_optional!(
        tx,
        (UserId, Option<DateTime<Utc>>),
        "UPDATE users SET updated_at = $3 WHERE id = $1 AND email_key = $2 RETURNING id, email_verified_at",
        user_id,
        &email_key,
        now
    )?;
    let (user_id, proved_before) = held.ok_or(ResetError::Invalid)?;
    set_password(tx, user_id, phc, now).await?;
    // After the password: a sign-in with the old one that is under way either is there by now, and ends here, or finds
    // the password changed (`signin::still_holds`).
    sessions::end_all_of(tx, platform, user_id).await?;
    if proved_before.is_none() {
        // Nor was it theirs to have the account deleted.
        let sql = "UPDATE users SET email_verified_at = $2, deletion_at = NULL, resting_code_id = NULL WHERE id = $1";
        execute!(tx, sql, user_id, now)?;
        // Whoever opened the account never proved the address. What they allowed is not for its owner to answer for, and
        // no way in of theirs is left.
        factors::delete_all(tx, user_id).await?;
        upstream::delete_all(tx, user_id).await?;
        execute!(tx, "DELETE FROM consents WHERE user_id = $1", user_id)?;
        execute!(tx, "DELETE FROM terms_agreements WHERE user_id = $1", user_id)?;
        life::taken_over(tx, platform, user_id).await?;
        signup::ask_who(tx, platform, user_id).await?;
    }
    life::mark_verified(tx, platform, user_id).await?;
    // What else was under way may be of who had to be kept out.
    execute!(tx, "DELETE FROM email_verifications WHERE user_id = $1", user_id)?;
    execute!(
        tx,
        "UPDATE recovery_requests SET consumed_at = $2 WHERE user_id = $1 AND consumed_at IS NULL",
        user_id,
        now
    )?;
    email_change::forget(tx, platform, user_id).await?;
    factors::delete_unfinished(tx, user_id).await?;
    // Who has both the password and a code by one mailbox has shown one thing twice.
    factors::mailed::refuse_from_now(tx, platform, user_id).await?;
    audit::record(tx, platform, "password.reset", Some(user_id), None, serde_json::json!({})).await?;
    let user = users::by_id(tx, user_id).await?.ok_or(ResetError::Invalid)?;
    notices::tell(tx, platform, &user, Notice::PasswordReset).await?;
    Ok(user)
}

async fn set_password(tx: &mut Tx, user_id: UserId, phc: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO password_credentials (user_id, phc, updated_at) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id) DO UPDATE SET phc = $2, updated_at = $3",
        user_id,
        phc,
        now
    )?;
    Ok(())
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
