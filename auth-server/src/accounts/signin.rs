//! Signing in with a password: one answer, after one amount of work, for a wrong password and for an account that does
//! not exist.

use std::time::Duration;

use sha2::{Digest, Sha256};
use shared::db::{Conn, DbError, Tx};
use shared::email::Email;
use shared::http::ClientIp;
use shared::ids::UserId;
use shared::limits::Limited;
use shared::users::{self, User};
use shared::{Platform, audit, execute, fetch_optional};
use subtle::ConstantTimeEq;

use super::factors::has_second;
use super::known::Known;
use super::throttle::Throttle;
use crate::AppState;
use crate::passwords::PasswordError;

const MINUTE: Duration = Duration::from_secs(60);

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such account, or not its password. Callers must not try to tell them apart.
    #[error("the address or the password is wrong")]
    Refused,
    #[error("too many attempts; again in {0:?}")]
    Limited(Duration),
    #[error("too many passwords wait to be verified; again in {0:?}")]
    Busy(Duration),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<Limited> for SignInError {
    fn from(limited: Limited) -> Self {
        Self::Limited(limited.retry_after)
    }
}

/// Where a password comes from.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub ip: &'a ClientIp,
    /// The browser; programs have none.
    pub known: Option<&'a Known>,
}

/// The same without a browser: a stranger's mistakes may make the owner wait there. See [`authenticate_in`].
///
/// # Errors
/// As there.
pub async fn authenticate(
    state: &AppState,
    email: &str,
    password: &str,
    ip: &ClientIp,
    via: &'static str,
) -> Result<Verified, SignInError> {
    authenticate_in(state, email, password, Caller { ip, known: None }, via).await
}

/// The same from a browser that may have signed in to the account before.
///
/// # Errors
/// As [`authenticate`]; a wait after failures ([`Throttle`]).
pub async fn authenticate_in(
    state: &AppState,
    email: &str,
    password: &str,
    caller: Caller<'_>,
    via: &'static str,
) -> Result<Verified, SignInError> {
    verified(state, email, password, caller, via, false).await
}

/// The same where nothing but the password can be shown: it is wrong, with all that follows, for an account that asks for
/// a second factor. A different answer would tell whoever guesses that they guessed right.
pub async fn authenticate_alone(
    state: &AppState,
    email: &str,
    password: &str,
    ip: &ClientIp,
    via: &'static str,
) -> Result<Verified, SignInError> {
    verified(state, email, password, Caller { ip, known: None }, via, true).await
}

async fn verified(
    state: &AppState,
    email: &str,
    password: &str,
    Caller { ip, known }: Caller<'_>,
    via: &'static str,
    alone: bool,
) -> Result<Verified, SignInError> {
    let platform = &state.platform;
    let limits = &platform.config.limits;
    platform.limits.check("signin", &ip.bucket(), limits.signins_per_minute, MINUTE).await?;

    let email_key = Email::parse(email).map(|email| email.key).ok();
    // Counted by what was typed, so that accounts that don't exist run into the same limit.
    let account = Sha256::digest(email_key.as_deref().unwrap_or_else(|| email.trim()).as_bytes());
    let mut conn = platform.db.read().await?;
    let found = match &email_key {
        Some(key) => credentials(&mut conn, key).await?,
        // The same look-up, which finds nothing.
        None => credentials(&mut conn, "").await?,
    };
    // Looked at whoever was found: what takes how long tells nobody.
    let still = match known {
        Some(known) => known.still(&mut conn).await?,
        None => vec![],
    };
    let known = known.filter(|_| found.as_ref().is_some_and(|(user, _)| still.contains(&user.id)));
    let nobody = UserId(uuid::Uuid::nil());
    let enough = !(alone && has_second(&mut conn, found.as_ref().map_or(nobody, |(user, _)| user.id)).await?);
    drop(conn);
    let throttle = Throttle::new(platform, &account, found.as_ref().map(|(user, _)| user.id), known, ip);
    throttle.look().await?;
    let phc = found.as_ref().map(|(_, phc)| phc.as_str());
    let right = match state.passwords.verify(phc, password).await {
        Ok(right) => right && enough,
        Err(PasswordError::Busy { retry_after }) => return Err(SignInError::Busy(retry_after)),
        Err(error) => {
            tracing::error!(%error, user = ?found.as_ref().map(|(user, _)| user.id), "a sign-in is refused");
            false
        }
    };
    // Of many guesses at once, those that end after the limit was reached are told nothing, not even if they are right.
    let told = match right {
        true => throttle.look().await,
        false => throttle.failed().await,
    };
    let user = found.as_ref().map(|(user, _)| user.id);
    let Some((user, phc)) = found.filter(|_| right && told.is_ok()) else {
        let mut tx = platform.db.begin().await?;
        audit::record(&mut tx, platform, "signin.failed", user, None, serde_json::json!({"via": via})).await?;
        tx.commit().await?;
        told?;
        return Err(SignInError::Refused);
    };

    throttle.succeeded().await;
    let rehashed = if state.passwords.needs_rehash(&phc) { state.passwords.hash(password).await.ok() } else { None };
    Ok(Verified { user, phc, rehashed, via })
}

