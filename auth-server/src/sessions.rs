//! Browser sessions: who is signed in here. Only sign-in makes one; a visitor without it leaves no row. The database is
//! the truth, the cache stands in front of it, and the session's key is stored nowhere, only its hash.

pub mod apps;
pub mod devices;
mod relying_parties;
pub mod remembered;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use cookie::time::OffsetDateTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::cache::{CacheKey, LONGEST, Lookup};
use shared::config::Config;
use shared::db::{DbError, Tx};
use shared::ids::{GrantId, SessionId, UserId};
use shared::revocations::{Kind, revoke};
use shared::{Platform, execute, fetch_all, fetch_optional};
use sqlx::types::Json;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{self, Error as StoreError};
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};

pub use relying_parties::RelyingParty;

use crate::AppState;

/// `acr` where nobody signed in (OpenID Connect Core §2: not even level 1 of ISO/IEC 29115).
pub const ACR_NONE: &str = "0";

/// How a sign-in by password alone is named in `acr` and, by RFC 8176, in `amr`.
pub const ACR_PASSWORD: &str = "urn:referris:acr:password";
/// Two factors: a code beside what was shown first.
pub const ACR_MFA: &str = "urn:referris:acr:mfa";
/// A passkey that verified its user: two factors, neither of which another site can ask for. The name is registered by
/// OpenID Connect Extended Authentication Profile ACR Values §3.
pub const ACR_PHISHING_RESISTANT: &str = "phr";
/// How a sign-in at another provider is named, however it was done there: nobody here vouches for that.
pub const ACR_UPSTREAM: &str = "urn:referris:acr:upstream";
/// Every `acr` that a sign-in by means of our own can have, each of which is as good as those before it and better.
const ACR_VALUES: &[&str] = &[ACR_PASSWORD, ACR_MFA, ACR_PHISHING_RESISTANT];
pub const AMR_PASSWORD: &str = "pwd";
/// A code of an authenticator app, or one that stands in for it.
pub const AMR_CODE: &str = "otp";
/// More than one factor.
pub const AMR_MFA: &str = "mfa";
/// A code from the mailbox: another channel, and no factor (RFC 8176 §2, `mca`).
pub const AMR_MAILED: &str = "mca";
/// A sign-in at another provider, where the configuration says that it counts. Not registered: what was shown there is
/// not ours to name.
pub const AMR_PROVIDER: &str = "fed";
/// A key that can't leave its device, and one that can.
pub const AMR_HARDWARE_KEY: &str = "hwk";
pub const AMR_SOFTWARE_KEY: &str = "swk";
/// Somebody was there.
pub const AMR_PRESENCE: &str = "user";

/// The first of the kinds of sign-in in `asked` that one of kind `had` is, or exceeds. Who has shown more has shown what
/// was asked for: a client that wants two factors is content with a passkey, and is told «two factors», which it knows.
pub fn satisfied<'a>(asked: &'a [String], had: &str) -> Option<&'a str> {
    let rank = |acr: &str| ACR_VALUES.iter().position(|known| *known == acr);
    let exact = asked.iter().find(|acr| *acr == had);
    let exceeded = || asked.iter().find(|acr| rank(acr).is_some_and(|asked| rank(had).is_some_and(|had| asked <= had)));
    exact.or_else(exceeded).map(String::as_str)
}

/// What a sign-in is once a code of the app was shown beside `amr`: by two factors, where what was shown before is one that
/// counts. What another provider asked of the person we do not know: with it, the code is the only factor that we vouch for,
/// and that is no more than a password is.
pub fn with_code<'a>(amr: impl IntoIterator<Item = &'a str>) -> (&'static str, Vec<&'a str>) {
    let mut amr: Vec<&str> = amr.into_iter().collect();
    let counts = amr.iter().any(|method| ![AMR_CODE, AMR_MAILED].contains(method));
    for method in [AMR_CODE, AMR_MFA].into_iter().take(if counts { 2 } else { 1 }) {
        if !amr.contains(&method) {
            amr.push(method);
        }
    }
    (if counts { ACR_MFA } else { ACR_UPSTREAM }, amr)
}

/// Every `acr` that a sign-in here can have.
pub fn acr_values(config: &Config) -> Vec<&'static str> {
    let upstream = (!config.upstream.is_empty()).then_some(ACR_UPSTREAM);
    ACR_VALUES.iter().copied().chain(upstream).collect()
}

