//! What people allowed clients, and the single-use things that stand for it: authorization codes and refresh tokens.
//! oxide-auth's authorizer and issuer over one transaction; a value lives for one request.
//!
//! The client has authenticated before any of this runs, and every statement names it: a thief can neither use nor
//! burn another client's code.

mod codes;
pub mod permissions;
mod refresh_tokens;
pub mod revocation;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use oxide_auth::primitives::grant::{Extensions, Grant, Value};
use oxide_auth::primitives::issuer::{IssuedToken, RefreshedToken, TokenType};
use oxide_auth::primitives::scope::Scope;
use oxide_auth_async::primitives::Issuer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared::Platform;
use shared::db::{DbError, Tx};
use shared::ids::{ClientId, GrantId, SessionId, UserId};
use shared::revocations::{self, Kind};
use shared::{execute, fetch_all, fetch_optional, subjects};
use sqlx::types::Json;

use super::binding::Confirmation;
use super::claims::RequestedClaims;
use crate::clients::{Client, OFFLINE_ACCESS, SCOPES};

use permissions::Allowed;

pub use codes::{Codes, peek_code};
pub use refresh_tokens::{RefreshTokens, recover};

/// What a grant says beyond whom and whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantDetails {
    pub scope: Vec<String>,
    /// The resources the client named (RFC 8707); empty: any that the scope implies.
    pub resource: Vec<String>,
    pub auth_time: DateTime<Utc>,
    pub acr: String,
    pub amr: Vec<String>,
    /// The key that the grant's refresh tokens are bound to: a public client's (RFC 9449 §5, RFC 8705 §4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// What the `claims` parameter asked for by name (OpenID Connect Core §5.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<RequestedClaims>,
    /// What was granted beyond scope (RFC 9396).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details: Vec<serde_json::Value>,
}

/// What an authorization code remembers of its request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRequest {
    pub redirect_uri: String,
    /// Did the request name the redirect URI? Then the exchange must too (RFC 6749 §4.1.3).
    pub redirect_uri_given: bool,
    pub nonce: Option<String>,
    /// The code challenge as oxide-auth's `Pkce` encodes it.
    pub pkce: Option<String>,
    /// The key whose proof the exchange must show (RFC 9449 §10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_jkt: Option<String>,
}

/// A grant's place in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRef {
    pub id: GrantId,
    pub sid: Option<SessionId>,
    pub expires_at: DateTime<Utc>,
}

// What rides in oxide-auth's extensions, by name.
const DETAILS: &str = "referris.details";
const CODE: &str = "referris.code";
const REFERENCE: &str = "referris.grant";

/// Reads a value that [`put`] stored.
fn take<T: DeserializeOwned>(extensions: &Extensions, name: &str) -> Option<T> {
    let (_, text) = extensions.private().find(|(key, _)| *key == name)?;
    serde_json::from_str(text?).ok()
}

fn put(extensions: &mut Extensions, name: &str, value: &impl Serialize) {
    let text = serde_json::to_string(value).unwrap_or_default();
    extensions.set_raw(name.to_owned(), Value::private(Some(text)));
}

/// The parts of a grant that oxide-auth has no members for.
#[derive(Clone, Debug)]
pub struct Parts {
    pub details: GrantDetails,
    pub code: Option<CodeRequest>,
    pub reference: Option<GrantRef>,
}

impl Parts {
    /// Lays them into extensions.
    pub fn into_extensions(self) -> Extensions {
        let mut extensions = Extensions::new();
        put(&mut extensions, DETAILS, &self.details);
        if let Some(code) = &self.code {
            put(&mut extensions, CODE, code);
        }
        if let Some(reference) = &self.reference {
            put(&mut extensions, REFERENCE, reference);
        }
        extensions
    }

    /// Reads them back. `None` for a grant that did not come from here.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        Some(Self {
            details: take(extensions, DETAILS)?,
            code: take(extensions, CODE),
            reference: take(extensions, REFERENCE),
        })
    }
}

/// The scope's tokens in the order people are shown them; oxide-auth keeps a set.
pub fn scope_list(scope: &Scope) -> Vec<String> {
    let mut list: Vec<String> = scope.iter().map(str::to_owned).collect();
    list.sort_by_key(|token| (SCOPES.iter().position(|s| s == token).unwrap_or(SCOPES.len()), token.clone()));
    list
}

/// The grant for oxide-auth's machines.
pub fn to_oxide(
    user: UserId,
    client: &Client,
    redirect_uri: url::Url,
    until: DateTime<Utc>,
    parts: Parts,
) -> Option<Grant> {
    Some(Grant {
        owner_id: user.to_string(),
        client_id: client.client_id.0.clone(),
        scope: parts.details.scope.join(" ").parse().ok()?,
        redirect_uri,
        until,
        extensions: parts.into_extensions(),
    })
}

