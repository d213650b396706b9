//! The tables of endpoints. `owner` is the client whose endpoints are meant; `None`: everybody's.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use shared::db::{Conn, DbError, Tx};
use shared::ids::{ClientId, WebhookEndpointId};
use shared::webhooks::{self, ENDPOINT_DISABLED};
use shared::{Platform, audit, execute, fetch_all, fetch_optional};

/// An endpoint's row, with what it wants and its public key.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct EndpointRow {
    pub id: WebhookEndpointId,
    pub client_id: String,
    pub url: String,
    pub description: Option<String>,
    pub status: String,
    pub disabled_reason: Option<String>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub failing_since: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Kinds, separated by spaces.
    kinds: Option<String>,
    pub public_key: Option<Vec<u8>>,
}

impl EndpointRow {
    pub fn events(&self) -> Vec<String> {
        let kinds: BTreeSet<&str> = self.kinds.as_deref().unwrap_or_default().split_whitespace().collect();
        kinds.into_iter().map(str::to_owned).collect()
    }

    pub fn is_enabled(&self) -> bool {
        self.status == "enabled"
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT e.id, e.client_id, e.url, e.description, e.status, e.disabled_reason, e.disabled_at, e.failing_since, \
             e.created_at, e.updated_at, \
             (SELECT string_agg(s.kind, ' ') FROM webhook_subscriptions s WHERE s.endpoint_id = e.id) AS kinds, \
             (SELECT k.public_key FROM webhook_secrets k \
              WHERE k.endpoint_id = e.id AND k.scheme = 'v1a' AND k.expires_at IS NULL) AS public_key \
             FROM webhook_endpoints e ",
            $rest
        )
    };
}

/// The endpoint with this id.
pub async fn by_id(
    conn: &mut Conn,
    owner: Option<&str>,
    id: WebhookEndpointId,
) -> Result<Option<EndpointRow>, DbError> {
    fetch_optional!(conn, EndpointRow, select!("WHERE e.id = $1 AND ($2 IS NULL OR e.client_id = $2)"), id, owner)
}

/// Endpoints, newest first, below the id `before`.
pub async fn page_of(
    conn: &mut Conn,
    owner: Option<&str>,
    before: WebhookEndpointId,
    limit: i64,
) -> Result<Vec<EndpointRow>, DbError> {
    match owner {
        Some(client) => {
            fetch_all!(
                conn,
                EndpointRow,
                select!("WHERE e.client_id = $1 AND e.id < $2 ORDER BY e.id DESC LIMIT $3"),
                client,
                before,
                limit
            )
        }
        None => {
            fetch_all!(conn, EndpointRow, select!("WHERE e.id < $1 ORDER BY e.id DESC LIMIT $2"), before, limit)
        }
    }
}

/// How many endpoints the client has, its row held so that the number stays true until the commit. `None`: there is no such
/// client any more.
pub async fn count_of(tx: &mut Tx, client: &ClientId) -> Result<Option<i64>, DbError> {
    let held = execute!(tx, "UPDATE clients SET updated_at = updated_at WHERE client_id = $1", client.as_str())?;
    if held == 0 {
        return Ok(None);
    }
    let count =
        fetch_optional!(tx, (i64,), "SELECT COUNT(*) FROM webhook_endpoints WHERE client_id = $1", client.as_str())?;
    Ok(count.map(|(count,)| count))
}

/// Writes a new endpoint, enabled.
pub async fn insert(
    tx: &mut Tx,
    platform: &Platform,
    id: WebhookEndpointId,
    client: &ClientId,
    url: &str,
    description: Option<&str>,
) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO webhook_endpoints (id, client_id, url, description, status, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 'enabled', $5, $5)",
        id,
        client.as_str(),
        url,
        description,
        platform.clock.now()
    )?;
    Ok(())
}

/// Sets what the endpoint wants to be told.
pub async fn subscribe(tx: &mut Tx, id: WebhookEndpointId, kinds: &BTreeSet<String>) -> Result<(), DbError> {
    execute!(tx, "DELETE FROM webhook_subscriptions WHERE endpoint_id = $1", id)?;
    for kind in kinds {
        execute!(tx, "INSERT INTO webhook_subscriptions (endpoint_id, kind) VALUES ($1, $2)", id, kind)?;
    }
    Ok(())
}

