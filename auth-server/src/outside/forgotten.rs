//! People who asked a service to forget them (it answers 451): what was stored about them is deleted, and they are
//! never asked about again, not even when they sign up anew. Kept is a keyed hash of the address.

use serde_json::json;
use shared::db::{Conn, DbError, Tx};
use shared::ids::UserId;
use shared::{Platform, audit, execute, fetch_optional};

const PURPOSE: &str = "lookup-objection";

/// May nobody be asked about this address ([`shared::email::Email::key`])?
pub async fn contains(conn: &mut Conn, platform: &Platform, email_key: &str) -> Result<bool, DbError> {
    let hash = platform.master_key.mac(PURPOSE, email_key.as_bytes());
    let row: Option<(i64,)> =
        fetch_optional!(conn, (i64,), "SELECT CAST(1 AS BIGINT) FROM lookup_objections WHERE email_hash = $1", hash)?;
    Ok(row.is_some())
}

/// Remembers that nobody is to be asked about this address.
pub async fn remember(tx: &mut Tx, platform: &Platform, email_key: &str) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO lookup_objections (email_hash, created_at) VALUES ($1, $2) ON CONFLICT (email_hash) DO NOTHING",
        platform.master_key.mac(PURPOSE, email_key.as_bytes()),
        platform.clock.now()
    )?;
    Ok(())
}

/// Deletes what services told about an account, and the questions that are still open.
pub async fn forget(tx: &mut Tx, platform: &Platform, user: UserId, email_key: &str) -> Result<(), DbError> {
    remember(tx, platform, email_key).await?;
    execute!(tx, "DELETE FROM email_checks WHERE user_id = $1", user)?;
    execute!(tx, "DELETE FROM enrichments WHERE user_id = $1", user)?;
    execute!(tx, "DELETE FROM outbox WHERE user_id = $1 AND kind IN ('email_check', 'enrichment')", user)?;
    audit::record(tx, platform, "lookup.forgotten", Some(user), None, json!({})).await
}