/// Does this client get refresh tokens?
pub fn refreshes(client: &Client) -> bool {
    client.may_use("refresh_token")
}

/// The sector a client is in, as [`insert_grant`] stores it, for a comparison in SQL: a grant serves in the sector it was
/// made in and no other. A client that moved ended its grants, but one that was made while it moved may be left.
pub fn sector_of(client: &Client) -> String {
    client.sector().unwrap_or_default()
}

/// When a grant made now is over. One that can't be refreshed is only kept until its last access token has expired, and
/// for as long as the session it was made in may live: by its grants a session knows the clients to tell of its end.
fn expiry(platform: &Platform, client: &Client, sid: Option<SessionId>) -> DateTime<Utc> {
    let tokens = &platform.config.tokens;
    let seconds = if refreshes(client) {
        tokens.grant_days * 86_400
    } else {
        let session = if sid.is_some() { platform.config.sessions.lifetime_hours.saturating_mul(3600) } else { 0 };
        (tokens.access_token_seconds + tokens.code_seconds + 3600).max(session)
    };
    platform.clock.now() + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 2_000_000))
}

/// Takes `offline_access` out of the scope of a client that gets no refresh token: it asks for one, and is ignored where
/// there is none to be had (OpenID Connect Core §11). Nobody is to consent to what does not come.
pub fn ignore_offline_access(client: &Client, scope: &mut Vec<String>) {
    if !refreshes(client) {
        scope.retain(|scope| scope != OFFLINE_ACCESS);
    }
}

/// Adds a grant's row.
pub async fn insert_grant(
    tx: &mut Tx,
    platform: &Platform,
    client: &Client,
    user: UserId,
    sid: Option<SessionId>,
    details: &GrantDetails,
) -> Result<GrantRef, DbError> {
    let now = platform.clock.now();
    let id = GrantId::new(&platform.random, &platform.clock);
    let expires_at = expiry(platform, client, sid);
    let sector = client.sector();
    if let Some(sector) = &sector {
        subjects::remember(tx, platform, sector, user).await?;
    }
    // Without a session that is held, it is the account: it is not planned to be deleted meanwhile.
    if sid.is_none() {
        let sql = "UPDATE users SET deletion_at = deletion_at WHERE id = $1 AND deletion_at IS NULL";
        execute!(tx, sql, user)?;
    }
    // Nothing is granted in the name of an account that is about to be deleted: as if it were gone.
    let allowed = Allowed::of(details);
    let permission = allowed.id(user, &client.client_id);
    let inserted = execute!(
        tx,
        "INSERT INTO grants (id, user_id, client_id, sid, sector, details, created_at, expires_at, permission_id) \
         SELECT $1, id, $3, $4, $5, $6, $7, $8, $9 FROM users WHERE id = $2 AND deletion_at IS NULL",
        id,
        user,
        &client.client_id,
        sid,
        sector,
        Json(details),
        now,
        expires_at,
        permission
    )?;
    if inserted == 0 {
        return Err(DbError::ForeignKeyViolation(sqlx::Error::RowNotFound));
    }
    let grant = GrantRef { id, sid, expires_at };
    permissions::note(tx, &grant, permission, user, &client.client_id, allowed, now).await?;
    Ok(grant)
}

/// What a grant is bound to by now.
pub async fn binding_of(tx: &mut Tx, grant: GrantId) -> Result<Option<Confirmation>, DbError> {
    let row: Option<(Json<GrantDetails>,)> =
        fetch_optional!(tx, (Json<GrantDetails>,), "SELECT details FROM grants WHERE id = $1", grant)?;
    Ok(row.and_then(|(Json(details),)| details.cnf))
}

/// Has a grant live for as long as grants do, and reads it: until its code was exchanged it lived as long as that
/// ([`wait_for_exchange`]). `None` for one that has ended, or that belongs to another sector than the client is in.
pub async fn begin(
    tx: &mut Tx,
    platform: &Platform,
    client: &Client,
    grant: GrantId,
) -> Result<Option<(UserId, GrantDetails, GrantRef)>, DbError> {
    let row = fetch_optional!(
        tx,
        (UserId, Option<SessionId>, Json<GrantDetails>, DateTime<Utc>),
        "UPDATE grants SET expires_at = CASE WHEN sid IS NULL THEN $2 ELSE $3 END \
         WHERE id = $1 AND revoked_at IS NULL AND COALESCE(sector, '') = $4 \
         RETURNING user_id, sid, details, expires_at",
        grant,
        expiry(platform, client, None),
        expiry(platform, client, Some(SessionId(uuid::Uuid::nil()))),
        sector_of(client)
    )?;
    let Some((user, sid, Json(details), expires_at)) = row else { return Ok(None) };
    let reference = GrantRef { id: grant, sid, expires_at };
    // The client may have become one that refreshes, so that it lives longer than what was noted with it.
    let allowed = Allowed::of(&details);
    let permission = allowed.id(user, &client.client_id);
    execute!(
        tx,
        "UPDATE grants SET permission_id = $2 WHERE id = $1 AND permission_id IS DISTINCT FROM $2",
        grant,
        permission
    )?;
    permissions::note(tx, &reference, permission, user, &client.client_id, allowed, platform.clock.now()).await?;
    Ok(Some((user, details, reference)))
}

