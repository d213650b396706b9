//! Codes of an authenticator app (TOTP, RFC 6238): SHA-1, six digits, thirty seconds, which is what every app knows. One
//! step to either side is accepted for clocks that are off, and each step once.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use shared::db::{Conn, DbError, Tx};
use shared::ids::{SessionId, UserId};
use shared::outbox::Notice;
use shared::{Platform, audit, execute, fetch_optional};
use totp_rs::{Algorithm, Builder, Secret, Totp};
use zeroize::Zeroizing;

use crate::accounts::notices;
use crate::sessions::remembered;

/// Digits of a code.
pub const DIGITS: usize = 6;

/// RFC 4226 §4 recommends 160 bits.
const SECRET_LEN: usize = 20;

const PURPOSE: &str = "totp";
const SETUP_PURPOSE: &str = "totp-setup";

/// How long one may take to set the app up.
const SETUP: TimeDelta = TimeDelta::minutes(30);

/// A secret that is being set up. It is kept nowhere: the form carries it, sealed, to the confirmation.
pub struct Setup {
    secret: Zeroizing<Vec<u8>>,
}

impl Setup {
    /// Draws a secret.
    pub fn new(platform: &Platform) -> Self {
        Self { secret: Zeroizing::new(platform.random.bytes::<SECRET_LEN>().to_vec()) }
    }

    /// For the form's hidden field: opens in this session alone, and for a while.
    pub fn seal(&self, platform: &Platform, whose: (UserId, SessionId)) -> String {
        let until = (platform.clock.now() + SETUP).timestamp().to_be_bytes();
        let plain = Zeroizing::new([until.as_slice(), &self.secret].concat());
        let sealed = platform.master_key.seal(SETUP_PURPOSE, &context(whose), &plain, &platform.random);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Opens what [`Setup::seal`] made.
    pub fn open(platform: &Platform, whose: (UserId, SessionId), sealed: &str) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = platform.master_key.open(SETUP_PURPOSE, &context(whose), &sealed).ok()?;
        let (until, secret) = plain.split_first_chunk::<8>()?;
        let live = i64::from_be_bytes(*until) >= platform.clock.timestamp();
        live.then(|| Self { secret: Zeroizing::new(secret.to_vec()) })
    }

    /// The secret as people type it: base32, in groups of four.
    pub fn in_groups(&self) -> String {
        let text = base32(&self.secret);
        let groups: Vec<String> = text.as_bytes().chunks(4).map(|c| String::from_utf8_lossy(c).into_owned()).collect();
        groups.join(" ")
    }

    /// What the QR code holds.
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        // Spaces as %20: not every app reads + for one.
        let encode =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
        format!(
            "otpauth://totp/{issuer}:{}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period=30",
            encode(account),
            base32(&self.secret),
            issuer = encode(issuer),
        )
    }

    /// Gives the account this secret if `code` is one of it. `false` when it is not.
    pub async fn confirm(&self, tx: &mut Tx, platform: &Platform, user: UserId, code: &str) -> Result<bool, DbError> {
        let Some(step) = step_of(&self.secret, code, platform) else { return Ok(false) };
        let sealed = platform.master_key.seal(PURPOSE, user.0.as_bytes(), &self.secret, &platform.random);
        let made = execute!(
            tx,
            "INSERT INTO totp_secrets (user_id, sealed_secret, last_step, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (user_id) DO NOTHING",
            user,
            sealed,
            step,
            platform.clock.now()
        )?;
        if made == 1 {
            remembered::forget_all(tx, platform, user).await?;
            audit::record(tx, platform, "factor.totp_added", Some(user), None, json!({})).await?;
            notices::tell_of(tx, platform, user, Notice::TotpAdded, None).await?;
        }
        Ok(made == 1)
    }
}

fn context((user, sid): (UserId, SessionId)) -> Vec<u8> {
    [user.0.as_bytes().as_slice(), sid.0.as_bytes()].concat()
}

