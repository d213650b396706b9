//! What people allowed apps, each different thing once: many grants say the same, one for each sign-in to an app.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::db::{Conn, DbError, Tx};
use shared::ids::{ClientId, GrantId, PermissionId, UserId};
use shared::{execute, fetch_all, fetch_optional};
use sqlx::types::Json;

use super::{GrantDetails, GrantRef};

/// What is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    #[serde(default)]
    pub scope: Vec<String>,
    /// RFC 9396.
    #[serde(default)]
    pub authorization_details: Vec<serde_json::Value>,
}

impl Allowed {
    pub(super) fn of(details: &GrantDetails) -> Self {
        let mut scope = details.scope.clone();
        scope.sort_unstable();
        scope.dedup();
        Self { scope, authorization_details: details.authorization_details.clone() }
    }

    /// Names this for that person and that client, and nothing else.
    pub(super) fn id(&self, user: UserId, client: &ClientId) -> PermissionId {
        let text = serde_json::json!([user, client, self]).to_string();
        let digest = Sha256::digest(text);
        let half = std::array::from_fn(|n| digest[n]);
        PermissionId(uuid::Builder::from_custom_bytes(half).into_uuid())
    }
}

/// What an app may do, and for how long it has been so.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Permission {
    pub client_id: ClientId,
    pub details: Json<Allowed>,
    pub since: DateTime<Utc>,
    /// When the app got a refresh token last.
    pub used_at: Option<DateTime<Utc>>,
}

/// A permission outlives its grants by so much, so that few of them lengthen it.
const SPARE: TimeDelta = TimeDelta::days(1);
/// How exactly it is known when a permission was used: or everything that one person has at one app would wait for one row.
const USED: TimeDelta = TimeDelta::minutes(1);

/// Notes what a grant allows that was just made, or that lives longer from now on, in its transaction. After the grant,
/// which holds the account: who deletes one takes the account first too.
pub(super) async fn note(
    tx: &mut Tx,
    grant: &GrantRef,
    id: PermissionId,
    user: UserId,
    client: &ClientId,
    allowed: Allowed,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    // Most grants allow what others do that are alive: nothing is written then, for all would write the same row.
    let known: Option<(PermissionId,)> = fetch_optional!(
        tx,
        (PermissionId,),
        "SELECT id FROM app_permissions p WHERE id = $1 AND expires_at >= $2 \
           AND EXISTS (SELECT 1 FROM grants g WHERE g.permission_id = p.id AND g.id <> $3 \
                         AND g.revoked_at IS NULL AND g.expires_at > $4)",
        id,
        grant.expires_at,
        grant.id,
        now
    )?;
    if known.is_some() {
        return Ok(());
    }
    // What had ended begins anew.
    execute!(
        tx,
        "INSERT INTO app_permissions (id, user_id, client_id, details, since, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (id) DO UPDATE SET \
           since = CASE WHEN EXISTS (SELECT 1 FROM grants g WHERE g.permission_id = $1 AND g.id <> $7 \
                                       AND g.revoked_at IS NULL AND g.expires_at > $5) \
                        THEN app_permissions.since ELSE $5 END, \
           used_at = CASE WHEN EXISTS (SELECT 1 FROM grants g WHERE g.permission_id = $1 AND g.id <> $7 \
                                         AND g.revoked_at IS NULL AND g.expires_at > $5) \
                          THEN app_permissions.used_at END, \
           expires_at = CASE WHEN app_permissions.expires_at > $6 THEN app_permissions.expires_at ELSE $6 END",
        id,
        user,
        client,
        Json(allowed),
        now,
        grant.expires_at + SPARE,
        grant.id
    )?;
    Ok(())
}

/// Notes that the app of a grant got a refresh token.
pub(super) async fn used(tx: &mut Tx, grant: GrantId, now: DateTime<Utc>) -> Result<(), DbError> {
    execute!(
        tx,
        "UPDATE app_permissions SET used_at = $2 \
         WHERE id = (SELECT permission_id FROM grants WHERE id = $1) AND (used_at IS NULL OR used_at <= $3)",
        grant,
        now,
        now - USED
    )?;
    Ok(())
}

/// All that a person allows apps now.
pub async fn live(conn: &mut Conn, user: UserId, now: DateTime<Utc>) -> Result<Vec<Permission>, DbError> {
    let mut live: Vec<Permission> = fetch_all!(
        conn,
        Permission,
        "SELECT client_id, details, since, used_at FROM app_permissions p \
         WHERE user_id = $1 AND EXISTS (SELECT 1 FROM grants g WHERE g.permission_id = p.id \
                                          AND g.revoked_at IS NULL AND g.expires_at > $2) ORDER BY since",
        user,
        now
    )?;
    // A service of the release before, which knows of no permissions, may have granted something since.
    let unnoted: Vec<Permission> = fetch_all!(
        conn,
        Permission,
        "SELECT client_id, details, created_at AS since, CAST(NULL AS TIMESTAMPTZ) AS used_at FROM grants \
         WHERE user_id = $1 AND permission_id IS NULL AND revoked_at IS NULL AND expires_at > $2",
        user,
        now
    )?;
    live.extend(unnoted);
    Ok(live)
}