/// The one thing a session holds.
const SIGNED_IN: &str = "signed_in";

/// Who is signed in, since when and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    pub user_id: UserId,
    /// The `sid` claim. It names the session and does not open it.
    pub sid: SessionId,
    pub auth_time: DateTime<Utc>,
    pub acr: String,
    pub amr: Vec<String>,
}

/// The cookie layer for routes that ask who is signed in. Applied once, by each router that needs it.
pub fn layer(state: &AppState) -> SessionManagerLayer<Store> {
    let config = &state.platform.config;
    SessionManagerLayer::new(Store { platform: state.platform.clone() })
        .with_name(cookie_name(state, "session"))
        .with_secure(config.auth.public_url.is_https())
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_path("/")
        // Nothing but sign-in writes a session, so this counts from there: a fixed life, however busy it is.
        .with_expiry(Expiry::OnInactivity(cookie::time::Duration::hours(
            i64::try_from(config.sessions.lifetime_hours).unwrap_or(i64::MAX / 3600),
        )))
}

/// A cookie's name. On https the browser itself vouches for `__Host-` names; on plain http, where cookies are shared by
/// all ports of a host, the name tells the service and its port.
pub fn cookie_name(state: &AppState, what: &str) -> String {
    let config = &state.platform.config.auth;
    if config.public_url.is_https() {
        return format!("__Host-referris-{what}");
    }
    let port = url::Url::parse(config.public_url.as_str()).ok().and_then(|url| url.port_or_known_default());
    format!("referris-auth-{}-{what}", port.unwrap_or(config.listen.port()))
}

/// The `Set-Cookie` value that removes the session's cookie. The layer's own lacks `Secure`, without which browsers
/// leave a `__Host-` cookie alone.
pub fn removal_cookie(state: &AppState) -> String {
    cookie::Cookie::build((cookie_name(state, "session"), ""))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(state.platform.config.auth.public_url.is_https())
        .max_age(cookie::time::Duration::ZERO)
        .build()
        .to_string()
}

/// Who is signed in, if anyone. Sessions and accounts that were revoked count as signed out.
///
/// # Errors
/// When neither cache nor database can tell: an outage signs nobody out.
pub async fn current(session: &Session, state: &AppState) -> Result<Option<SignedIn>, DbError> {
    if session.id().is_none() {
        return Ok(None);
    }
    let signed_in = match session.get::<SignedIn>(SIGNED_IN).await {
        Ok(signed_in) => signed_in,
        Err(tower_sessions::session::Error::SerdeJson(error)) => {
            tracing::warn!(%error, "a session of another release is taken for none");
            None
        }
        Err(tower_sessions::session::Error::Store(error)) => return Err(unavailable(error)),
    };
    Ok(signed_in.filter(|s| {
        let (sid, user) = (s.sid.to_string(), s.user_id.to_string());
        !state.platform.revocations.contains([(Kind::Session, sid.as_str()), (Kind::User, user.as_str())])
    }))
}

/// Signs `user_id` in. The session's key is always a new one, so that a key planted before (session fixation) opens
/// nothing. Signing in again as the same person keeps the `sid`; as someone else, it ends the session before, and the
/// clients that knew of that one are returned.
pub async fn sign_in(
    session: &Session,
    state: &AppState,
    user_id: UserId,
    acr: &str,
    amr: &[&str],
) -> Result<(SignedIn, Vec<RelyingParty>), DbError> {
    let platform = &state.platform;
    let before = current(session, state).await?;
    let mut parties = vec![];
    if let Some(before) = before.as_ref().filter(|before| before.user_id != user_id) {
        let mut tx = platform.db.begin().await?;
        parties = end(&mut tx, platform, before.sid).await?;
        tx.commit().await?;
        state.outside.wake();
    }
    let same = before.filter(|before| before.user_id == user_id).map(|before| before.sid);
    let signed_in = SignedIn {
        user_id,
        // Not that of one that has just ended, of which the cache still tells: it is on the list of revocations.
        sid: match same {
            Some(sid) if is_there(platform, sid).await? => sid,
            _ => SessionId::new(&platform.random, &platform.clock),
        },
        auth_time: platform.clock.now(),
        acr: acr.to_owned(),
        amr: amr.iter().map(|&method| method.to_owned()).collect(),
    };
    if session.id().is_some() {
        session.flush().await.map_err(session_error)?;
    }
    session.insert(SIGNED_IN, &signed_in).await.map_err(session_error)?;
    // Now rather than when the response is on its way: a failure here is a 503 and no half sign-in.
    session.save().await.map_err(session_error)?;
    Ok((signed_in, parties))
}

