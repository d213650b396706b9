//! Passkeys (Web Authentication). webauthn-rs judges what authenticators say; here stands what is kept of it: the keys,
//! and the challenges under way, each answered once.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::db::{Conn, DbError, Tx};
use shared::ids::{SessionId, UserId};
use shared::outbox::Notice;
use shared::secret::PlainToken;
use shared::users::User;
use shared::{Platform, audit, execute, fetch_all, fetch_one, fetch_optional};
use sqlx::types::Json;
use url::Url;
use uuid::Uuid;
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Webauthn, WebauthnBuilder, WebauthnError,
};

use crate::accounts::notices;
use crate::sessions::{self, SignedIn, remembered};

/// How long an answer may take.
const CEREMONY: TimeDelta = TimeDelta::minutes(5);

/// More than anybody has devices.
pub const MOST: usize = 20;

/// The longest name of one, in characters.
pub const MAX_NAME: usize = 64;

/// Why a passkey was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The ceremony is over, or the answer is none of it. What an authenticator said wrong is for the log alone.
    #[error("the passkey was not accepted")]
    Refused,
    #[error("there are as many passkeys as there may be")]
    TooMany,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<WebauthnError> for PasskeyError {
    fn from(error: WebauthnError) -> Self {
        tracing::debug!(%error, "a passkey is refused");
        Self::Refused
    }
}

