//! Proof of an address: single-use links, mailed, confirmed by a POST. A GET proves nothing, because mail scanners
//! follow links.
//!
//! An account may have been opened by someone who does not own its address. So the page that a link leads to offers
//! two answers: «yes, this is mine» and «I did not do this», which removes the account ([`disown`]). And where a
//! sign-up proves an address that an unproved account holds, the account goes to who proved it, without the sessions,
//! tokens and password of who did not.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use shared::db::{Conn, DbError, Tx};
use shared::email::Email;
use shared::ids::{PendingSignupId, UserId};
use shared::referrals::code::CodeKey;
use shared::referrals::store::{self, Refusal};
use shared::secret::PlainToken;
use shared::users::{self, NewUser};
use shared::{Platform, audit, execute, fetch_optional};

use super::signup;
use crate::{AppState, sessions};

/// What a link led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The address of an account is proved.
    Address { user_id: UserId },
    /// A sign-up is complete.
    Account { user_id: UserId, referred: bool },
}

/// Why a link led nowhere. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// Unknown, expired, used, or for an address that the account no longer has.
    #[error("the link does not work")]
    Invalid,
    /// The address got an account since.
    #[error("the address has an account already")]
    Taken,
    /// The code stopped serving since the sign-up. The link still works, without it.
    #[error(transparent)]
    CodeRefused(Refusal),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What a link is about, told before anything is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    Address { email: String },
    SignUp { email: String, referral_code: Option<String> },
}

fn expiry(platform: &Platform) -> DateTime<Utc> {
    let hours = i64::try_from(platform.config.accounts.verification_hours).unwrap_or(i64::MAX);
    platform.clock.now() + TimeDelta::try_hours(hours).unwrap_or(TimeDelta::days(365))
}

/// The secret of a link that proves the address of an account, made when its mail is. `None` when there is nothing to
/// prove any more.
pub async fn mint_link(tx: &mut Tx, platform: &Platform, user_id: UserId) -> Result<Option<PlainToken>, DbError> {
    let Some(user) = users::by_id(tx, user_id).await?.filter(|user| user.email_verified_at.is_none()) else {
        return Ok(None);
    };
    let token = PlainToken::new(&platform.random);
    execute!(
        tx,
        "INSERT INTO email_verifications (token_hash, user_id, email_key, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5)",
        token.hash(),
        user_id,
        &user.email_key,
        platform.clock.now(),
        expiry(platform)
    )?;
    Ok(Some(token))
}

/// The secret of a link that completes a sign-up. The same each time it is asked for, so that a mail sent twice
/// (the first answer was lost) has a working link both times. `None` when there is nothing to complete any more.
pub async fn mint_signup_link(
    tx: &mut Tx,
    platform: &Platform,
    id: PendingSignupId,
) -> Result<Option<PlainToken>, DbError> {
    let mac = platform.master_key.mac("signup-link", id.0.as_bytes());
    let token = PlainToken::presented(URL_SAFE_NO_PAD.encode(mac));
    let changed = execute!(
        tx,
        "UPDATE pending_signups SET token_hash = $2 WHERE id = $1 AND consumed_at IS NULL AND expires_at > $3",
        id,
        token.hash(),
        platform.clock.now()
    )?;
    Ok((changed == 1).then_some(token))
}

/// What `token` is about; `None` when it does not work.
pub async fn look(conn: &mut Conn, platform: &Platform, token: &PlainToken) -> Result<Option<Pending>, DbError> {
    let now = platform.clock.now();
    let address: Option<(String,)> = fetch_optional!(
        conn,
        (String,),
        "SELECT u.email FROM email_verifications v JOIN users u ON u.id = v.user_id AND u.email_key = v.email_key \
         WHERE v.token_hash = $1 AND v.consumed_at IS NULL AND v.expires_at > $2",
        token.hash(),
        now
    )?;
    if let Some((email,)) = address {
        return Ok(Some(Pending::Address { email }));
    }
    let sign_up: Option<(String, Option<String>)> = fetch_optional!(
        conn,
        (String, Option<String>),
        "SELECT email, referral_code FROM pending_signups \
         WHERE token_hash = $1 AND consumed_at IS NULL AND expires_at > $2",
        token.hash(),
        now
    )?;
    Ok(sign_up.map(|(email, referral_code)| Pending::SignUp { email, referral_code }))
}

/// Uses a link: it works once. `without_code` completes a sign-up whose code no longer serves.
pub async fn confirm(state: &AppState, token: &PlainToken, without_code: bool) -> Result<Confirmed, ConfirmError> {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    let confirmed = match prove_address(&mut tx, platform, token).await? {
        Some(user_id) => Confirmed::Address { user_id },
        None => complete(&mut tx, platform, token, without_code).await?,
    };
    tx.commit().await?;
    Ok(confirmed)
}

async fn prove_address(tx: &mut Tx, platform: &Platform, token: &PlainToken) -> Result<Option<UserId>, ConfirmError> {
    let now = platform.clock.now();
    let used: Option<(UserId, String)> = fetch_optional!(
        tx,
        (UserId, String),
        "UPDATE email_verifications SET consumed_at = $2 \
         WHERE token_hash = $1 AND consumed_at IS NULL AND expires_at > $2 RETURNING user_id, email_key",
        token.hash(),
        now
    )?;
    let Some((user_id, email_key)) = used else { return Ok(None) };
    let proved = execute!(
        tx,
        "UPDATE users SET email_verified_at = COALESCE(email_verified_at, $3), updated_at = $3 \
         WHERE id = $1 AND email_key = $2",
        user_id,
        &email_key,
        now
    )?;
    if proved == 0 {
        return Err(ConfirmError::Invalid);
    }
    store::mark_verified(tx, platform, user_id).await?;
    audit::record(tx, platform, "email.verified", Some(user_id), None, serde_json::json!({})).await?;
    Ok(Some(user_id))
}