/// Signs out: this session ends, and so do the tokens that carry its `sid`. Returns the clients that knew of it.
pub async fn sign_out(session: &Session, state: &AppState) -> Result<Vec<RelyingParty>, DbError> {
    let mut parties = vec![];
    if let Some(before) = current(session, state).await? {
        let mut tx = state.platform.db.begin().await?;
        parties = end(&mut tx, &state.platform, before.sid).await?;
        shared::audit::record(
            &mut tx,
            &state.platform,
            "session.ended",
            Some(before.user_id),
            None,
            serde_json::json!({"sid": before.sid, "why": "sign-out"}),
        )
        .await?;
        tx.commit().await?;
        state.outside.wake();
    }
    if session.id().is_some() {
        session.flush().await.map_err(session_error)?;
    }
    Ok(parties)
}

async fn is_there(platform: &Platform, sid: SessionId) -> Result<bool, DbError> {
    let mut tx = platform.db.begin().await?;
    let there = hold(&mut tx, platform, sid).await?;
    tx.commit().await?;
    Ok(there)
}

/// Is this session still there? Then it stays until the caller's transaction is over: ending it waits for that, and finds
/// what was granted in it. The session of an account that is about to be deleted is good for keeping it, and for nothing
/// that this is asked for.
pub async fn hold(tx: &mut Tx, platform: &Platform, sid: SessionId) -> Result<bool, DbError> {
    let held = execute!(
        tx,
        "UPDATE browser_sessions SET expires_at = expires_at WHERE sid = $1 AND expires_at > $2 \
         AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = browser_sessions.user_id AND u.deletion_at IS NOT NULL)",
        sid,
        platform.clock.now()
    )?;
    Ok(held > 0)
}

/// Ends a session in the caller's transaction: its row, the access tokens that carry its `sid`, and the grants made in
/// it. A grant with `offline_access` was given to outlast the session (OpenID Connect Core §11, Back-Channel Logout
/// §2.7): it goes on without the `sid`. The clients that knew of the session are told, and returned; none when it was
/// over already.
pub async fn end(tx: &mut Tx, platform: &Platform, sid: SessionId) -> Result<Vec<RelyingParty>, DbError> {
    let rows = execute!(tx, "DELETE FROM browser_sessions WHERE sid = $1", sid)?;
    let parties = relying_parties::of_session(tx, sid).await?;
    let grants: Vec<(GrantId, Json<Value>)> = fetch_all!(
        tx,
        (GrantId, Json<Value>),
        "SELECT id, details FROM grants WHERE sid = $1 AND revoked_at IS NULL",
        sid
    )?;
    // Two tabs may sign out at once: one of them finds nothing left.
    if rows == 0 && grants.is_empty() {
        return Ok(vec![]);
    }
    for (grant, Json(details)) in grants {
        if is_offline(&details) {
            execute!(tx, "UPDATE grants SET sid = NULL WHERE id = $1", grant)?;
        } else {
            let now = platform.clock.now();
            execute!(tx, "UPDATE grants SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", grant, now)?;
        }
    }
    relying_parties::tell(tx, platform, &parties).await?;
    // By each name that access tokens have for it.
    let mut names: Vec<String> = parties.iter().filter_map(|party| party.told_sid(platform)).collect();
    names.push(sid.to_string());
    names.sort();
    names.dedup();
    for name in &names {
        revoke(tx, platform, Kind::Session, name).await?;
    }
    Ok(parties)
}

