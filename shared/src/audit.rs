//! What happened to whom: appended in the transaction that did it, never changed. No secrets and no addresses.

use serde_json::{Value, json};

use crate::db::{DbError, Tx};
use crate::execute;
use crate::ids::{ClientId, UserId};
use crate::platform::Platform;

/// Appends an event, such as `("refresh_token.reused", Some(user), Some(client), json!({"grant": …}))`.
/// `details` must be an object.
pub async fn record(
    tx: &mut Tx,
    platform: &Platform,
    kind: &str,
    user: Option<UserId>,
    client: Option<&ClientId>,
    details: Value,
) -> Result<(), DbError> {
    let details = if details.is_object() { details } else { json!({ "value": details }) };
    execute!(
        tx,
        "INSERT INTO audit_events (id, kind, user_id, client_id, details, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        platform.random.uuid_v7(&platform.clock),
        kind,
        user,
        client.map(ClientId::as_str),
        sqlx::types::Json(details),
        platform.clock.now()
    )?;
    Ok(())
}