/// Begins a change by the owner: the row is held, and what attempts under way find out is about an earlier revision. With a
/// new URL its failures are forgotten; an empty description is none. `false`: there is no such endpoint.
pub async fn change(
    tx: &mut Tx,
    platform: &Platform,
    owner: Option<&str>,
    id: WebhookEndpointId,
    url: Option<&str>,
    description: Option<&str>,
) -> Result<bool, DbError> {
    let changed = execute!(
        tx,
        "UPDATE webhook_endpoints SET revision = revision + 1, updated_at = $3, url = COALESCE($4, url), \
           description = CASE WHEN $5 = '' THEN NULL ELSE COALESCE($5, description) END, \
           failures = CASE WHEN $4 IS NULL THEN failures ELSE 0 END, \
           failing_since = CASE WHEN $4 IS NULL THEN failing_since ELSE NULL END, \
           not_before = CASE WHEN $4 IS NULL THEN not_before ELSE NULL END \
         WHERE id = $1 AND ($2 IS NULL OR client_id = $2)",
        id,
        owner,
        platform.clock.now(),
        url,
        description
    )?;
    Ok(changed > 0)
}

/// How many messages are brought forward when an endpoint comes back; the others come when their time does.
const BROUGHT_FORWARD: i64 = 1000;

/// Lets a disabled endpoint go on, with what was not delivered first. `false`: it was not disabled.
pub async fn enable(tx: &mut Tx, platform: &Platform, id: WebhookEndpointId) -> Result<bool, DbError> {
    let enabled = execute!(
        tx,
        "UPDATE webhook_endpoints SET status = 'enabled', disabled_reason = NULL, disabled_at = NULL, failures = 0, \
           failing_since = NULL, not_before = NULL WHERE id = $1 AND status = 'disabled'",
        id
    )?;
    if enabled == 0 {
        return Ok(false);
    }
    execute!(
        tx,
        "UPDATE webhook_deliveries SET next_attempt_at = $2 WHERE endpoint_id = $1 AND status = 'pending' \
           AND message_id IN (SELECT message_id FROM webhook_deliveries \
                              WHERE endpoint_id = $1 AND status = 'pending' AND next_attempt_at > $2 LIMIT $3)",
        id,
        platform.clock.now(),
        BROUGHT_FORWARD
    )?;
    Ok(true)
}

/// Disables an enabled endpoint, at its owner's wish.
pub async fn disable(tx: &mut Tx, platform: &Platform, id: WebhookEndpointId) -> Result<bool, DbError> {
    let disabled = execute!(
        tx,
        "UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'requested', disabled_at = $2 \
         WHERE id = $1 AND status = 'enabled'",
        id,
        platform.clock.now()
    )?;
    Ok(disabled > 0)
}

/// Why we disable an endpoint ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It answered 410.
    Gone,
    /// It has done nothing but fail for too long.
    Failing,
}

impl Ending {
    fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// Disables an endpoint for what an attempt found out, unless its owner changed it meanwhile. It is audited, and the client
/// is told at its other endpoints.
pub async fn give_up(
    tx: &mut Tx,
    platform: &Platform,
    id: WebhookEndpointId,
    revision: i64,
    ending: Ending,
) -> Result<(), DbError> {
    let now = platform.clock.now();
    let client: Option<(String,)> = fetch_optional!(
        tx,
        (String,),
        "UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = $3, disabled_at = $4, updated_at = $4 \
         WHERE id = $1 AND revision = $2 AND status = 'enabled' RETURNING client_id",
        id,
        revision,
        ending.as_str(),
        now
    )?;
    let Some((client,)) = client else { return Ok(()) };
    let client = ClientId(client);
    let details = serde_json::json!({ "endpoint_id": id, "reason": ending.as_str() });
    audit::record(tx, platform, "webhook_endpoint.disabled", None, Some(&client), details).await?;
    tracing::warn!(endpoint = %id, client = %client, reason = ending.as_str(), "a webhook endpoint is disabled");
    let data = serde_json::json!({ "id": id, "reason": ending.as_str(), "disabled_at": now });
    webhooks::publish_to(tx, platform, &client, ENDPOINT_DISABLED, &data).await
}
