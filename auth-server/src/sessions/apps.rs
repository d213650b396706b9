//! The apps that a person is connected with: what they allowed each, and how that ends.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::db::{Conn, DbError, Tx};
use shared::ids::{ClientId, UserId};
use shared::{Platform, audit, execute, fetch_all};
use sqlx::types::Json;

use super::relying_parties;
use crate::clients::{self, Client, SCOPES};
use crate::protocol::grants::end_all_to;
use crate::protocol::grants::permissions::{self, Permission};

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
}

impl Known {
    fn add(&mut self, permission: Permission) {
        let Permission { details: Json(allowed), since, used_at, .. } = permission;
        self.scope.extend(allowed.scope);
        for detail in allowed.authorization_details {
            if !self.authorization_details.contains(&detail) {
                self.authorization_details.push(detail);
            }
        }
        self.since = Some(self.since.map_or(since, |before| before.min(since)));
        self.used_at = self.used_at.max(used_at);
    }
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
    }
    for permission in permissions::live(conn, user, now).await? {
        known.entry(permission.client_id.clone()).or_default().add(permission);
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

/// Takes back all that a person allowed a client, in the caller's transaction: the consent, the grants with their tokens,
/// and the client is told that its sessions with this person are over. `false` when there was nothing to take back.
pub async fn disconnect(tx: &mut Tx, platform: &Platform, user: UserId, client: &ClientId) -> Result<bool, DbError> {
    let consents = execute!(tx, "DELETE FROM consents WHERE user_id = $1 AND client_id = $2", user, client)?;
    let grants = end_all_to(tx, platform, user, client).await?;
    if consents == 0 && grants.is_empty() {
        return Ok(false);
    }
    let ended = grants.len();
    let parties = relying_parties::of_client(tx, user, client, grants.into_iter().collect()).await?;
    relying_parties::tell(tx, platform, &parties).await?;
    let details = json!({ "grants": ended });
    audit::record(tx, platform, "app.disconnected", Some(user), Some(client), details).await?;
    Ok(true)
}

#[cfg(test)]
#[path = "apps_tests.rs"]
mod tests;
