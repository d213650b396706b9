//! Authorization codes: oxide-auth's authorizer over one transaction. Single use, by one guarded statement.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use oxide_auth::primitives::grant::Grant;
use oxide_auth_async::primitives::Authorizer;
use shared::Platform;
use shared::db::{Conn, DbError, Tx};
use shared::ids::{GrantId, SessionId, UserId};
use shared::secret::PlainToken;
use shared::{execute, fetch_optional};
use sqlx::types::Json;

use super::{CodeRequest, Parts, insert_grant, to_oxide, wait_for_exchange};
use crate::clients::Client;

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
        wait_for_exchange(self.tx, reference.id, grant.until).await?;
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
        let granted = super::begin(self.tx, self.platform, self.client, grant_id).await?;
        let Some((user, details, reference)) = granted else { return Ok(None) };
        let Ok(redirect_uri) = request.redirect_uri.parse() else { return Ok(None) };
        let parts = Parts { details, code: Some(request), reference: Some(reference) };
        Ok(to_oxide(user, self.client, redirect_uri, until, parts))
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

/// What a code's request said about its redirect URI, for the client that may exchange it. Changes nothing, so that who
/// shows nonsense takes no write lock; and what came of a code that was used and ended can't be ended again.
pub async fn peek_code(conn: &mut Conn, client: &Client, code: &PlainToken) -> Result<Option<CodeRequest>, DbError> {
    let row: Option<(Json<CodeRequest>,)> = fetch_optional!(
        conn,
        (Json<CodeRequest>,),
        "SELECT c.request FROM authorization_codes c JOIN grants g ON g.id = c.grant_id \
         WHERE c.code_hash = $1 AND c.client_id = $2 AND g.revoked_at IS NULL",
        code.hash(),
        &client.client_id
    )?;
    Ok(row.map(|(Json(request),)| request))
}
