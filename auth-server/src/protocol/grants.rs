//! What people allowed clients, and the single-use things that stand for it: authorization codes and refresh tokens.
//! oxide-auth's authorizer and issuer over one transaction; a value lives for one request.
//!
//! The client has authenticated before any of this runs, and every statement names it: a thief can neither use nor
//! burn another client's code.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use oxide_auth::primitives::grant::{Extensions, Grant, Value};
use oxide_auth::primitives::issuer::{IssuedToken, RefreshedToken, TokenType};
use oxide_auth::primitives::scope::Scope;
use oxide_auth_async::primitives::{Authorizer, Issuer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared::Platform;
use shared::db::{DbError, Tx};
use shared::ids::{GrantId, SessionId, UserId};
use shared::revocations::{self, Kind};
use shared::secret::{self, PlainToken, TokenHash};
use shared::{execute, fetch_optional};
use sqlx::types::Json;

use crate::clients::{Client, SCOPES};

/// What a grant says beyond whom and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantDetails {
    pub scope: Vec<String>,
    /// The resources the client named (RFC 8707); empty: any that the scope implies.
    pub resource: Vec<String>,
    pub auth_time: DateTime<Utc>,
    pub acr: String,
    pub amr: Vec<String>,
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

/// Adds a grant's row. One that can't be refreshed is only kept until its last access token has expired.
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
    let tokens = &platform.config.tokens;
    let seconds = if refreshes(client) {
        tokens.grant_days * 86_400
    } else {
        tokens.access_token_seconds + tokens.code_seconds + 3600
    };
    let expires_at = now + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 2_000_000));
    execute!(
        tx,
        "INSERT INTO grants (id, user_id, client_id, sid, details, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id,
        user,
        &client.client_id,
        sid,
        Json(details),
        now,
        expires_at
    )?;
    Ok(GrantRef { id, sid, expires_at })
}

/// Ends a grant: its refresh tokens and, within a second, its access tokens.
pub async fn end_grant(tx: &mut Tx, platform: &Platform, grant: GrantId) -> Result<(), DbError> {
    execute!(
        tx,
        "UPDATE grants SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
        grant,
        platform.clock.now()
    )?;
    execute!(tx, "DELETE FROM refresh_tokens WHERE grant_id = $1", grant)?;
    revocations::revoke(tx, platform, Kind::Grant, &grant.to_string()).await
}

/// Authorization codes of one request.
pub struct Codes<'a> {
    pub tx: &'a mut Tx,
    pub platform: &'a Platform,
    pub client: &'a Client,
    /// The browser session a new code comes from.
    pub sid: Option<SessionId>,
    /// Why the store failed: oxide-auth's traits have no room for it.
    pub failure: Option<DbError>,
    /// The grant of a code that had been used before (RFC 6749 §4.1.2).
    pub replayed: Option<GrantId>,
}

impl<'a> Codes<'a> {
    pub fn new(tx: &'a mut Tx, platform: &'a Platform, client: &'a Client, sid: Option<SessionId>) -> Self {
        Self { tx, platform, client, sid, failure: None, replayed: None }
    }

    async fn insert(&mut self, grant: Grant) -> Result<Option<PlainToken>, DbError> {
        let Some(Parts { details, code: Some(request), .. }) = Parts::of(&grant.extensions) else { return Ok(None) };
        let Ok(user) = grant.owner_id.parse::<UserId>() else { return Ok(None) };
        let reference = insert_grant(self.tx, self.platform, self.client, user, self.sid, &details).await?;
        let code = PlainToken::new(&self.platform.random);
        execute!(
            self.tx,
            "INSERT INTO authorization_codes (code_hash, grant_id, client_id, request, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            code.hash(),
            reference.id,
            &self.client.client_id,
            Json(request),
            self.platform.clock.now(),
            grant.until
        )?;
        Ok(Some(code))
    }

    async fn consume(&mut self, code: &PlainToken) -> Result<Option<Grant>, DbError> {
        let now = self.platform.clock.now();
        let consumed = fetch_optional!(
            self.tx,
            (GrantId, Json<CodeRequest>, DateTime<Utc>),
            "UPDATE authorization_codes SET consumed_at = $3 \
             WHERE code_hash = $1 AND client_id = $2 AND consumed_at IS NULL AND expires_at > $3 \
             RETURNING grant_id, request, expires_at",
            code.hash(),
            &self.client.client_id,
            now
        )?;
        let Some((grant_id, Json(request), until)) = consumed else {
            let used: Option<(GrantId,)> = fetch_optional!(
                self.tx,
                (GrantId,),
                "SELECT grant_id FROM authorization_codes \
                 WHERE code_hash = $1 AND client_id = $2 AND consumed_at IS NOT NULL",
                code.hash(),
                &self.client.client_id
            )?;
            self.replayed = used.map(|(grant,)| grant);
            return Ok(None);
        };
        let granted = fetch_optional!(
            self.tx,
            (UserId, Option<SessionId>, Json<GrantDetails>, DateTime<Utc>),
            "SELECT user_id, sid, details, expires_at FROM grants WHERE id = $1 AND revoked_at IS NULL",
            grant_id
        )?;
        let Some((user, sid, Json(details), expires_at)) = granted else { return Ok(None) };
        let Ok(redirect_uri) = request.redirect_uri.parse() else { return Ok(None) };
        let reference = Some(GrantRef { id: grant_id, sid, expires_at });
        Ok(to_oxide(user, self.client, redirect_uri, until, Parts { details, code: Some(request), reference }))
    }
}