/// Until its code is exchanged, a grant lives no longer than that: what nobody comes for leaves nothing behind that looks
/// alive.
pub async fn wait_for_exchange(tx: &mut Tx, grant: GrantId, code_expires_at: DateTime<Utc>) -> Result<(), DbError> {
    execute!(tx, "UPDATE grants SET expires_at = $2 WHERE id = $1", grant, code_expires_at)?;
    Ok(())
}

/// Replaces what a grant says.
pub async fn update_details(tx: &mut Tx, grant: GrantId, details: &GrantDetails) -> Result<(), DbError> {
    execute!(tx, "UPDATE grants SET details = $2 WHERE id = $1", grant, Json(details))?;
    Ok(())
}

/// Ends a grant: its refresh tokens at once, and its access tokens, elsewhere within a second. `false` when it had ended
/// already: then nothing is written, and nothing is to be told of it a second time.
pub async fn end_grant(tx: &mut Tx, platform: &Platform, grant: GrantId) -> Result<bool, DbError> {
    let ended = execute!(
        tx,
        "UPDATE grants SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
        grant,
        platform.clock.now()
    )?;
    if ended == 1 {
        execute!(tx, "DELETE FROM refresh_tokens WHERE grant_id = $1", grant)?;
        revocations::revoke(tx, platform, Kind::Grant, &grant.to_string()).await?;
    }
    Ok(ended == 1)
}

/// A grant that waits for the exchange of its code, and whose time seems to be over, may be about to begin: by the clock of
/// another instance, or in a transaction under way.
pub(crate) const STILL_BEGINNING: TimeDelta = TimeDelta::minutes(10);

/// A session that a grant was made in, and the sector it is in.
pub type MadeIn = (Option<SessionId>, Option<String>);

/// Ends every grant of a person to a client, however many there are. What they were made in.
pub async fn end_all_to(
    tx: &mut Tx,
    platform: &Platform,
    user: UserId,
    client: &ClientId,
) -> Result<Vec<MadeIn>, DbError> {
    let now = platform.clock.now();
    let ended: Vec<(GrantId, Option<SessionId>, Option<String>)> = fetch_all!(
        tx,
        (GrantId, Option<SessionId>, Option<String>),
        "UPDATE grants SET revoked_at = $3 \
         WHERE user_id = $1 AND client_id = $2 AND revoked_at IS NULL AND expires_at > $4 RETURNING id, sid, sector",
        user,
        client,
        now,
        now - STILL_BEGINNING
    )?;
    execute!(
        tx,
        "DELETE FROM refresh_tokens WHERE grant_id IN \
           (SELECT id FROM grants WHERE user_id = $1 AND client_id = $2 AND revoked_at IS NOT NULL)",
        user,
        client
    )?;
    let mut made_in = vec![];
    for (grant, sid, sector) in ended {
        revocations::revoke(tx, platform, Kind::Grant, &grant.to_string()).await?;
        made_in.push((sid, sector));
    }
    Ok(made_in)
}

/// The issuer for clients that act for themselves: nothing is stored (RFC 6749 §4.4.3: no refresh token).
pub struct Stateless<'a> {
    pub platform: &'a Platform,
}

#[async_trait]
impl Issuer for Stateless<'_> {
    async fn issue(&mut self, grant: Grant) -> Result<IssuedToken, ()> {
        let token = self.platform.random.uuid_v7(&self.platform.clock).to_string();
        Ok(IssuedToken { token, refresh: None, until: grant.until, token_type: TokenType::Bearer })
    }

    async fn refresh(&mut self, _token: &str, _grant: Grant) -> Result<RefreshedToken, ()> {
        Err(())
    }

    async fn recover_token(&mut self, _token: &str) -> Result<Option<Grant>, ()> {
        Ok(None)
    }

    async fn recover_refresh(&mut self, _token: &str) -> Result<Option<Grant>, ()> {
        Ok(None)
    }
}