#[derive(sqlx::FromRow)]
struct SignUp {
    email: String,
    phc: String,
    given_name: Option<String>,
    family_name: Option<String>,
    locale: Option<String>,
    referral_code: Option<String>,
}

async fn complete(
    tx: &mut Tx,
    platform: &Platform,
    token: &PlainToken,
    without_code: bool,
) -> Result<Confirmed, ConfirmError> {
    let now = platform.clock.now();
    let used: Option<SignUp> = fetch_optional!(
        tx,
        SignUp,
        "UPDATE pending_signups SET consumed_at = $2 \
         WHERE token_hash = $1 AND consumed_at IS NULL AND expires_at > $2 \
         RETURNING email, phc, given_name, family_name, locale, referral_code",
        token.hash(),
        now
    )?;
    let sign_up = used.ok_or(ConfirmError::Invalid)?;
    let email = Email::parse(&sign_up.email).map_err(|_| ConfirmError::Invalid)?;
    let canonical = email.canonical.clone();
    let (user_id, has_referrer) = match users::by_email(tx, &email.key).await? {
        Some(owner) if owner.email_verified_at.is_some() => return Err(ConfirmError::Taken),
        Some(owner) => (owner.id, hand_over(tx, platform, owner.id, &sign_up).await?),
        None => {
            let id = UserId::new(&platform.random, &platform.clock);
            let SignUp { phc, given_name, family_name, locale, .. } = &sign_up;
            let user = NewUser {
                id,
                email,
                email_verified_at: Some(now),
                given_name: given_name.clone(),
                family_name: family_name.clone(),
                locale: locale.clone(),
            };
            signup::insert(tx, platform, &user, phc)
                .await
                .map_err(|error| if error.is_unique_violation() { ConfirmError::Taken } else { error.into() })?;
            signup::ask_outside(tx, platform, id).await?;
            (id, false)
        }
    };
    audit::record(tx, platform, "email.verified", Some(user_id), None, serde_json::json!({})).await?;
    let code = sign_up.referral_code.as_deref().filter(|_| !without_code && !has_referrer).and_then(CodeKey::fold);
    let referred = match code {
        None => has_referrer,
        // Last: the code's row is locked from here to the commit.
        Some(key) => match store::redeem(tx, platform, &key, user_id, &canonical, true).await? {
            Ok(_) => true,
            Err(refusal) => return Err(ConfirmError::CodeRefused(refusal)),
        },
    };
    Ok(Confirmed::Account { user_id, referred })
}

/// Gives an account whose owner never proved its address to who just did. Says whether it has a referrer already.
async fn hand_over(tx: &mut Tx, platform: &Platform, user_id: UserId, to: &SignUp) -> Result<bool, DbError> {
    let now = platform.clock.now();
    sessions::end_all_of(tx, platform, user_id).await?;
    execute!(
        tx,
        "UPDATE users SET email = $2, email_verified_at = $3, given_name = $4, family_name = $5, locale = $6, \
         updated_at = $3 WHERE id = $1",
        user_id,
        &to.email,
        now,
        to.given_name.as_deref(),
        to.family_name.as_deref(),
        to.locale.as_deref()
    )?;
    execute!(
        tx,
        "INSERT INTO password_credentials (user_id, phc, updated_at) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id) DO UPDATE SET phc = $2, updated_at = $3",
        user_id,
        &to.phc,
        now
    )?;
    execute!(tx, "DELETE FROM email_verifications WHERE user_id = $1", user_id)?;
    execute!(tx, "DELETE FROM consents WHERE user_id = $1", user_id)?;
    audit::record(tx, platform, "account.handed_over", Some(user_id), None, serde_json::json!({})).await?;
    let referrer: Option<(i64,)> =
        fetch_optional!(tx, (i64,), "SELECT CAST(1 AS BIGINT) FROM referrals WHERE referral_user_id = $1", user_id)?;
    if referrer.is_some() {
        store::mark_verified(tx, platform, user_id).await?;
    }
    Ok(referrer.is_some())
}

/// «I did not do this»: the account that was opened with this address is removed, or the sign-up forgotten. Only while
/// the address is unproved: a link of somebody's old mail does not remove an account in use.
pub async fn disown(state: &AppState, token: &PlainToken) -> Result<(), ConfirmError> {
    let platform = &state.platform;
    let now = platform.clock.now();
    let mut tx = platform.db.begin().await?;
    let unproved: Option<(UserId,)> = fetch_optional!(
        &mut tx,
        (UserId,),
        "UPDATE email_verifications SET consumed_at = $2 \
         WHERE token_hash = $1 AND consumed_at IS NULL AND expires_at > $2 AND user_id IN \
            (SELECT id FROM users WHERE id = email_verifications.user_id AND email_verified_at IS NULL \
             AND email_key = email_verifications.email_key) \
         RETURNING user_id",
        token.hash(),
        now
    )?;
    let forgotten = match unproved {
        Some((user_id,)) => {
            super::delete(&mut tx, platform, user_id, "disowned").await?;
            1
        }
        None => execute!(
            &mut tx,
            "UPDATE pending_signups SET consumed_at = $2 \
             WHERE token_hash = $1 AND consumed_at IS NULL AND expires_at > $2",
            token.hash(),
            now
        )?,
    };
    if forgotten == 0 {
        return Err(ConfirmError::Invalid);
    }
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
#[path = "verification_tests.rs"]
mod tests;
