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

use crate::AppState;
use crate::passwords::PasswordError;

const MINUTE: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(86_400);

/// The limit on failures for one account from one address.
const FAILURES: &str = "signin-failures";

/// The limit on failures for one account from all addresses.
const FAILURES_OF_DAY: &str = "signin-failures-day";

/// Far more than an owner needs, far fewer than guessing does. By the minute only the guesser's own address is counted:
/// otherwise a stranger would keep the owner out with a handful of wrong passwords.
const FAILURES_PER_ACCOUNT_AND_DAY: u64 = 200;

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

/// Whose address and password are these? `via` names the way in for the audit (`login`, `password_grant`). A success is
/// left to be written down with what comes of it ([`still_holds`]).
///
/// # Errors
/// [`SignInError::Refused`] without telling why; limits by client address and by account.
pub async fn authenticate(
    state: &AppState,
    email: &str,
    password: &str,
    ip: &ClientIp,
    via: &'static str,
) -> Result<Verified, SignInError> {
    let platform = &state.platform;
    let limits = &platform.config.limits;
    platform.limits.check("signin", &ip.bucket(), limits.signins_per_minute, MINUTE).await?;

    let email_key = Email::parse(email).map(|email| email.key).ok();
    // Counted by what was typed, so that accounts that don't exist run into the same limit.
    let account = Sha256::digest(email_key.as_deref().unwrap_or_else(|| email.trim()).as_bytes());
    let failures = Failures {
        platform,
        from_here: [account.as_slice(), ip.bucket().as_ref()].concat(),
        account: account.to_vec(),
    };
    failures.look().await?;

    let mut conn = platform.db.read().await?;
    let found = match &email_key {
        Some(key) => credentials(&mut conn, key).await?,
        // The same look-up, which finds nothing.
        None => credentials(&mut conn, "").await?,
    };
    drop(conn);
    let phc = found.as_ref().map(|(_, phc)| phc.as_str());
    let right = match state.passwords.verify(phc, password).await {
        Ok(right) => right,
        Err(PasswordError::Busy { retry_after }) => return Err(SignInError::Busy(retry_after)),
        Err(error) => {
            tracing::error!(%error, user = ?found.as_ref().map(|(user, _)| user.id), "a sign-in is refused");
            false
        }
    };
    // Of many guesses at once, those that end after the limit was reached are told nothing, not even if they are right.
    let told = match right {
        true => failures.look().await,
        false => failures.count().await,
    };
    let user = found.as_ref().map(|(user, _)| user.id);
    let Some((user, phc)) = found.filter(|_| right && told.is_ok()) else {
        let mut tx = platform.db.begin().await?;
        audit::record(&mut tx, platform, "signin.failed", user, None, serde_json::json!({"via": via})).await?;
        tx.commit().await?;
        told?;
        return Err(SignInError::Refused);
    };

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

/// How often signing in to an account failed.
struct Failures<'a> {
    platform: &'a Platform,
    from_here: Vec<u8>,
    account: Vec<u8>,
}

impl Failures<'_> {
    fn most(&self) -> u64 {
        self.platform.config.limits.failures_per_account_per_minute
    }

    async fn look(&self) -> Result<(), Limited> {
        let limits = &self.platform.limits;
        limits.is_reached(FAILURES, &self.from_here, self.most()).await?;
        limits.is_reached(FAILURES_OF_DAY, &self.account, FAILURES_PER_ACCOUNT_AND_DAY).await
    }

    /// Counts one more.
    async fn count(&self) -> Result<(), Limited> {
        let limits = &self.platform.limits;
        let here = limits.check(FAILURES, &self.from_here, self.most(), MINUTE).await;
        let everywhere = limits.check(FAILURES_OF_DAY, &self.account, FAILURES_PER_ACCOUNT_AND_DAY, DAY).await;
        here.and(everywhere)
    }
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
