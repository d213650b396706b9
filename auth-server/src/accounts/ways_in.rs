//! The ways into an account: its password, its passkeys, the providers it is linked with. The last is not taken away.

use shared::db::{Conn, DbError, Tx};
use shared::ids::UserId;
use shared::{execute, fetch_one};
use uuid::Uuid;

use super::upstream;
use crate::AppState;

/// One that may go.
#[derive(Clone, Copy)]
pub enum WayIn<'a> {
    Passkey(Uuid),
    /// By its issuer.
    Provider(&'a str),
}

/// Does nothing else open the account? A provider that is no longer configured opens nothing.
pub async fn is_only(state: &AppState, conn: &mut Conn, user: UserId, way: WayIn<'_>) -> Result<bool, DbError> {
    let (passkey, issuer) = match way {
        WayIn::Passkey(id) => (Some(id), None),
        WayIn::Provider(issuer) => (None, Some(issuer)),
    };
    let (others,): (i64,) = fetch_one!(
        conn,
        (i64,),
        "SELECT (SELECT COUNT(*) FROM password_credentials WHERE user_id = $1) \
         + (SELECT COUNT(*) FROM passkeys WHERE user_id = $1 AND id <> $2)",
        user,
        passkey.unwrap_or_default()
    )?;
    if others > 0 {
        return Ok(false);
    }
    let linked = upstream::of_user(conn, user).await?;
    Ok(!linked
        .iter()
        .any(|way| Some(way.issuer.as_str()) != issuer && state.upstreams.of_issuer(&way.issuer).is_some()))
}

/// The same in the transaction that takes it away. The account is held, so that of two that go at once one finds itself
/// the last.
pub async fn is_last(state: &AppState, tx: &mut Tx, user: UserId, way: WayIn<'_>) -> Result<bool, DbError> {
    execute!(tx, "UPDATE users SET updated_at = updated_at WHERE id = $1", user)?;
    is_only(state, tx, user, way).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::testing::each_store;
    use sqlx::types::Json;

    use super::*;
    use crate::accounts::testing::person;

    #[tokio::test]
    async fn the_last_way_into_an_account_is_not_taken_away() {
        each_store(|platform| async move {
            let state = AppState::new(platform.clone()).await.unwrap();
            let user = person(&state, "ann@example.com").await;
            let mut tx = platform.db.begin().await.unwrap();
            let passkeys = [b"one", b"two"].map(|id| (platform.random.uuid_v4(), id.as_slice()));
            for (id, credential) in passkeys {
                execute!(
                    &mut tx,
                    "INSERT INTO passkeys (id, user_id, credential_id, credential, name, created_at) \
                     VALUES ($1, $2, $3, $4, 'Key', $5)",
                    id,
                    user,
                    credential,
                    Json(json!({})),
                    platform.clock.now()
                )
                .unwrap();
            }
            let [(first, _), (second, _)] = passkeys;
            execute!(&mut tx, "DELETE FROM password_credentials WHERE user_id = $1", user).unwrap();
            assert!(!is_last(&state, &mut tx, user, WayIn::Passkey(first)).await.unwrap(), "there is the second");
            execute!(&mut tx, "DELETE FROM passkeys WHERE id = $1", first).unwrap();
            assert!(is_last(&state, &mut tx, user, WayIn::Passkey(second)).await.unwrap());
            assert!(!is_last(&state, &mut tx, user, WayIn::Provider("https://id.example")).await.unwrap());
        })
        .await;
    }
}
