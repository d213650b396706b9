//! Revocation by an operator: of one grant, or of all that match a person, a client and a session.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use shared::db::{Conn, DbError};
use shared::ids::{ClientId, GrantId, SessionId, UserId};
use shared::revocations::{self, Kind};
use shared::{Platform, audit, fetch_all};
use sqlx::types::Json;

use super::{GrantDetails, STILL_BEGINNING, end_grant};
use crate::sessions;

/// Which grants are meant: those that match every member that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    pub user: Option<UserId>,
    pub client: Option<ClientId>,
    pub session: Option<SessionId>,
    pub grant: Option<GrantId>,
}

impl Which {
    /// Is everything of one client meant?
    pub fn is_client_alone(&self) -> bool {
        matches!(self, Self { user: None, client: Some(_), session: None, grant: None })
    }
}

/// A live grant.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    pub grant_id: GrantId,
    pub user_id: UserId,
    pub client_id: ClientId,
    pub sid: Option<SessionId>,
    pub scope: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Grants that are revoked in one transaction at most.
const BATCH: i64 = 500;

type Row = (GrantId, UserId, ClientId, Option<SessionId>, Json<GrantDetails>, DateTime<Utc>, DateTime<Utc>);

/// The grants that are neither revoked nor over, oldest first; at most `limit`.
pub async fn list(conn: &mut Conn, which: &Which, now: DateTime<Utc>, limit: i64) -> Result<Vec<Listed>, DbError> {
    // The flags say which conditions count: an absent parameter has no type of its own on PostgreSQL.
    let nil = uuid::Uuid::nil();
    let rows: Vec<Row> = fetch_all!(
        conn,
        Row,
        "SELECT id, user_id, client_id, sid, details, created_at, expires_at FROM grants \
         WHERE revoked_at IS NULL AND expires_at > $1 \
           AND ($2 OR user_id = $3) AND ($4 OR client_id = $5) AND ($6 OR sid = $7) AND ($8 OR id = $9) \
         ORDER BY id LIMIT $10",
        now,
        which.user.is_none(),
        which.user.unwrap_or(UserId(nil)),
        which.client.is_none(),
        which.client.clone().unwrap_or_else(|| ClientId(String::new())),
        which.session.is_none(),
        which.session.unwrap_or(SessionId(nil)),
        which.grant.is_none(),
        which.grant.unwrap_or(GrantId(nil)),
        limit
    )?;
    let listed = |(grant_id, user_id, client_id, sid, Json(details), created_at, expires_at): Row| Listed {
        grant_id,
        user_id,
        client_id,
        sid,
        scope: details.scope,
        created_at,
        expires_at,
    };
    Ok(rows.into_iter().map(listed).collect())
}

/// Revokes what is meant, and returns the grants that ended. A session by itself is signed out, and a person by itself
/// everywhere: the clients are told. Anything narrower ends grants and leaves the browser signed in.
pub async fn revoke(platform: &Platform, which: &Which) -> Result<Vec<GrantId>, DbError> {
    match which {
        Which { user: None, client: None, session: Some(sid), grant: None } => end_session(platform, which, *sid).await,
        Which { user: Some(user), client: None, session: None, grant: None } => {
            let mut tx = platform.db.begin().await?;
            let ended = list(&mut tx, which, platform.clock.now(), i64::MAX).await?;
            sessions::end_all_of(&mut tx, platform, *user).await?;
            let details = json!({ "why": "operator", "grants": ended.len() });
            audit::record(&mut tx, platform, "account.signed_out", Some(*user), None, details).await?;
            tx.commit().await?;
            Ok(ended.into_iter().map(|grant| grant.grant_id).collect())
        }
        _ => {
            let mut ended = vec![];
            loop {
                let batch = end_batch(platform, which).await?;
                if batch.is_empty() {
                    break;
                }
                ended.extend(batch);
            }
            if let Some(client) = which.client.as_ref().filter(|_| which.is_client_alone()) {
                end_own_tokens(platform, client).await?;
            }
            Ok(ended)
        }
    }
}

/// What a client got in its own name belongs to no grant: everything that was issued to it so far ends.
async fn end_own_tokens(platform: &Platform, client: &ClientId) -> Result<(), DbError> {
    let mut tx = platform.db.begin().await?;
    revocations::revoke(&mut tx, platform, Kind::Client, client.as_str()).await?;
    let details = json!({ "why": "operator" });
    audit::record(&mut tx, platform, "client.tokens_revoked", None, Some(client), details).await?;
    tx.commit().await
}

async fn end_session(platform: &Platform, which: &Which, sid: SessionId) -> Result<Vec<GrantId>, DbError> {
    let mut tx = platform.db.begin().await?;
    let before = list(&mut tx, which, platform.clock.now(), i64::MAX).await?;
    sessions::end(&mut tx, platform, sid).await?;
    audit::record(&mut tx, platform, "session.ended", None, None, json!({ "sid": sid, "why": "operator" })).await?;
    let mut ended = vec![];
    for grant in before {
        // What was granted for the time after the session goes on.
        let this = Which { grant: Some(grant.grant_id), ..Which::default() };
        if list(&mut tx, &this, platform.clock.now(), 1).await?.is_empty() {
            ended.push(grant.grant_id);
        }
    }
    tx.commit().await?;
    Ok(ended)
}

async fn end_batch(platform: &Platform, which: &Which) -> Result<Vec<GrantId>, DbError> {
    let mut tx = platform.db.begin().await?;
    let grants = list(&mut tx, which, platform.clock.now() - STILL_BEGINNING, BATCH).await?;
    for grant in &grants {
        if !end_grant(&mut tx, platform, grant.grant_id).await? {
            continue;
        }
        let details = json!({ "grant": grant.grant_id, "why": "operator" });
        let client = Some(&grant.client_id);
        audit::record(&mut tx, platform, "grant.revoked", Some(grant.user_id), client, details).await?;
    }
    tx.commit().await?;
    Ok(grants.into_iter().map(|grant| grant.grant_id).collect())
}