/// Who knew a password, until [`still_holds`] says otherwise.
#[derive(Debug)]
pub struct Verified {
    user: User,
    /// What the password was verified against.
    phc: String,
    /// The same password at today's cost.
    rehashed: Option<String>,
    via: &'static str,
}

impl std::ops::Deref for Verified {
    type Target = User;

    fn deref(&self) -> &User {
        &self.user
    }
}

/// Leaves a sign-in for its second factor: what is kept of the password that was verified, for [`take_up`]. A hash of
/// former cost is renewed now, while the password is at hand. `None` when the password was changed meanwhile.
pub async fn set_aside(tx: &mut Tx, platform: &Platform, verified: &Verified) -> Result<Option<Vec<u8>>, DbError> {
    let Verified { user, phc, rehashed, .. } = verified;
    let Some(rehashed) = rehashed else { return Ok(Some(Sha256::digest(phc).to_vec())) };
    let renewed = execute!(
        tx,
        "UPDATE password_credentials SET phc = $3, updated_at = $4 WHERE user_id = $1 AND phc = $2",
        user.id,
        phc,
        rehashed,
        platform.clock.now()
    )?;
    Ok((renewed == 1).then(|| Sha256::digest(rehashed).to_vec()))
}

/// Takes a sign-in up again that was [`set_aside`]. `None` when the password is another by now.
pub async fn take_up(conn: &mut Conn, user_id: UserId, digest: &[u8]) -> Result<Option<Verified>, DbError> {
    let row: Option<(String,)> =
        fetch_optional!(conn, (String,), "SELECT phc FROM password_credentials WHERE user_id = $1", user_id)?;
    let Some((phc,)) = row.filter(|(phc,)| bool::from(Sha256::digest(phc).as_slice().ct_eq(digest))) else {
        return Ok(None);
    };
    let user = users::by_id(conn, user_id).await?;
    Ok(user.map(|user| Verified { user, phc, rehashed: None, via: "login" }))
}

/// Is the password that was verified still the account's? If so, the sign-in is written down. Asked once the session or
/// grant that came of it is written: an account that is handed over at the same moment either ends what is written by
/// then, or is noticed here. The UPDATE waits for a hand-over that holds the row, and renews a hash of former cost.
pub async fn still_holds(tx: &mut Tx, platform: &Platform, verified: &Verified) -> Result<bool, DbError> {
    let Verified { user, phc, rehashed, via } = verified;
    // Only if it is still the one that was verified: a password changed meanwhile stays changed.
    let same = match rehashed {
        None => {
            execute!(tx, "UPDATE password_credentials SET phc = phc WHERE user_id = $1 AND phc = $2", user.id, phc)?
        }
        Some(rehashed) => execute!(
            tx,
            "UPDATE password_credentials SET phc = $3, updated_at = $4 WHERE user_id = $1 AND phc = $2",
            user.id,
            phc,
            rehashed,
            platform.clock.now()
        )?,
    };
    // A deletion that was planned at the same moment waited for this row, or was waited for: nothing is left behind.
    // A sign-in leads to the question whether to keep it, and grants nothing by itself.
    if *via == "password_grant" && users::by_id(tx, user.id).await?.is_none_or(|user| user.deletion_at.is_some()) {
        return Ok(false);
    }
    if same == 1 {
        audit::record(tx, platform, "signin.succeeded", Some(user.id), None, serde_json::json!({"via": via})).await?;
    }
    Ok(same == 1)
}

async fn credentials(conn: &mut Conn, email_key: &str) -> Result<Option<(User, String)>, DbError> {
    let row: Option<(UserId, String)> = fetch_optional!(
        conn,
        (UserId, String),
        "SELECT u.id, c.phc FROM users u JOIN password_credentials c ON c.user_id = u.id WHERE u.email_key = $1",
        email_key
    )?;
    match row {
        Some((id, phc)) => Ok(users::by_id(conn, id).await?.map(|user| (user, phc))),
        None => {
            users::by_id(conn, UserId(uuid::Uuid::nil())).await?;
            Ok(None)
        }
    }
}

#[cfg(test)]
#[path = "signin_tests.rs"]
mod tests;
