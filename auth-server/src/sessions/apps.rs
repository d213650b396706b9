//! The apps that a person is connected with: what they allowed each, and how that ends.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::db::{Conn, DbError, Tx};
use shared::ids::{ClientId, GrantId, SessionId, UserId};
use shared::{Platform, audit, execute, fetch_all};
use sqlx::types::Json;

use super::relying_parties;
use crate::clients::{self, Client, SCOPES};
use crate::protocol::grants::end_grant;

/// Of somebody's grants, the newest that are read for what they allow and when they were used. Each sign-in to an app makes
/// one. Of an app that is not among them, as many of its own.
const NEWEST: i64 = 100;

/// An app and what it may do.
#[derive(Clone, Debug)]
pub struct Connected {
    pub client: Client,
    pub scope: Vec<String>,
    /// What was granted beyond scope (RFC 9396).
    pub authorization_details: Vec<Value>,
    pub since: DateTime<Utc>,
    /// When it asked for fresh access last, as far as that is kept.
    pub used_at: Option<DateTime<Utc>>,
}

#[derive(Default)]
struct Known {
    scope: BTreeSet<String>,
    authorization_details: Vec<Value>,
    since: Option<DateTime<Utc>>,
    used_at: Option<DateTime<Utc>>,
    /// Is there a word on what it may do?
    is_described: bool,
}

impl Known {
    fn add(&mut self, grants: Alike) {
        self.is_described = true;
        self.scope.extend(grants.scope.map(|Json(scope)| scope).unwrap_or_default());
        self.used_at = self.used_at.max(grants.used_at);
        for detail in grants.authorization_details.map(|Json(details)| details).unwrap_or_default() {
            if !self.authorization_details.contains(&detail) {
                self.authorization_details.push(detail);
            }
        }
    }
}

/// Grants of an app that allow the same.
#[derive(sqlx::FromRow)]
struct Alike {
    client_id: ClientId,
    scope: Option<Json<Vec<String>>>,
    authorization_details: Option<Json<Vec<Value>>>,
    used_at: Option<DateTime<Utc>>,
}

/// The apps with a consent or a live grant of this person, by name.
pub async fn connected(conn: &mut Conn, user: UserId, now: DateTime<Utc>) -> Result<Vec<Connected>, DbError> {
    let mut known: BTreeMap<ClientId, Known> = BTreeMap::new();
    let consents = fetch_all!(
        conn,
        (ClientId, Json<Value>, DateTime<Utc>),
        "SELECT client_id, consent, granted_at FROM consents WHERE user_id = $1",
        user
    )?;
    for (client, Json(consent), granted_at) in consents {
        let app = known.entry(client).or_default();
        let scope = consent["scope"].as_array().into_iter().flatten();
        app.scope.extend(scope.filter_map(|scope| scope.as_str().map(str::to_owned)));
        app.since = Some(granted_at);
        app.is_described = true;
    }
    // All of them, so that no app is missing that could be disconnected.
    let grants = fetch_all!(
        conn,
        (ClientId, DateTime<Utc>),
        "SELECT client_id, MIN(created_at) FROM grants \
         WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 GROUP BY client_id",
        user,
        now
    )?;
    for (client, since) in grants {
        let app = known.entry(client).or_default();
        app.since = Some(app.since.map_or(since, |before| before.min(since)));
    }
    for grants in newest(conn, user, None, now).await? {
        known.entry(grants.client_id.clone()).or_default().add(grants);
    }
    // Those that were not signed in to for so long.
    for (client, app) in known.iter_mut().filter(|(_, app)| !app.is_described) {
        for grants in newest(conn, user, Some(client), now).await? {
            app.add(grants);
        }
    }
    let mut apps = vec![];
    for (client_id, app) in known {
        let Some(client) = clients::by_id(conn, &client_id).await? else { continue };
        let mut scope: Vec<String> = app.scope.into_iter().filter(|s| SCOPES.contains(&s.as_str())).collect();
        scope.sort_by_key(|token| SCOPES.iter().position(|s| s == token));
        let Known { authorization_details, since, used_at, .. } = app;
        let since = since.unwrap_or(client.created_at);
        apps.push(Connected { client, scope, authorization_details, since, used_at });
    }
    apps.sort_by_key(|app| app.client.name.to_lowercase());
    Ok(apps)
}

/// The newest live grants of a person (those to `client`), by what they allow: most sign-ins allow the same, and the database
/// says what differs. It reads them in the order of an index, without sorting.
async fn newest(
    conn: &mut Conn,
    user: UserId,
    client: Option<&ClientId>,
    now: DateTime<Utc>,
) -> Result<Vec<Alike>, DbError> {
    fetch_all!(
        conn,
        Alike,
        "SELECT client_id, details -> 'scope' AS scope, details -> 'authorization_details' AS authorization_details, \
           MAX(used_at) AS used_at FROM \
           (SELECT client_id, details, (SELECT MAX(r.created_at) FROM refresh_tokens r WHERE r.grant_id = g.id) AS used_at \
            FROM grants g WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 \
              AND (CAST($4 AS TEXT) IS NULL OR client_id = $4) ORDER BY id DESC LIMIT $3) newest \
         GROUP BY client_id, details -> 'scope', details -> 'authorization_details'",
        user,
        now,
        NEWEST,
        client
    )
}

/// Takes back all that a person allowed a client, in the caller's transaction: the consent, the grants with their tokens,
/// and the client is told that its sessions with this person are over. `false` when there was nothing to take back.
pub async fn disconnect(tx: &mut Tx, platform: &Platform, user: UserId, client: &ClientId) -> Result<bool, DbError> {
    let consents = execute!(tx, "DELETE FROM consents WHERE user_id = $1 AND client_id = $2", user, client)?;
    let grants = fetch_all!(
        tx,
        (GrantId, Option<SessionId>, Option<String>),
        "SELECT id, sid, sector FROM grants \
         WHERE user_id = $1 AND client_id = $2 AND revoked_at IS NULL AND expires_at > $3",
        user,
        client,
        platform.clock.now()
    )?;
    if consents == 0 && grants.is_empty() {
        return Ok(false);
    }
    let known = grants.iter().map(|(_, sid, sector)| (*sid, sector.clone())).collect();
    let parties = relying_parties::of_client(tx, user, client, known).await?;
    relying_parties::tell(tx, platform, &parties).await?;
    for (grant, ..) in &grants {
        end_grant(tx, platform, *grant).await?;
    }
    let details = json!({ "grants": grants.len() });
    audit::record(tx, platform, "app.disconnected", Some(user), Some(client), details).await?;
    Ok(true)
}

#[cfg(test)]
#[path = "apps_tests.rs"]
mod tests;
