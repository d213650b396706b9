//! Proof of an address: single-use links, mailed, confirmed by a POST. A GET proves nothing, because mail scanners
//! follow links.
//!
//! A link proves that its user reads the mailbox, not that they opened the account: whoever did may have typed somebody
//! else's address. So a confirmation also wants the password that was chosen then, or a browser that is signed in to
//! the account. Nobody can be made to confirm, with one careless click, an account that a stranger holds the key of.
//!
//! An account may have been opened by someone who does not own its address. So the page that a link leads to offers
//! two answers: «yes, this is mine» and «I did not do this», which removes the account ([`disown`]). And where a
//! sign-up proves an address that an unproved account holds, the account goes to who proved it, without the sessions,
//! tokens and password of who did not.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::Digest;
use shared::config::SignUpPolicy;
use shared::db::{Conn, DbError, Tx};
use shared::email::Email;
use shared::http::ClientIp;
use shared::ids::{PendingSignupId, UserId};
use shared::limits::Limited;
use shared::referrals::code::CodeKey;
use shared::referrals::life;
use shared::referrals::store::{self, Redemption, Refusal, Source};
use shared::referrals::trace::Trace;
use shared::secret::PlainToken;
use shared::users::{self, NewUser};
use shared::{Platform, audit, execute, fetch_optional};

use super::{email_change, factors, signup, upstream};
use crate::passwords::PasswordError;
use crate::{AppState, sessions};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Passwords that may be tried with one link in an hour.
const TRIES_PER_LINK_AND_HOUR: u64 = 20;

/// What a link led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The address of an account is proved.
    Address { user_id: UserId },
    /// A sign-up is complete.
    Account { user_id: UserId, referred: bool },
}

/// Who uses a link.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    pub ip: &'a ClientIp,
    /// Whose browser session it is, if anyone's.
    pub signed_in: Option<UserId>,
    /// The password they typed; may be empty.
    pub password: &'a str,
}