#[async_trait]
impl Authorizer for Codes<'_> {
    async fn authorize(&mut self, grant: Grant) -> Result<String, ()> {
        match self.insert(grant).await {
            Ok(Some(code)) => Ok(code.reveal().to_owned()),
            Ok(None) => Err(()),
            Err(failure) => {
                self.failure = Some(failure);
                Err(())
            }
        }
    }

    async fn extract(&mut self, code: &str) -> Result<Option<Grant>, ()> {
        self.consume(&PlainToken::presented(code)).await.map_err(|failure| self.failure = Some(failure))
    }
}

/// What a code's request said about its redirect URI, for the client that may exchange it. Changes nothing.
pub async fn peek_code(tx: &mut Tx, client: &Client, code: &PlainToken) -> Result<Option<CodeRequest>, DbError> {
    let row: Option<(Json<CodeRequest>,)> = fetch_optional!(
        tx,
        (Json<CodeRequest>,),
        "SELECT request FROM authorization_codes WHERE code_hash = $1 AND client_id = $2",
        code.hash(),
        &client.client_id
    )?;
    Ok(row.map(|(Json(request),)| request))
}

/// Refresh tokens of one request, and the id of the access token that goes with them. Access tokens themselves are
/// signed after the machine, which knows nothing of their claims.
pub struct RefreshTokens<'a> {
    pub tx: &'a mut Tx,
    pub platform: &'a Platform,
    pub client: &'a Client,
    /// Why the store failed.
    pub failure: Option<DbError>,
    /// The grant of a token that had been used before, and not just now.
    pub reused: Option<(GrantId, UserId)>,
}

impl<'a> RefreshTokens<'a> {
    pub fn new(tx: &'a mut Tx, platform: &'a Platform, client: &'a Client) -> Self {
        Self { tx, platform, client, failure: None, reused: None }
    }

    /// The first refresh token of a grant.
    pub async fn first(&mut self, reference: &GrantRef) -> Result<PlainToken, DbError> {
        let token = PlainToken::new(&self.platform.random);
        self.insert(&token, reference).await?;
        Ok(token)
    }

    async fn insert(&mut self, token: &PlainToken, reference: &GrantRef) -> Result<(), DbError> {
        let now = self.platform.clock.now();
        let days = i64::try_from(self.platform.config.tokens.refresh_token_days).unwrap_or(30);
        execute!(
            self.tx,
            "INSERT INTO refresh_tokens (token_hash, grant_id, client_id, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5)",
            token.hash(),
            reference.id,
            &self.client.client_id,
            now,
            (now + TimeDelta::days(days)).min(reference.expires_at)
        )?;
        Ok(())
    }

    async fn recover(&mut self, token: &PlainToken) -> Result<Option<Grant>, DbError> {
        let row = fetch_optional!(
            self.tx,
            (GrantId, UserId, Option<SessionId>, Json<GrantDetails>, DateTime<Utc>),
            "SELECT g.id, g.user_id, g.sid, g.details, g.expires_at \
             FROM refresh_tokens t JOIN grants g ON g.id = t.grant_id \
             WHERE t.token_hash = $1 AND t.client_id = $2 AND t.expires_at > $3 \
               AND g.revoked_at IS NULL AND g.expires_at > $3",
            token.hash(),
            &self.client.client_id,
            self.platform.clock.now()
        )?;
        let Some((id, user, sid, Json(details), expires_at)) = row else { return Ok(None) };
        let Ok(nowhere) = "urn:referris:no-redirect".parse() else { return Ok(None) };
        let reference = Some(GrantRef { id, sid, expires_at });
        Ok(to_oxide(user, self.client, nowhere, expires_at, Parts { details, code: None, reference }))
    }