/// One passkey, as its owner sees it.
pub struct Kept {
    pub id: Uuid,
    pub name: String,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A passkey that has just been shown.
#[derive(Debug)]
pub struct Used {
    pub user_id: UserId,
    id: Uuid,
    result: AuthenticationResult,
    /// Can it be on several devices at once?
    pub synced: bool,
}

/// What ceremonies are held with. `None` where browsers know no passkeys: an address by number is nobody's name, and
/// plain http is for localhost alone.
pub fn relying_party(platform: &Platform) -> Option<Webauthn> {
    let url = Url::parse(platform.config.auth.public_url.as_str()).ok()?;
    let host = url.domain()?;
    if host.parse::<IpAddr>().is_ok() || (url.scheme() != "https" && host != "localhost") {
        return None;
    }
    let made =
        WebauthnBuilder::new(host, &url).and_then(|builder| builder.rp_name(&platform.config.brand.name).build());
    made.inspect_err(|error| tracing::warn!(%error, "passkeys are not offered")).ok()
}

/// Begins to register one of `user`'s in a session of theirs: what the browser is told, and the key of the ceremony.
pub async fn begin_registration(
    platform: &Platform,
    user: &User,
    sid: SessionId,
) -> Result<(Value, PlainToken), PasskeyError> {
    let webauthn = relying_party(platform).ok_or(PasskeyError::Refused)?;
    let known: Vec<(Json<Passkey>,)> = {
        let mut conn = platform.db.read().await?;
        fetch_all!(&mut conn, (Json<Passkey>,), "SELECT credential FROM passkeys WHERE user_id = $1", user.id)?
    };
    if known.len() >= MOST {
        return Err(PasskeyError::TooMany);
    }
    let exclude = known.into_iter().map(|(Json(passkey),)| passkey.cred_id().clone()).collect();
    let shown = user.display_name().unwrap_or_else(|| user.email.clone());
    let (challenge, state) = webauthn.start_passkey_registration(user.id.0, &user.email, &shown, Some(exclude))?;
    let mut options = serialized(&challenge)?;
    // The library leaves this open; without it, nobody could sign in with the key before they have typed a name.
    options["publicKey"]["authenticatorSelection"]["residentKey"] = json!("required");
    options["publicKey"]["authenticatorSelection"]["requireResidentKey"] = json!(true);
    let state = serialized(&state)?;
    let key = keep(platform, Some((user.id, sid)), &state).await?.ok_or(PasskeyError::Refused)?;
    Ok((options, key))
}

/// Registers what the authenticator answered, in a session that has not ended since.
pub async fn finish_registration(
    platform: &Platform,
    &SignedIn { user_id, sid, .. }: &SignedIn,
    key: &PlainToken,
    answer: &str,
    name: &str,
) -> Result<(), PasskeyError> {
    let webauthn = relying_party(platform).ok_or(PasskeyError::Refused)?;
    let state: PasskeyRegistration = take(platform, key, Some(user_id)).await?;
    let answer: RegisterPublicKeyCredential = parsed(answer)?;
    let passkey = webauthn.finish_passkey_registration(&answer, &state)?;
    let credential = serialized(&passkey)?;
    let mut tx = platform.db.begin().await?;
    if !sessions::hold(&mut tx, platform, sid).await? {
        return Err(PasskeyError::Refused);
    }
    let (there,): (i64,) = fetch_one!(&mut tx, (i64,), "SELECT COUNT(*) FROM passkeys WHERE user_id = $1", user_id)?;
    if there.unsigned_abs() >= MOST as u64 {
        return Err(PasskeyError::TooMany);
    }
    let made = execute!(
        &mut tx,
        "INSERT INTO passkeys (id, user_id, credential_id, credential, name, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (credential_id) DO NOTHING",
        platform.random.uuid_v7(&platform.clock),
        user_id,
        passkey.cred_id().as_slice(),
        Json(&credential),
        name,
        platform.clock.now()
    )?;
    if made == 0 {
        return Err(PasskeyError::Refused);
    }
    remembered::forget_all(&mut tx, platform, user_id).await?;
    audit::record(&mut tx, platform, "factor.passkey_added", Some(user_id), None, json!({"name": name})).await?;
    notices::tell_of(&mut tx, platform, user_id, Notice::PasskeyAdded, Some(name)).await?;
    tx.commit().await?;
    Ok(())
}

/// Begins a sign-in with any passkey.
pub async fn begin_sign_in(platform: &Platform) -> Result<(Value, PlainToken), PasskeyError> {
    let webauthn = relying_party(platform).ok_or(PasskeyError::Refused)?;
    let (challenge, state) = webauthn.start_discoverable_authentication()?;
    let key = keep(platform, None, &serialized(&state)?).await?.ok_or(PasskeyError::Refused)?;
    Ok((serialized(&challenge)?, key))
}

/// Whose passkey answered? What comes of it is left to be written down ([`still_holds`]).
pub async fn finish_sign_in(platform: &Platform, key: &PlainToken, answer: &str) -> Result<Used, PasskeyError> {
    let webauthn = relying_party(platform).ok_or(PasskeyError::Refused)?;
    let state: DiscoverableAuthentication = take(platform, key, None).await?;
    let answer: PublicKeyCredential = parsed(answer)?;
    let (user, credential_id) = webauthn.identify_discoverable_authentication(&answer)?;
    let row: Option<(Uuid, Json<Passkey>)> = {
        let mut conn = platform.db.read().await?;
        fetch_optional!(
            &mut conn,
            (Uuid, Json<Passkey>),
            "SELECT id, credential FROM passkeys WHERE credential_id = $1 AND user_id = $2",
            credential_id,
            user
        )?
    };
    let (id, Json(passkey)) = row.ok_or(PasskeyError::Refused)?;
    // Signature, challenge, origin, user verification, and the counter, which only ever grows.
    let result = webauthn.finish_discoverable_authentication_v2(&answer, state, &passkey)?;
    if !result.user_verified() {
        return Err(PasskeyError::Refused);
    }
    Ok(Used { user_id: UserId(user), id, synced: result.backup_eligible(), result })
}

/// Is the passkey still the account's? If so, the sign-in is written down. As with passwords, asked once the session is
/// written.
pub async fn still_holds(tx: &mut Tx, platform: &Platform, used: &Used) -> Result<bool, DbError> {
    // This locks the row: what is read of it is the last, and a use at the same moment does not set its counter back.
    let row: Option<(Json<Passkey>,)> = fetch_optional!(
        tx,
        (Json<Passkey>,),
        "UPDATE passkeys SET last_used_at = $3 WHERE id = $1 AND user_id = $2 RETURNING credential",
        used.id,
        used.user_id,
        platform.clock.now()
    )?;
    let Some((Json(mut passkey),)) = row else { return Ok(false) };
    if passkey.update_credential(&used.result) == Some(true) {
        execute!(tx, "UPDATE passkeys SET credential = $2 WHERE id = $1", used.id, Json(&passkey))?;
    }
    audit::record(tx, platform, "signin.succeeded", Some(used.user_id), None, json!({"via": "passkey"})).await?;
    Ok(true)
}

/// Those of an account, the oldest first.
pub async fn all_of(conn: &mut Conn, user_id: UserId) -> Result<Vec<Kept>, DbError> {
    type Row = (Uuid, String, DateTime<Utc>, Option<DateTime<Utc>>);
    let rows: Vec<Row> = fetch_all!(
        conn,
        Row,
        "SELECT id, name, created_at, last_used_at FROM passkeys WHERE user_id = $1 ORDER BY created_at, id",
        user_id
    )?;
    let kept = |(id, name, created_at, last_used_at)| Kept { id, name, created_at, last_used_at };
    Ok(rows.into_iter().map(kept).collect())
}

/// Gives one another name; `false` when it is none of the account's.
pub async fn rename(tx: &mut Tx, platform: &Platform, user: UserId, id: Uuid, name: &str) -> Result<bool, DbError> {
    let renamed = execute!(tx, "UPDATE passkeys SET name = $3 WHERE id = $1 AND user_id = $2", id, user, name)?;
    if renamed == 1 {
        audit::record(tx, platform, "factor.passkey_renamed", Some(user), None, json!({"name": name})).await?;
    }
    Ok(renamed == 1)
}

/// Deletes one; `false` when it is none of the account's.
pub async fn delete(tx: &mut Tx, platform: &Platform, user: UserId, id: Uuid) -> Result<bool, DbError> {
    let row: Option<(String,)> =
        fetch_optional!(tx, (String,), "DELETE FROM passkeys WHERE id = $1 AND user_id = $2 RETURNING name", id, user)?;
    let Some((name,)) = row else { return Ok(false) };
    remembered::forget_all(tx, platform, user).await?;
    audit::record(tx, platform, "factor.passkey_removed", Some(user), None, json!({"name": name})).await?;
    notices::tell_of(tx, platform, user, Notice::PasskeyRemoved, Some(&name)).await?;
    Ok(true)
}

/// `None` when the session for which it would be has ended.
async fn keep(
    platform: &Platform,
    whose: Option<(UserId, SessionId)>,
    state: &Value,
) -> Result<Option<PlainToken>, DbError> {
    let key = PlainToken::new(&platform.random);
    let now = platform.clock.now();
    let mut tx = platform.db.begin().await?;
    if let Some((_, sid)) = whose
        && !sessions::hold(&mut tx, platform, sid).await?
    {
        return Ok(None);
    }
    execute!(
        &mut tx,
        "INSERT INTO passkey_ceremonies (key_hash, user_id, state, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        key.hash(),
        whose.map(|(user, _)| user),
        Json(state),
        now,
        now + CEREMONY
    )?;
    tx.commit().await?;
    Ok(Some(key))
}

/// The ceremony of `key`, which is over with this, whatever comes of it: an answer is judged once.
async fn take<T: DeserializeOwned>(
    platform: &Platform,
    key: &PlainToken,
    user_id: Option<UserId>,
) -> Result<T, PasskeyError> {
    let mut tx = platform.db.begin().await?;
    let row: Option<(Option<UserId>, Json<Value>)> = fetch_optional!(
        &mut tx,
        (Option<UserId>, Json<Value>),
        "UPDATE passkey_ceremonies SET consumed_at = $2 \
         WHERE key_hash = $1 AND consumed_at IS NULL AND expires_at > $2 RETURNING user_id, state",
        key.hash(),
        platform.clock.now()
    )?;
    tx.commit().await?;
    let (of, Json(state)) = row.ok_or(PasskeyError::Refused)?;
    // One to register is none to sign in with, and nobody else's.
    if of != user_id {
        return Err(PasskeyError::Refused);
    }
    serde_json::from_value(state).map_err(|error| {
        tracing::warn!(%error, "a ceremony of another release is taken for none");
        PasskeyError::Refused
    })
}

fn serialized(what: &impl serde::Serialize) -> Result<Value, PasskeyError> {
    serde_json::to_value(what).map_err(|error| {
        tracing::error!(%error, "a passkey's ceremony can't be written");
        PasskeyError::Refused
    })
}

fn parsed<T: DeserializeOwned>(answer: &str) -> Result<T, PasskeyError> {
    serde_json::from_str(answer).map_err(|_| PasskeyError::Refused)
}
