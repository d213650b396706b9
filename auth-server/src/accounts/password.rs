//! The password of who is signed in: asked for before a change that matters ([`confirm`]), and changed.

use std::time::Duration;

use chrono::TimeDelta;
use shared::db::DbError;
use shared::email::Email;
use shared::ids::UserId;
use shared::limits::Limited;
use shared::outbox::Notice;
use shared::users::User;
use shared::{Platform, audit, execute, fetch_optional};

use super::{Fault, Unfit, check_new_password, check_password, email_change, factors, notices};
use crate::passwords::{PasswordError, RETRY_AFTER};
use crate::sessions::SignedIn;
use crate::{AppState, sessions};

const WHILE: Duration = Duration::from_secs(600);

/// Wrong passwords in a session's hands: who took over a browser is not to guess on.
const FAILURES: &str = "reauthentication-failures";
const FAILURES_IN_A_WHILE: u64 = 10;

/// How recent a sign-in must be where there is no password to ask for.
const RECENT: TimeDelta = TimeDelta::minutes(10);

/// Why a change is not made.
#[derive(Debug, thiserror::Error)]
pub enum PasswordFailure {
    #[error("the password is wrong")]
    Wrong,
    /// There is no password, and the sign-in is too old.
    #[error("signed in too long ago")]
    SignInAgain,
    /// This session was let in without the second factor that the account has.
    #[error("the second factor was not shown in this session")]
    SecondFactor,
    #[error("the new password is not accepted")]
    New(Fault),
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error("too many passwords wait to be verified; again in {0:?}")]
    Busy(Duration),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<Unfit> for PasswordFailure {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Fault(fault) => Self::New(fault),
            Unfit::Unknown(error) => error.into(),
        }
    }
}

impl From<PasswordError> for PasswordFailure {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy { retry_after } => Self::Busy(retry_after),
            PasswordError::TooLong => Self::New(Fault::PasswordLong),
            PasswordError::Stored => Self::Wrong,
            PasswordError::Broken => Self::Busy(RETRY_AFTER),
        }
    }
}

/// The account's password hash, if it has a password.
pub async fn phc_of(platform: &Platform, user: UserId) -> Result<Option<String>, DbError> {
    let mut conn = platform.db.read().await?;
    let row: Option<(String,)> =
        fetch_optional!(&mut conn, (String,), "SELECT phc FROM password_credentials WHERE user_id = $1", user)?;
    Ok(row.map(|(phc,)| phc))
}

/// Is it really them? By their password; where there is none, by a sign-in of the last minutes. Returns what the password
/// was verified against.
pub async fn confirm(
    state: &AppState,
    signed_in: &SignedIn,
    password: &str,
) -> Result<Option<String>, PasswordFailure> {
    let platform = &state.platform;
    if !factors::showed_all(&mut platform.db.read().await?, signed_in).await? {
        return Err(PasswordFailure::SecondFactor);
    }
    let Some(phc) = phc_of(platform, signed_in.user_id).await? else {
        let recent = platform.clock.now() - signed_in.auth_time <= RECENT;
        return if recent { Ok(None) } else { Err(PasswordFailure::SignInAgain) };
    };
    let (limits, who) = (&platform.limits, signed_in.user_id.0);
    limits.is_reached(FAILURES, who.as_bytes(), FAILURES_IN_A_WHILE).await?;
    if state.passwords.verify(Some(&phc), password).await? {
        // Of many guesses at once, those that end after the limit was reached are told nothing.
        limits.is_reached(FAILURES, who.as_bytes(), FAILURES_IN_A_WHILE).await?;
        return Ok(Some(phc));
    }
    let counted = limits.check(FAILURES, who.as_bytes(), FAILURES_IN_A_WHILE, WHILE).await;
    let mut tx = platform.db.begin().await?;
    let user = Some(signed_in.user_id);
    audit::record(&mut tx, platform, "reauthentication.failed", user, None, serde_json::json!({})).await?;
    tx.commit().await?;
    counted?;
    Err(PasswordFailure::Wrong)
}

/// Changes the password, or gives the account its first. Every other session ends, with all that was granted outside of
/// this one.
pub async fn change(
    state: &AppState,
    user: &User,
    signed_in: &SignedIn,
    current: &str,
    new: &str,
) -> Result<(), PasswordFailure> {
    let platform = &state.platform;
    let email = Email::parse(&user.email).ok();
    check_password(state, new, email.as_ref()).await?;
    let before = confirm(state, signed_in, current).await?;
    check_new_password(state, new, email.as_ref()).await?;
    let phc = state.passwords.hash(new).await?;
    let now = platform.clock.now();
    let mut tx = platform.db.begin().await?;
    // Only in place of the one that was verified: of two changes at once, the second has to know the first's password.
    let changed = match &before {
        Some(before) => execute!(
            &mut tx,
            "UPDATE password_credentials SET phc = $3, updated_at = $4 WHERE user_id = $1 AND phc = $2",
            user.id,
            before,
            &phc,
            now
        )?,
        None => execute!(
            &mut tx,
            "INSERT INTO password_credentials (user_id, phc, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id) DO NOTHING",
            user.id,
            &phc,
            now
        )?,
    };
    if changed == 0 {
        return Err(PasswordFailure::Wrong);
    }
    email_change::forget(&mut tx, platform, user.id).await?;
    factors::delete_unfinished(&mut tx, user.id).await?;
    // Chosen by who showed everything, it is of no mailbox's making.
    factors::mailed::allow_again(&mut tx, user.id).await?;
    // A link that was mailed before must not undo this.
    execute!(
        &mut tx,
        "UPDATE recovery_requests SET consumed_at = $2 WHERE user_id = $1 AND consumed_at IS NULL",
        user.id,
        now
    )?;
    sessions::end_others_of(&mut tx, platform, user.id, signed_in.sid).await?;
    audit::record(&mut tx, platform, "password.changed", Some(user.id), None, serde_json::json!({})).await?;
    notices::tell(&mut tx, platform, user, Notice::PasswordChanged).await?;
    tx.commit().await?;
    state.outside.wake();
    Ok(())
}

#[cfg(test)]
#[path = "password_tests.rs"]
mod tests;