    async fn rotate(
        &mut self,
        token: &PlainToken,
        reference: &GrantRef,
        user: UserId,
    ) -> Result<Option<PlainToken>, DbError> {
        let now = self.platform.clock.now();
        let successor = PlainToken::new(&self.platform.random);
        let key = secret::derive_key(token.reveal().as_bytes(), "refresh-successor");
        let sealed = secret::seal(&key, token.hash().as_bytes(), successor.reveal().as_bytes(), &self.platform.random);
        let rotated = execute!(
            self.tx,
            "UPDATE refresh_tokens SET consumed_at = $3, sealed_successor = $4, successor_hash = $5 \
             WHERE token_hash = $1 AND client_id = $2 AND consumed_at IS NULL AND expires_at > $3 \
               AND EXISTS (SELECT 1 FROM grants g WHERE g.id = grant_id AND g.revoked_at IS NULL)",
            token.hash(),
            &self.client.client_id,
            now,
            sealed,
            successor.hash()
        )?;
        if rotated == 1 {
            self.insert(&successor, reference).await?;
            return Ok(Some(successor));
        }
        // Someone was here before. The client itself, whose answer got lost a moment ago? Then it gets the same
        // successor again, as long as nobody has used that one.
        let leeway = i64::try_from(self.platform.config.tokens.refresh_leeway_seconds).unwrap_or(10);
        let used = fetch_optional!(
            self.tx,
            (DateTime<Utc>, Option<Vec<u8>>, Option<TokenHash>, Option<DateTime<Utc>>),
            "SELECT t.consumed_at, t.sealed_successor, s.token_hash, s.consumed_at \
             FROM refresh_tokens t LEFT JOIN refresh_tokens s ON s.token_hash = t.successor_hash \
             WHERE t.token_hash = $1 AND t.client_id = $2 AND t.consumed_at IS NOT NULL",
            token.hash(),
            &self.client.client_id
        )?;
        let Some((consumed_at, sealed, successor_hash, successor_used_at)) = used else { return Ok(None) };
        if now < consumed_at + TimeDelta::seconds(leeway)
            && successor_used_at.is_none()
            && let (Some(sealed), Some(successor_hash)) = (sealed, successor_hash)
            && let Ok(plain) = secret::open(&key, token.hash().as_bytes(), &sealed)
            && let Ok(plain) = std::str::from_utf8(&plain)
        {
            let successor = PlainToken::presented(plain);
            if successor_hash.matches(&successor) {
                return Ok(Some(successor));
            }
        }
        self.reused = Some((reference.id, user));
        Ok(None)
    }

    fn access_token_id(&self) -> String {
        self.platform.random.uuid_v4().to_string()
    }

    fn access_token_expiry(&self) -> DateTime<Utc> {
        let seconds = i64::try_from(self.platform.config.tokens.access_token_seconds).unwrap_or(600);
        self.platform.clock.now() + TimeDelta::seconds(seconds)
    }
}

#[async_trait]
impl Issuer for RefreshTokens<'_> {
    /// `token` of the answer is the access token's `jti`.
    async fn issue(&mut self, grant: Grant) -> Result<IssuedToken, ()> {
        let refresh = match Parts::of(&grant.extensions) {
            Some(Parts { reference: Some(reference), .. }) if refreshes(self.client) => {
                let first = self.first(&reference).await.map_err(|failure| self.failure = Some(failure))?;
                Some(first.reveal().to_owned())
            }
            _ => None,
        };
        Ok(IssuedToken {
            token: self.access_token_id(),
            refresh,
            until: self.access_token_expiry(),
            token_type: TokenType::Bearer,
        })
    }

    async fn refresh(&mut self, token: &str, grant: Grant) -> Result<RefreshedToken, ()> {
        let reference = Parts::of(&grant.extensions).and_then(|parts| parts.reference).ok_or(())?;
        let user = grant.owner_id.parse().map_err(|_| ())?;
        let token = PlainToken::presented(token);
        let rotated = self.rotate(&token, &reference, user).await.map_err(|failure| self.failure = Some(failure))?;
        let successor = rotated.ok_or(())?;
        Ok(RefreshedToken {
            token: self.access_token_id(),
            refresh: Some(successor.reveal().to_owned()),
            until: self.access_token_expiry(),
            token_type: TokenType::Bearer,
        })
    }

    /// JWT access tokens are not stored ([`super::bearer`] verifies them).
    async fn recover_token(&mut self, _token: &str) -> Result<Option<Grant>, ()> {
        Ok(None)
    }

    async fn recover_refresh(&mut self, token: &str) -> Result<Option<Grant>, ()> {
        self.recover(&PlainToken::presented(token)).await.map_err(|failure| self.failure = Some(failure))
    }
}

/// The issuer for clients that act for themselves: nothing is stored (RFC 6749 §4.4.3: no refresh token).
pub struct Stateless<'a> {
    pub platform: &'a Platform,
}

#[async_trait]
impl Issuer for Stateless<'_> {
    async fn issue(&mut self, grant: Grant) -> Result<IssuedToken, ()> {
        let token = self.platform.random.uuid_v4().to_string();
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
