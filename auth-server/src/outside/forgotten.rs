//! People who asked a service to forget them (it answers 451): what was stored about them is deleted, and they are
//! never asked about again, not even when they sign up anew. Kept is a keyed hash of the address.

use serde_json::json;
use shared::db::{Conn, DbError, Tx};
use shared::email::Email;
use shared::ids::UserId;
use shared::{Platform, audit, execute, fetch_optional};

const PURPOSE: &str = "lookup-objection";

/// The address, and the mailbox that it names with its tags and dots folded: whoever comes back as another spelling of
/// themself is the same person.
fn hashes(platform: &Platform, email_key: &str) -> [Vec<u8>; 2] {
    let mailbox = Email::parse(email_key).map_or_else(|_| email_key.to_owned(), |email| email.canonical);
    [email_key, &mailbox].map(|address| platform.master_key.mac(PURPOSE, address.as_bytes()))
}

/// May nobody be asked about this address ([`Email::key`])?
pub async fn contains(conn: &mut Conn, platform: &Platform, email_key: &str) -> Result<bool, DbError> {
    let [address, mailbox] = hashes(platform, email_key);
    let row: Option<(i64,)> = fetch_optional!(
        conn,
        (i64,),
        "SELECT CAST(1 AS BIGINT) FROM lookup_objections WHERE email_hash IN ($1, $2) LIMIT 1",
        address,
        mailbox
    )?;
    Ok(row.is_some())
}

/// Remembers that nobody is to be asked about this address.
pub async fn remember(tx: &mut Tx, platform: &Platform, email_key: &str) -> Result<(), DbError> {
    for hash in hashes(platform, email_key) {
        execute!(
            tx,
            "INSERT INTO lookup_objections (email_hash, created_at) VALUES ($1, $2) \
             ON CONFLICT (email_hash) DO NOTHING",
            hash,
            platform.clock.now()
        )?;
    }
    Ok(())
}

/// Deletes what services told about an account, and the questions that are still open; with them goes what late answers
/// to them would be known by.
pub async fn forget(tx: &mut Tx, platform: &Platform, user: UserId, email_key: &str) -> Result<(), DbError> {
    remember(tx, platform, email_key).await?;
    execute!(tx, "DELETE FROM email_checks WHERE user_id = $1", user)?;
    execute!(tx, "DELETE FROM enrichments WHERE user_id = $1", user)?;
    execute!(tx, "DELETE FROM outbox WHERE user_id = $1 AND kind IN ('email_check', 'enrichment')", user)?;
    audit::record(tx, platform, "lookup.forgotten", Some(user), None, json!({})).await
}