fn machine(secret: &[u8]) -> Option<Totp> {
    let made = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(DIGITS as u8)
        .with_skew(1)
        .with_step_duration(30)
        .with_secret(secret.to_vec())
        .build();
    made.inspect_err(|error| tracing::error!(%error, "a secret of an authenticator app is of no use")).ok()
}

/// The step that `code` is of, within the steps accepted now.
fn step_of(secret: &[u8], code: &str, platform: &Platform) -> Option<i64> {
    let now = u64::try_from(platform.clock.timestamp()).ok()?;
    i64::try_from(machine(secret)?.check(code, now)?).ok()
}

/// Is `code` one of the account's app, and not used yet? It is used up.
pub async fn verify(tx: &mut Tx, platform: &Platform, user_id: UserId, code: &str) -> Result<bool, DbError> {
    let row: Option<(Vec<u8>,)> =
        fetch_optional!(tx, (Vec<u8>,), "SELECT sealed_secret FROM totp_secrets WHERE user_id = $1", user_id)?;
    let Some((sealed,)) = row else { return Ok(false) };
    let Ok(secret) = platform.master_key.open(PURPOSE, user_id.0.as_bytes(), &sealed) else {
        tracing::error!(user = %user_id, "the secret of an authenticator app does not open with this master key");
        return Ok(false);
    };
    let Some(step) = step_of(&secret, code, platform) else { return Ok(false) };
    // RFC 6238 §5.2: whoever looks over a shoulder must not use the code again. The secret is compared too: it may have
    // been replaced meanwhile.
    let used = execute!(
        tx,
        "UPDATE totp_secrets SET last_step = $2 WHERE user_id = $1 AND last_step < $2 AND sealed_secret = $3",
        user_id,
        step,
        sealed
    )?;
    Ok(used == 1)
}

pub async fn is_set_up(conn: &mut Conn, user_id: UserId) -> Result<bool, DbError> {
    Ok(since(conn, user_id).await?.is_some())
}

/// When the app was set up, if one was.
pub async fn since(conn: &mut Conn, user_id: UserId) -> Result<Option<DateTime<Utc>>, DbError> {
    let row: Option<(DateTime<Utc>,)> =
        fetch_optional!(conn, (DateTime<Utc>,), "SELECT created_at FROM totp_secrets WHERE user_id = $1", user_id)?;
    Ok(row.map(|(at,)| at))
}

/// Takes the app off the account, and with it the codes that stand in for it.
pub async fn remove(tx: &mut Tx, platform: &Platform, user_id: UserId) -> Result<(), DbError> {
    let removed = execute!(tx, "DELETE FROM totp_secrets WHERE user_id = $1", user_id)?;
    execute!(tx, "DELETE FROM recovery_codes WHERE user_id = $1", user_id)?;
    if removed == 1 {
        remembered::forget_all(tx, platform, user_id).await?;
        audit::record(tx, platform, "factor.totp_removed", Some(user_id), None, json!({})).await?;
        notices::tell_of(tx, platform, user_id, Notice::TotpRemoved, None).await?;
    }
    Ok(())
}

/// Could it be a code of an app?
pub fn looks_like_one(code: &str) -> bool {
    code.len() == DIGITS && code.bytes().all(|b| b.is_ascii_digit())
}

/// RFC 4648 §6, without padding.
fn base32(bytes: &[u8]) -> String {
    Secret::from(bytes.to_vec()).to_base32()
}

/// What the app of somebody who typed this secret shows at a time.
#[cfg(test)]
pub(crate) fn code_at(secret_in_groups: &str, at: DateTime<Utc>) -> String {
    let secret = Secret::try_from_base32(secret_in_groups.replace(' ', "")).unwrap();
    let machine = Builder::new().with_secret(secret).build().unwrap();
    machine.generate(at.timestamp() as u64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc__rfc6238_b() {
        // Appendix B has eight digits: these are the last six.
        let secret = base32(b"12345678901234567890");
        for (at, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(code_at(&secret, DateTime::from_timestamp(at, 0).unwrap()), code);
        }
    }
}
