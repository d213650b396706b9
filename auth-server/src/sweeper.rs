//! Deletes what has expired, in small batches, so that no statement holds locks for long.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use shared::db::DbError;
use shared::ids::ClientId;
use shared::platform::every;
use shared::{Platform, audit, execute, fetch_all};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// How often.
const INTERVAL: Duration = Duration::from_secs(300);

/// Rows a statement deletes at most.
const BATCH: i64 = 1000;

/// Authorization requests are kept two hours beyond their expiry: until then, an old tab still leads back to its
/// client. Codes too, so that a late second use is still known for one.
const GRACE: TimeDelta = TimeDelta::hours(2);

/// How long the audit's events are kept.
const AUDIT: TimeDelta = TimeDelta::days(365);

/// How long a client is kept that is known by a document and that nothing refers to: strangers bring them.
const DOCUMENTS: TimeDelta = TimeDelta::hours(2);

/// The same where people once consented to it: with the client, that would be forgotten.
const CONSENTED: TimeDelta = TimeDelta::days(30);

/// Sweeps until `stop` turns true. Several instances may sweep at once.
pub fn spawn(platform: Platform, stop: watch::Receiver<bool>) -> JoinHandle<()> {
    every(INTERVAL, stop, move || {
        let platform = platform.clone();
        async move {
            match sweep(&platform).await {
                Ok(0) => {}
                Ok(rows) => info!(rows, "deleted what had expired"),
                Err(error) => warn!(%error, "what has expired can't be deleted now"),
            }
        }
    })
}

/// Deletes everything that has expired, but for jobs: the outbox worker tells the log which ones it gave up. Returns the number of rows.
pub async fn sweep(platform: &Platform) -> Result<u64, DbError> {
    let now = platform.clock.now();
    let mut total = 0;
    macro_rules! sweep {
        ($($table:literal $key:literal $before:expr $(, $and:literal)?;)*) => {$(
            loop {
                let mut tx = platform.db.begin().await?;
                let rows = execute!(
                    &mut tx,
                    concat!(
                        "DELETE FROM ", $table, " WHERE ", $key, " IN (SELECT ", $key, " FROM ", $table,
                        " WHERE expires_at <= $1 ", $($and,)? " LIMIT $2) AND expires_at <= $1"
                    ),
                    $before,
                    BATCH
                )?;
                tx.commit().await?;
                total += rows;
                if rows < BATCH.unsigned_abs() {
                    break;
                }
            }
        )*};
    }
    // Children before parents, so that no cascade grows beyond a batch. What was lengthened since it was selected stays.
    sweep! {
        "refresh_tokens" "token_hash" now;
        "authorization_codes" "code_hash" now - GRACE;
        // A session that was renewed by signing in again still has to know whom to tell of its end.
        "grants" "id" now, "AND (sid IS NULL OR NOT EXISTS (SELECT 1 FROM browser_sessions s WHERE s.sid = grants.sid))";
        "app_permissions" "id" now;
        "authorization_requests" "id" now - GRACE;
        "browser_sessions" "id_hash" now;
        "pending_signups" "id" now;
        "email_verifications" "token_hash" now;
        "recovery_requests" "id" now;
        "email_changes" "id" now;
        "cache_invalidations" "cache_key" now;
        "idempotency_keys" "key_hash" now;
        "pushed_requests" "uri_hash" now;
        "device_authorizations" "id" now - GRACE;
        "initial_access_tokens" "token_hash" now;
        "used_proofs" "id_hash" now;
        "passkey_ceremonies" "key_hash" now;
        "mailed_codes" "id" now;
        "unfinished_signins" "key_hash" now;
        "upstream_proofs" "id" now;
        "upstream_attempts" "id" now;
        "remembered_devices" "id" now;
        "webhook_secrets" "id" now;
        "webhook_attempts" "id" now;
        "webhook_deliveries" "message_id" now;
        "webhook_messages" "id" now;
        "signup_traces" "user_id" now;
        // A hash is of one day, and ends with it wherever it stands.
        "referral_visitors" "address_hash" now;
        "daily_salts" "day" now;
        "invitations" "id" now;
        "lookup_callbacks" "id_hash" now;
    }
    total += crate::accounts::deletion::sweep(platform).await?;
    total += sweep_documents(platform).await?;
    total += sweep_registrations(platform).await?;
    loop {
        let mut tx = platform.db.begin().await?;
        let rows = execute!(
            &mut tx,
            "DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events WHERE created_at <= $1 LIMIT $2)",
            now - AUDIT,
            BATCH
        )?;
        tx.commit().await?;
        total += rows;
        if rows < BATCH.unsigned_abs() {
            break;
        }
    }
    let mut tx = platform.db.begin().await?;
    total += execute!(&mut tx, "DELETE FROM revocations WHERE expires_at <= $1", now)?;
    tx.commit().await?;
    Ok(total)
}