/// Ends every session and grant of an account, in the caller's transaction; later ones are not touched. Every client
/// that knew the account is told.
pub async fn end_all_of(tx: &mut Tx, platform: &Platform, user_id: UserId) -> Result<(), DbError> {
    // First: a sign-in that is spared the second factor at this moment waits for it, or is found below.
    remembered::forget_browsers(tx, platform, user_id).await?;
    let sessions: Vec<(Option<SessionId>,)> =
        fetch_all!(tx, (Option<SessionId>,), "DELETE FROM browser_sessions WHERE user_id = $1 RETURNING sid", user_id)?;
    let sessions: Vec<SessionId> = sessions.into_iter().filter_map(|(sid,)| sid).collect();
    let parties = relying_parties::of_account(tx, user_id, &sessions).await?;
    relying_parties::tell(tx, platform, &parties).await?;
    for sid in sessions {
        revoke(tx, platform, Kind::Session, &sid.to_string()).await?;
    }
    let grants: Vec<(GrantId,)> = fetch_all!(
        tx,
        (GrantId,),
        "UPDATE grants SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL RETURNING id",
        user_id,
        platform.clock.now()
    )?;
    for (grant,) in grants {
        revoke(tx, platform, Kind::Grant, &grant.to_string()).await?;
    }
    Ok(())
}

/// Ends every session of an account but `keep`, and every grant that was not made in that one, in the caller's
/// transaction: also those that were to outlast their sessions, which whoever else knew the password may have made.
pub async fn end_others_of(tx: &mut Tx, platform: &Platform, user_id: UserId, keep: SessionId) -> Result<(), DbError> {
    remembered::forget_browsers(tx, platform, user_id).await?;
    let others: Vec<(Option<SessionId>,)> = fetch_all!(
        tx,
        (Option<SessionId>,),
        "SELECT sid FROM browser_sessions WHERE user_id = $1 AND sid <> $2",
        user_id,
        keep
    )?;
    for sid in others.into_iter().filter_map(|(sid,)| sid) {
        end(tx, platform, sid).await?;
    }
    let grants: Vec<(GrantId,)> = fetch_all!(
        tx,
        (GrantId,),
        "UPDATE grants SET revoked_at = $3 WHERE user_id = $1 AND (sid IS NULL OR sid <> $2) AND revoked_at IS NULL \
         RETURNING id",
        user_id,
        keep,
        platform.clock.now()
    )?;
    for (grant,) in grants {
        revoke(tx, platform, Kind::Grant, &grant.to_string()).await?;
    }
    Ok(())
}

/// Gives the session another key, on a change of privilege: whoever had the key from before has nothing. It stays the
/// session that it was, of the same time.
pub async fn rotate(session: &Session, state: &AppState, signed_in: &SignedIn) -> Result<(), DbError> {
    // Ended meanwhile: it stays ended.
    if !is_there(&state.platform, signed_in.sid).await? {
        return Ok(());
    }
    session.flush().await.map_err(session_error)?;
    session.insert(SIGNED_IN, signed_in).await.map_err(session_error)?;
    session.save().await.map_err(session_error)
}

fn is_offline(details: &Value) -> bool {
    match &details["scope"] {
        Value::Array(scope) => scope.iter().any(|s| s == "offline_access"),
        Value::String(scope) => scope.split(' ').any(|s| s == "offline_access"),
        _ => false,
    }
}

fn unavailable(error: StoreError) -> DbError {
    DbError::Unavailable(sqlx::Error::Io(std::io::Error::other(error.to_string())))
}

fn session_error(error: tower_sessions::session::Error) -> DbError {
    match error {
        tower_sessions::session::Error::Store(error) => unavailable(error),
        tower_sessions::session::Error::SerdeJson(error) => DbError::Other(sqlx::Error::Decode(error.into())),
    }
}

/// Sessions in the database, with the cache in front.
#[derive(Clone)]
pub struct Store {
    platform: Platform,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

type Data = HashMap<String, Value>;

/// A session as kept: ids and times, no secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    data: Data,
    expires_at: DateTime<Utc>,
}

impl Kept {
    fn into_record(self, id: Id) -> Record {
        let expiry_date =
            OffsetDateTime::from_unix_timestamp(self.expires_at.timestamp()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Record { id, data: self.data, expiry_date }
    }

    fn whose(&self) -> Option<SignedIn> {
        self.data.get(SIGNED_IN).and_then(|value| serde_json::from_value(value.clone()).ok())
    }
}

fn hash(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_le_bytes()).to_vec()
}

fn cache_key(hash: &[u8]) -> CacheKey {
    CacheKey::new("session", hash)
}

fn backend(error: DbError) -> StoreError {
    StoreError::Backend(error.to_string())
}

