//! What people prove themselves with beyond a password: an authenticator app ([`totp`]) and the codes that stand in for
//! it ([`recovery_codes`]), passkeys ([`passkeys`]), codes from the mailbox ([`mailed`]), and the sign-ins that wait for a
//! second factor ([`unfinished`]).

pub mod mailed;
pub mod passkeys;
pub mod recovery_codes;
pub mod totp;
pub mod unfinished;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use shared::db::{Conn, DbError, Tx};
use shared::ids::UserId;
use shared::limits::Limited;
use shared::{Platform, audit, execute};

use crate::sessions::{AMR_CODE, AMR_MAILED, AMR_MFA, SignedIn};

/// Codes that may be tried for an account in a quarter of an hour, and in a day. Only who passed the first factor comes
/// to try any, so no stranger uses these up.
const TRIES: u64 = 20;
const TRIES_PER_DAY: u64 = 100;

const QUARTER: Duration = Duration::from_secs(900);
const DAY: Duration = Duration::from_secs(86_400);

/// Does the account ask for a second factor?
pub async fn has_second(conn: &mut Conn, user_id: UserId) -> Result<bool, DbError> {
    totp::is_set_up(conn, user_id).await
}

/// Does it still, for who showed a code of it? If so, that is written down. Asked once the session is written: a hand-over
/// of the account takes the factor away, and is waited for here.
pub async fn still_has_second(tx: &mut Tx, platform: &Platform, user_id: UserId) -> Result<bool, DbError> {
    let there = execute!(tx, "UPDATE totp_secrets SET last_step = last_step WHERE user_id = $1", user_id)?;
    if there == 1 {
        audit::record(tx, platform, "signin.succeeded", Some(user_id), None, json!({"via": "code"})).await?;
    }
    Ok(there == 1)
}

/// Counts a try of an app's code. Codes that stand in for it are too long to be guessed, and are let through: whoever
/// knows the password must not use up the owner's tries of those too.
///
/// # Errors
/// When there were too many.
pub async fn count_try(platform: &Platform, user_id: UserId, typed: &str) -> Result<(), Limited> {
    if !totp::looks_like_one(&bare(typed)) {
        return Ok(());
    }
    let limits = &platform.limits;
    limits.check("second-factor", user_id.0.as_bytes(), TRIES, QUARTER).await?;
    limits.check("second-factor-day", user_id.0.as_bytes(), TRIES_PER_DAY, DAY).await
}

/// Is `typed` a code of the app, or one that stands in for it? It is used up, in the caller's transaction.
pub async fn use_code(tx: &mut Tx, platform: &Platform, user_id: UserId, typed: &str) -> Result<bool, DbError> {
    let typed = bare(typed);
    let right = if totp::looks_like_one(&typed) {
        totp::verify(tx, platform, user_id, &typed).await?
    } else {
        recovery_codes::use_up(tx, platform, user_id, &typed).await?
    };
    if !right {
        audit::record(tx, platform, "signin.second_factor_failed", Some(user_id), None, json!({})).await?;
    }
    Ok(right)
}

/// How much was shown of what signing in to the account wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showed {
    All,
    /// A code by mail in place of the app's.
    Mailed,
    /// The second factor was spared: the device was remembered.
    Spared,
}

/// What was shown in this session.
pub async fn showed(conn: &mut Conn, signed_in: &SignedIn) -> Result<Showed, DbError> {
    if showed_all(conn, signed_in).await? {
        return Ok(Showed::All);
    }
    let mailed = signed_in.amr.iter().any(|method| method == AMR_MAILED);
    Ok(if mailed { Showed::Mailed } else { Showed::Spared })
}

/// Was everything shown in this session that signing in to the account wants? Not where the device was remembered, or a
/// code came by mail: that is enough to go on to apps, and to change nothing that matters.
pub async fn showed_all(conn: &mut Conn, signed_in: &SignedIn) -> Result<bool, DbError> {
    showed_all_by(conn, signed_in.user_id, &signed_in.amr, signed_in.auth_time).await
}

/// The same of a sign-in that is told by these methods and was done then.
pub async fn showed_all_by(
    conn: &mut Conn,
    user: UserId,
    amr: &[String],
    auth_time: DateTime<Utc>,
) -> Result<bool, DbError> {
    if [AMR_CODE, AMR_MFA].iter().any(|method| amr.iter().any(|shown| shown == method)) {
        return Ok(true);
    }
    // Whoever set the app up in this session has shown its code by that.
    Ok(totp::since(conn, user).await?.is_none_or(|since| since >= auth_time))
}

/// A code without what people put between its letters.
fn bare(typed: &str) -> String {
    typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect()
}

/// Takes every factor but the password off an account, for a new owner.
pub async fn delete_all(tx: &mut Tx, user_id: UserId) -> Result<(), DbError> {
    for table in [
        "DELETE FROM totp_secrets WHERE user_id = $1",
        "DELETE FROM recovery_codes WHERE user_id = $1",
        "DELETE FROM passkeys WHERE user_id = $1",
        "DELETE FROM remembered_devices WHERE user_id = $1",
    ] {
        execute!(tx, table, user_id)?;
    }
    delete_unfinished(tx, user_id).await
}

/// Ends what is under way: it may be of who has to be kept out.
pub async fn delete_unfinished(tx: &mut Tx, user_id: UserId) -> Result<(), DbError> {
    for table in [
        "DELETE FROM passkey_ceremonies WHERE user_id = $1",
        // In the order in which a mailed code is asked for and used.
        "DELETE FROM unfinished_signins WHERE user_id = $1",
        "DELETE FROM mailed_codes WHERE user_id = $1",
        "DELETE FROM upstream_attempts WHERE user_id = $1",
    ] {
        execute!(tx, table, user_id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