/// Clients that strangers brought by their URL, once nothing refers to them.
async fn sweep_documents(platform: &Platform) -> Result<u64, DbError> {
    let now = platform.clock.now();
    let mut total = 0;
    loop {
        let mut tx = platform.db.begin().await?;
        let rows = execute!(
            &mut tx,
            "DELETE FROM clients WHERE client_id IN (SELECT c.client_id FROM clients c \
             WHERE c.origin = 'document' AND c.updated_at <= $1 \
               AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.client_id = c.client_id) \
               AND NOT EXISTS (SELECT 1 FROM authorization_requests r WHERE r.client_id = c.client_id) \
               AND NOT EXISTS (SELECT 1 FROM pushed_requests p WHERE p.client_id = c.client_id) \
               AND NOT EXISTS (SELECT 1 FROM device_authorizations d WHERE d.client_id = c.client_id) \
               AND (c.document_expires_at <= $2 \
                    OR NOT EXISTS (SELECT 1 FROM consents k WHERE k.client_id = c.client_id)) \
             LIMIT $3)",
            now - DOCUMENTS,
            now - CONSENTED,
            BATCH
        )?;
        tx.commit().await?;
        total += rows;
        if rows < BATCH.unsigned_abs() {
            return Ok(total);
        }
    }
}

/// Clients that registered themselves, once nobody has used them for `registration.unused_days`.
async fn sweep_registrations(platform: &Platform) -> Result<u64, DbError> {
    let days = platform.config.registration.unused_days;
    if days == 0 {
        return Ok(0);
    }
    let before = platform.clock.now() - TimeDelta::days(i64::try_from(days).unwrap_or(36_500).min(36_500));
    let mut total = 0;
    loop {
        let mut tx = platform.db.begin().await?;
        let gone: Vec<(ClientId,)> = fetch_all!(
            &mut tx,
            (ClientId,),
            "DELETE FROM clients WHERE client_id IN (SELECT c.client_id FROM clients c \
             WHERE c.origin = 'registered' AND c.updated_at <= $1 AND (c.used_at IS NULL OR c.used_at <= $1) \
               AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.client_id = c.client_id) LIMIT $2) \
             RETURNING client_id",
            before,
            BATCH
        )?;
        for (client_id,) in &gone {
            let details = json!({ "by": "sweeper", "unused_days": days });
            audit::record(&mut tx, platform, "client.deleted", None, Some(client_id), details).await?;
        }
        tx.commit().await?;
        total += gone.len() as u64;
        if i64::try_from(gone.len()).unwrap_or(BATCH) < BATCH {
            return Ok(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::testing::each_store;

    #[tokio::test]
    async fn what_has_expired_is_swept_and_nothing_else() {
        each_store(|platform| async move {
            let now = platform.clock.now();
            let mut tx = platform.db.begin().await.unwrap();
            for (key, expires_at) in [("old", now - TimeDelta::seconds(1)), ("new", now + TimeDelta::hours(1))] {
                execute!(
                    &mut tx,
                    "INSERT INTO cache_invalidations (cache_key, created_at, expires_at) VALUES ($1, $2, $3)",
                    key,
                    now,
                    expires_at
                )
                .unwrap();
            }
            tx.commit().await.unwrap();
            assert_eq!(sweep(&platform).await.unwrap(), 1);
            assert_eq!(sweep(&platform).await.unwrap(), 0);
        })
        .await;
    }

    #[tokio::test]
    async fn messages_go_with_the_log_of_their_deliveries() {
        each_store(|platform| async move {
            let now = platform.clock.now();
            let mut tx = platform.db.begin().await.unwrap();
            execute!(
                &mut tx,
                "INSERT INTO clients (client_id, name, first_party, metadata, created_at, updated_at) \
                 VALUES ('crm', 'CRM', TRUE, '{}', $1, $1)",
                now
            )
            .unwrap();
            let endpoint = platform.random.uuid_v4();
            execute!(
                &mut tx,
                "INSERT INTO webhook_endpoints (id, client_id, url, status, created_at, updated_at) \
                 VALUES ($1, 'crm', 'https://crm.example', 'enabled', $2, $2)",
                endpoint,
                now
            )
            .unwrap();
            for expires_at in [now - TimeDelta::seconds(1), now + TimeDelta::hours(1)] {
                let message = platform.random.uuid_v4();
                execute!(
                    &mut tx,
                    "INSERT INTO webhook_messages (id, kind, payload, created_at, expires_at) VALUES ($1, 'a', '{}', $2, $3)",
                    message,
                    now,
                    expires_at
                )
                .unwrap();
                execute!(
                    &mut tx,
                    "INSERT INTO webhook_deliveries (endpoint_id, message_id, status, expires_at) \
                     VALUES ($1, $2, 'delivered', $3)",
                    endpoint,
                    message,
                    expires_at
                )
                .unwrap();
                execute!(
                    &mut tx,
                    "INSERT INTO webhook_attempts (id, endpoint_id, message_id, at, duration_ms, expires_at) \
                     VALUES ($1, $2, $3, $4, 1, $5)",
                    platform.random.uuid_v4(),
                    endpoint,
                    message,
                    now,
                    expires_at
                )
                .unwrap();
            }
            for expires_at in [Some(now - TimeDelta::seconds(1)), None] {
                execute!(
                    &mut tx,
                    "INSERT INTO webhook_secrets (id, endpoint_id, scheme, sealed, created_at, expires_at) \
                     VALUES ($1, $2, 'v1', $3, $4, $5)",
                    platform.random.uuid_v4(),
                    endpoint,
                    vec![0u8],
                    now,
                    expires_at
                )
                .unwrap();
            }
            tx.commit().await.unwrap();
            assert_eq!(sweep(&platform).await.unwrap(), 4);
            assert_eq!(sweep(&platform).await.unwrap(), 0, "the secret of now stays, and what is young");
        })
        .await;
    }
}