impl Store {
    async fn read(&self, hash: &[u8]) -> Result<Option<Kept>, DbError> {
        let mut conn = self.platform.db.read().await?;
        let row = fetch_optional!(
            &mut conn,
            (Json<Data>, DateTime<Utc>),
            "SELECT record, expires_at FROM browser_sessions WHERE id_hash = $1 AND expires_at > $2",
            hash,
            self.platform.clock.now()
        )?;
        Ok(row.map(|(Json(data), expires_at)| Kept { data, expires_at }))
    }

    async fn find(&self, hash: &[u8]) -> Result<Option<Kept>, DbError> {
        let cache = &self.platform.cache;
        let key = cache_key(hash);
        let found = cache.get(&key).await;
        if let Ok(Lookup::Hit(hit)) = &found
            && let Ok(kept) = serde_json::from_slice::<Kept>(hit.bytes())
        {
            return Ok(Some(kept).filter(|kept| kept.expires_at > self.platform.clock.now()));
        }
        let kept = self.read(hash).await?;
        if let (Some(kept), Ok(Lookup::Miss)) = (&kept, &found) {
            self.remember(&key, kept).await;
        }
        Ok(kept)
    }

    async fn remember(&self, key: &CacheKey, kept: &Kept) {
        if !self.platform.cache.keeps_entries() {
            return;
        }
        let left = (kept.expires_at - self.platform.clock.now()).to_std().unwrap_or(Duration::ZERO);
        if let (false, Ok(bytes)) = (left.is_zero(), serde_json::to_vec(kept))
            && let Err(error) = self.platform.cache.fill(key, &bytes, left.min(LONGEST)).await
        {
            tracing::debug!(%error, "a session is not cached");
        }
    }
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let platform = &self.platform;
        // Always a key of our own drawing: whatever stood in the record may be known to somebody.
        record.id = Id(i128::from_le_bytes(platform.random.bytes()));
        let now = platform.clock.now();
        let lifetime = TimeDelta::try_hours(i64::try_from(platform.config.sessions.lifetime_hours).unwrap_or(i64::MAX));
        let kept = Kept { data: record.data.clone(), expires_at: now + lifetime.unwrap_or(TimeDelta::days(365)) };
        let whose = kept.whose();
        let hash = hash(&record.id);
        let mut tx = platform.db.begin().await.map_err(backend)?;
        execute!(
            &mut tx,
            "INSERT INTO browser_sessions (id_hash, user_id, sid, record, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            &hash,
            whose.as_ref().map(|s| s.user_id),
            whose.as_ref().map(|s| s.sid),
            Json(&kept.data),
            now,
            kept.expires_at
        )
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        self.remember(&cache_key(&hash), &kept).await;
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let hash = hash(&record.id);
        // The layer saves again what sign-in saved already: not worth a write.
        let Some(kept) = self.find(&hash).await.map_err(backend)? else {
            // Ended meanwhile, by another tab or an administrator: it stays ended.
            return Ok(());
        };
        if kept.data == record.data {
            return Ok(());
        }
        let kept = Kept { data: record.data.clone(), ..kept };
        let whose = kept.whose();
        let mut tx = self.platform.db.begin().await.map_err(backend)?;
        execute!(
            &mut tx,
            "UPDATE browser_sessions SET user_id = $2, sid = $3, record = $4 WHERE id_hash = $1",
            &hash,
            whose.as_ref().map(|s| s.user_id),
            whose.as_ref().map(|s| s.sid),
            Json(&kept.data)
        )
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        // Not put: an entry that could not be replaced would go on telling the old story.
        if let Err(error) = self.platform.cache.invalidate(&cache_key(&hash)).await {
            tracing::warn!(%error, "a changed session may be seen as it was for up to a minute");
        }
        Ok(())
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let kept = self.find(&hash(id)).await.map_err(backend)?;
        Ok(kept.map(|kept| kept.into_record(*id)))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        let hash = hash(id);
        let mut tx = self.platform.db.begin().await.map_err(backend)?;
        execute!(&mut tx, "DELETE FROM browser_sessions WHERE id_hash = $1", &hash).map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        // Should this fail, an entry lives on for a minute at most, and a session that was signed out of is on the list
        // of revocations besides.
        if let Err(error) = self.platform.cache.invalidate(&cache_key(&hash)).await {
            tracing::warn!(%error, "an ended session could not be taken out of the cache");
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
