//! Refresh tokens: oxide-auth's issuer over one transaction, with rotation and reuse detection (RFC 9700 §4.14.2).

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use oxide_auth::primitives::grant::Grant;
use oxide_auth::primitives::issuer::{IssuedToken, RefreshedToken, TokenType};
use oxide_auth_async::primitives::Issuer;
use shared::Platform;
use shared::db::{Conn, DbError, Tx};
use shared::ids::{GrantId, SessionId, UserId};
use shared::secret::{self, PlainToken, TokenHash};
use shared::{execute, fetch_optional};
use sqlx::types::Json;

use super::super::binding::Confirmation;
use super::{GrantDetails, GrantRef, Parts, permissions, refreshes, sector_of, to_oxide};
use crate::clients::Client;

/// Refresh tokens of one request, and the id of the access token that goes with them. Access tokens themselves are
/// signed after the machine, which knows nothing of their claims.
pub struct RefreshTokens<'a> {
    pub tx: &'a mut Tx,
    pub platform: &'a Platform,
    pub client: &'a Client,
    /// The grant of the token that is refreshed.
    recovered: Option<Grant>,
    /// Why the store failed.
    pub failure: Option<DbError>,
    /// The grant of a token that had been used before, and not just now.
    pub reused: Option<(GrantId, UserId)>,
}

impl<'a> RefreshTokens<'a> {
    pub fn new(tx: &'a mut Tx, platform: &'a Platform, client: &'a Client) -> Self {
        Self { tx, platform, client, recovered: None, failure: None, reused: None }
    }

    /// For the refresh of a token of this grant ([`recover`]).
    pub fn of(self, grant: Grant) -> Self {
        Self { recovered: Some(grant), ..self }
    }

    /// The first refresh token of a grant.
    pub async fn first(&mut self, reference: &GrantRef) -> Result<PlainToken, DbError> {
        let token = PlainToken::new(&self.platform.random);
        self.insert(&token, reference).await?;
        Ok(token)
    }

    async fn insert(&mut self, token: &PlainToken, reference: &GrantRef) -> Result<(), DbError> {
        let now = self.platform.clock.now();
        let expires_at = self.idle_expiry(now).min(reference.expires_at);
        execute!(
            self.tx,
            "INSERT INTO refresh_tokens (token_hash, grant_id, client_id, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5)",
            token.hash(),
            reference.id,
            &self.client.client_id,
            now,
            expires_at
        )?;
        permissions::used(self.tx, reference.id, now).await
    }

    async fn rotate(
        &mut self,
        token: &PlainToken,
        reference: &GrantRef,
        user: UserId,
    ) -> Result<Option<PlainToken>, DbError> {
        let now = self.platform.clock.now();
        // FAPI 2.0 Security Profile §5.3.2.1: no rotation. What is stolen is of no use without the client's key.
        if self.client.is_fapi2() {
            let expires_at = self.idle_expiry(now).min(reference.expires_at);
            let kept = execute!(
                self.tx,
                "UPDATE refresh_tokens SET expires_at = $3 \
                 WHERE token_hash = $1 AND client_id = $2 AND consumed_at IS NULL AND expires_at > $4 \
                   AND EXISTS (SELECT 1 FROM grants g WHERE g.id = grant_id AND g.revoked_at IS NULL)",
                token.hash(),
                &self.client.client_id,
                expires_at,
                now
            )?;
            if kept == 1 {
                permissions::used(self.tx, reference.id, now).await?;
                return Ok(Some(PlainToken::presented(token.reveal())));
            }
        }
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
        // It may have waited for whoever was first, and have come before them: without leeway there is none all the same.
        if leeway > 0
            && now < consumed_at + TimeDelta::seconds(leeway)
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

    /// When a token that is not used expires.
    fn idle_expiry(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let days = i64::try_from(self.platform.config.tokens.refresh_token_days).unwrap_or(30);
        now + TimeDelta::days(days)
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

    async fn recover_refresh(&mut self, _token: &str) -> Result<Option<Grant>, ()> {
        Ok(self.recovered.take())
    }
}

/// The grant of a refresh token, for the client that may use it with what its request proves to hold. Changes nothing, so
/// that who shows nonsense takes no write lock; whether the token was used is for the guarded statement that uses it.
pub async fn recover(
    conn: &mut Conn,
    platform: &Platform,
    client: &Client,
    binding: Option<&Confirmation>,
    token: &PlainToken,
) -> Result<Option<Grant>, DbError> {
    let row = fetch_optional!(
        conn,
        (GrantId, UserId, Option<SessionId>, Json<GrantDetails>, DateTime<Utc>),
        "SELECT g.id, g.user_id, g.sid, g.details, g.expires_at \
         FROM refresh_tokens t JOIN grants g ON g.id = t.grant_id \
         WHERE t.token_hash = $1 AND t.client_id = $2 AND t.expires_at > $3 \
           AND g.revoked_at IS NULL AND g.expires_at > $3 AND COALESCE(g.sector, '') = $4",
        token.hash(),
        &client.client_id,
        platform.clock.now(),
        sector_of(client)
    )?;
    let Some((id, user, sid, Json(details), expires_at)) = row else { return Ok(None) };
    // What was bound stays bound (RFC 9449 §5, RFC 8705 §4). Whoever has the token without the key learns nothing of it,
    // nor does the attempt count as a second use: or a thief of an old token could end the family.
    if details.cnf.is_some() && details.cnf.as_ref() != binding {
        return Ok(None);
    }
    let Ok(nowhere) = "urn:referris:no-redirect".parse() else { return Ok(None) };
    let reference = Some(GrantRef { id, sid, expires_at });
    Ok(to_oxide(user, client, nowhere, expires_at, Parts { details, code: None, reference }))
}