/// Why a link led nowhere. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// Unknown, expired, used, or for an address that the account no longer has.
    #[error("the link does not work")]
    Invalid,
    /// It is not the password that was chosen at sign-up. The link still works.
    #[error("the password is wrong")]
    WrongPassword,
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error("too many passwords wait to be verified; again in {0:?}")]
    Busy(Duration),
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
    Address { user_id: UserId, email: String },
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
    let address: Option<(UserId, String)> = fetch_optional!(
        conn,
        (UserId, String),
        "SELECT u.id, u.email FROM email_verifications v JOIN users u ON u.id = v.user_id AND u.email_key = v.email_key \
         WHERE v.token_hash = $1 AND v.consumed_at IS NULL AND v.expires_at > $2",
        token.hash(),
        now
    )?;
    if let Some((user_id, email)) = address {
        return Ok(Some(Pending::Address { user_id, email }));
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

/// Uses a link: it works once, for who knows the password. `without_code` completes a sign-up whose code no longer
/// serves.
pub async fn confirm(
    state: &AppState,
    token: &PlainToken,
    asker: &Asker<'_>,
    without_code: bool,
) -> Result<Confirmed, ConfirmError> {
    let platform = &state.platform;
    let entitled = entitle(state, token, asker).await?;
    let mut tx = platform.db.begin().await?;
    let (confirmed, done_with) = match entitled {
        Entitled::Address { phc } => {
            let user_id = prove_address(&mut tx, platform, token, phc.as_deref()).await?;
            (Confirmed::Address { user_id }, None)
        }
        Entitled::SignUp => {
            let (confirmed, email_key) = complete(&mut tx, platform, token, without_code).await?;
            (confirmed, Some(email_key))
        }
    };
    tx.commit().await?;
    if let Some(email_key) = done_with {
        // Not in the transaction above: two confirmations of one address would wait for each other. The other links
        // lead nowhere either way, because the address is taken.
        if let Err(error) = forget_others(platform, &email_key).await {
            tracing::warn!(%error, "other sign-ups with a confirmed address are left to expire");
        }
    }
    state.outside.wake();
    Ok(confirmed)
}

/// What somebody may confirm.
enum Entitled {
    /// The address of an account, by the password whose hash is `phc`, or by a session where there is none.
    Address {
        phc: Option<String>,
    },
    SignUp,
}

/// May `asker` use this link? Reads only; whether the link still works is for the transaction to say.
async fn entitle(state: &AppState, token: &PlainToken, asker: &Asker<'_>) -> Result<Entitled, ConfirmError> {
    let platform = &state.platform;
    let mut conn = platform.db.read().await?;
    let (phc, entitled) = match look(&mut conn, platform, token).await?.ok_or(ConfirmError::Invalid)? {
        Pending::Address { user_id, .. } if asker.signed_in == Some(user_id) => {
            return Ok(Entitled::Address { phc: None });
        }
        Pending::Address { user_id, .. } => {
            let row: Option<(String,)> = fetch_optional!(
                &mut conn,
                (String,),
                "SELECT phc FROM password_credentials WHERE user_id = $1",
                user_id
            )?;
            let phc = row.map(|(phc,)| phc);
            (phc.clone(), Entitled::Address { phc })
        }
        Pending::SignUp { .. } => {
            let row: Option<(String,)> = fetch_optional!(
                &mut conn,
                (String,),
                "SELECT phc FROM pending_signups WHERE token_hash = $1 AND consumed_at IS NULL",
                token.hash()
            )?;
            (row.map(|(phc,)| phc), Entitled::SignUp)
        }
    };
    drop(conn);
    if asker.password.is_empty() {
        return Err(ConfirmError::WrongPassword);
    }
    let limits = &platform.limits;
    limits.check("confirm", &asker.ip.bucket(), platform.config.limits.signins_per_minute, MINUTE).await?;
    limits.check("confirm-link", &sha2::Sha256::digest(token.reveal()), TRIES_PER_LINK_AND_HOUR, HOUR).await?;
    match state.passwords.verify(phc.as_deref(), asker.password).await {
        Ok(true) => Ok(entitled),
        Ok(false) | Err(PasswordError::TooLong) => Err(ConfirmError::WrongPassword),
        Err(PasswordError::Busy { retry_after }) => Err(ConfirmError::Busy(retry_after)),
        Err(error @ (PasswordError::Stored | PasswordError::Broken)) => {
            tracing::error!(%error, "a confirmation is refused");
            Err(ConfirmError::WrongPassword)
        }
    }
}

/// Other people's sign-ups with an address are over once one was confirmed.
async fn forget_others(platform: &Platform, email_key: &str) -> Result<(), DbError> {
    let mut tx = platform.db.begin().await?;
    execute!(&mut tx, "DELETE FROM pending_signups WHERE email_key = $1 AND consumed_at IS NULL", email_key)?;
    tx.commit().await
}

/// Marks the address of an account as proved. `phc` is what the password was verified against: if it was changed since,
/// the account may be somebody else's by now.
async fn prove_address(
    tx: &mut Tx,
    platform: &Platform,
    token: &PlainToken,
    phc: Option<&str>,
) -> Result<UserId, ConfirmError> {
    let now = platform.clock.now();
    let used: Option<(UserId, String)> = fetch_optional!(
        tx,
        (UserId, String),
        "UPDATE email_verifications SET consumed_at = $2 \
         WHERE token_hash = $1 AND consumed_at IS NULL AND expires_at > $2 RETURNING user_id, email_key",
        token.hash(),
        now
    )?;
    let (user_id, email_key) = used.ok_or(ConfirmError::Invalid)?;
    let before = users::by_id(tx, user_id).await?.ok_or(ConfirmError::Invalid)?;
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
    if let Some(phc) = phc {
        let same: Option<(i64,)> = fetch_optional!(
            tx,
            (i64,),
            "SELECT CAST(1 AS BIGINT) FROM password_credentials WHERE user_id = $1 AND phc = $2",
            user_id,
            phc
        )?;
        same.ok_or(ConfirmError::WrongPassword)?;
    }
    if before.email_verified_at.is_none() {
        signup::ask_who(tx, platform, user_id).await?;
    }
    life::mark_verified(tx, platform, user_id).await?;
    audit::record(tx, platform, "email.verified", Some(user_id), None, serde_json::json!({})).await?;
    Ok(user_id)
}

/// A sign-up whose address is proved.
#[derive(sqlx::FromRow)]
pub(super) struct SignUp {
    pub email: String,
    /// Who comes from another provider has no password.
    pub phc: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub locale: Option<String>,
    pub referral_code: Option<String>,
    pub referral_source: String,
    pub address_hash: Option<Vec<u8>>,
    pub device_hash: Option<Vec<u8>>,
    pub terms_version: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// Completes a sign-up whose password was verified. Also returns the address, as compared.
async fn complete(
    tx: &mut Tx,
    platform: &Platform,
    token: &PlainToken,
    without_code: bool,
) -> Result<(Confirmed, String), ConfirmError> {
    let now = platform.clock.now();
    let used: Option<SignUp> = fetch_optional!(
        tx,
        SignUp,
        "UPDATE pending_signups SET consumed_at = $2 \
         WHERE token_hash = $1 AND consumed_at IS NULL AND expires_at > $2 \
         RETURNING email, phc, given_name, family_name, locale, referral_code, referral_source, address_hash, \
            device_hash, terms_version, created_at",
        token.hash(),
        now
    )?;
    make(tx, platform, &used.ok_or(ConfirmError::Invalid)?, without_code).await
}

/// Makes the account, or gives one to who proved its address; with all that belongs to a sign-up.
pub(super) async fn make(
    tx: &mut Tx,
    platform: &Platform,
    sign_up: &SignUp,
    without_code: bool,
) -> Result<(Confirmed, String), ConfirmError> {
    let now = platform.clock.now();
    let email = Email::parse(&sign_up.email).map_err(|_| ConfirmError::Invalid)?;
    let (email_key, canonical) = (email.key.clone(), email.canonical.clone());
    let (user_id, has_referrer) = match users::by_email(tx, &email.key).await? {
        Some(owner) if owner.email_verified_at.is_some() => return Err(ConfirmError::Taken),
        Some(owner) => (owner.id, hand_over(tx, platform, owner.id, sign_up).await?),
        None => {
            let id = UserId::new(&platform.random, &platform.clock);
            let SignUp { phc, given_name, family_name, locale, .. } = sign_up;
            let user = NewUser {
                id,
                email,
                email_verified_at: Some(now),
                given_name: given_name.clone(),
                family_name: family_name.clone(),
                locale: locale.clone(),
            };
            signup::insert(tx, platform, &user, phc.as_deref())
                .await
                .map_err(|error| if error.is_unique_violation() { ConfirmError::Taken } else { error.into() })?;
            signup::ask_about_address(tx, platform, id).await?;
            (id, false)
        }
    };
    let trace = Trace { address_hash: sign_up.address_hash.clone(), device_hash: sign_up.device_hash.clone() };
    trace.keep(tx, platform, user_id).await?;
    if let Some(version) = &sign_up.terms_version {
        signup::record_terms(tx, platform, user_id, version, sign_up.created_at).await?;
    }
    signup::ask_who(tx, platform, user_id).await?;
    audit::record(tx, platform, "email.verified", Some(user_id), None, serde_json::json!({})).await?;
    // The code is the invitation: without it there is no account.
    let invited = platform.config.accounts.signup == SignUpPolicy::Invitation;
    let without_code = without_code && !invited;
    let code = sign_up.referral_code.as_deref().filter(|_| !without_code && !has_referrer).and_then(CodeKey::fold);
    let source = Source::stored(&sign_up.referral_source);
    let referred = match code {
        None if invited && !has_referrer => return Err(ConfirmError::CodeRefused(store::Refusal::Unknown)),
        None => has_referrer,
        // Last: the code's row is locked from here to the commit.
        Some(key) => match store::redeem(
            tx,
            platform,
            Redemption {
                key: &key,
                newcomer: user_id,
                canonical_email: &canonical,
                email_is_verified: true,
                source,
                trace: &trace,
            },
        )
        .await?
        {
            Ok(_) => true,
            // Nobody typed it, so nobody is told; where a code is what lets people in, there is no account without.
            Err(_) if source != Source::Code && !invited => false,
            Err(refusal) => return Err(ConfirmError::CodeRefused(refusal)),
        },
    };
    Ok((Confirmed::Account { user_id, referred }, email_key))
}

/// Gives an account whose owner never proved its address to who just did. Says whether it has a referrer already.
async fn hand_over(tx: &mut Tx, platform: &Platform, user_id: UserId, to: &SignUp) -> Result<bool, DbError> {
    let now = platform.clock.now();
    execute!(
        tx,
        "UPDATE users SET email = $2, email_verified_at = $3, given_name = $4, family_name = $5, locale = $6, \
         updated_at = $3, deletion_at = NULL, resting_code_id = NULL WHERE id = $1",
        user_id,
        &to.email,
        now,
        to.given_name.as_deref(),
        to.family_name.as_deref(),
        to.locale.as_deref()
    )?;
    match &to.phc {
        Some(phc) => execute!(
            tx,
            "INSERT INTO password_credentials (user_id, phc, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id) DO UPDATE SET phc = $2, updated_at = $3",
            user_id,
            phc,
            now
        )?,
        None => execute!(tx, "DELETE FROM password_credentials WHERE user_id = $1", user_id)?,
    };
    // After the password: a sign-in with the old one that is under way either is there by now, and ends here, or finds
    // the password changed (`signin::still_holds`).
    sessions::end_all_of(tx, platform, user_id).await?;
    factors::delete_all(tx, user_id).await?;
    upstream::delete_all(tx, user_id).await?;
    email_change::forget(tx, platform, user_id).await?;
    let open = "UPDATE recovery_requests SET consumed_at = $2 WHERE user_id = $1 AND consumed_at IS NULL";
    execute!(tx, open, user_id, now)?;
    execute!(tx, "DELETE FROM email_verifications WHERE user_id = $1", user_id)?;
    execute!(tx, "DELETE FROM consents WHERE user_id = $1", user_id)?;
    execute!(tx, "DELETE FROM terms_agreements WHERE user_id = $1", user_id)?;
    // Where somebody else signed up says nothing about who has the account now.
    execute!(tx, "DELETE FROM signup_traces WHERE user_id = $1", user_id)?;
    audit::record(tx, platform, "account.handed_over", Some(user_id), None, serde_json::json!({})).await?;
    // The owner's own code counts, not that of who opened the account.
    if to.referral_code.is_some() {
        life::part(tx, platform, user_id).await?;
        return Ok(false);
    }
    let has_referrer = life::of_user(tx, user_id).await?.is_some();
    life::taken_over(tx, platform, user_id).await?;
    life::mark_verified(tx, platform, user_id).await?;
    Ok(has_referrer)
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
pub(crate) mod tests;
