//! Initial access tokens (RFC 7591 §1.2): who may register clients where registration is not open.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use shared::db::{Conn, DbError, Tx};
use shared::secret::{PlainToken, TokenHash};
use shared::{Platform, audit, execute, fetch_all, fetch_optional};

/// A token as it is listed: the token itself was shown once.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct InitialAccessToken {
    pub name: String,
    /// Registrations that are left; any number when absent.
    pub uses_left: Option<i64>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Makes a token that registers `uses` clients (any number when absent) within `lifetime`. `None` when there is one of
/// this name already.
pub async fn create(
    platform: &Platform,
    name: &str,
    uses: Option<i64>,
    lifetime: TimeDelta,
) -> Result<Option<(PlainToken, InitialAccessToken)>, DbError> {
    let token = PlainToken::new(&platform.random);
    let now = platform.clock.now();
    let made = InitialAccessToken { name: name.into(), uses_left: uses, created_at: now, expires_at: now + lifetime };
    let mut tx = platform.db.begin().await?;
    // An expired one that was not swept yet does not stand in the way.
    execute!(&mut tx, "DELETE FROM initial_access_tokens WHERE name = $1 AND expires_at <= $2", name, now)?;
    let inserted = execute!(
        &mut tx,
        "INSERT INTO initial_access_tokens (token_hash, name, uses_left, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING",
        token.hash(),
        name,
        uses,
        now,
        made.expires_at
    )?;
    if inserted == 1 {
        let details = json!({ "by": "operator", "name": name, "uses": uses, "expires_at": made.expires_at });
        audit::record(&mut tx, platform, "initial_access_token.created", None, None, details).await?;
    }
    tx.commit().await?;
    Ok((inserted == 1).then_some((token, made)))
}

/// The tokens there are, by name.
pub async fn list(conn: &mut Conn) -> Result<Vec<InitialAccessToken>, DbError> {
    fetch_all!(
        conn,
        InitialAccessToken,
        "SELECT name, uses_left, created_at, expires_at FROM initial_access_tokens ORDER BY name"
    )
}

/// Revokes the token of this name. `false` when there is none.
pub async fn revoke(platform: &Platform, name: &str) -> Result<bool, DbError> {
    let mut tx = platform.db.begin().await?;
    let deleted = execute!(&mut tx, "DELETE FROM initial_access_tokens WHERE name = $1", name)?;
    if deleted == 1 {
        let details = json!({ "by": "operator", "name": name });
        audit::record(&mut tx, platform, "initial_access_token.revoked", None, None, details).await?;
    }
    tx.commit().await?;
    Ok(deleted == 1)
}

/// May this token register a client now? Only [`consume`] settles it; this keeps strangers from making us work.
pub async fn is_good(conn: &mut Conn, platform: &Platform, token: &PlainToken) -> Result<bool, DbError> {
    let row: Option<(TokenHash,)> = fetch_optional!(
        conn,
        (TokenHash,),
        "SELECT token_hash FROM initial_access_tokens \
         WHERE token_hash = $1 AND expires_at > $2 AND (uses_left IS NULL OR uses_left > 0)",
        token.hash(),
        platform.clock.now()
    )?;
    Ok(row.is_some())
}

/// Uses the token once, in the caller's transaction. Its name; `None` when it serves no more.
pub async fn consume(tx: &mut Tx, platform: &Platform, token: &PlainToken) -> Result<Option<String>, DbError> {
    let row: Option<(String,)> = fetch_optional!(
        tx,
        (String,),
        "UPDATE initial_access_tokens SET uses_left = uses_left - 1 \
         WHERE token_hash = $1 AND expires_at > $2 AND (uses_left IS NULL OR uses_left > 0) RETURNING name",
        token.hash(),
        platform.clock.now()
    )?;
    Ok(row.map(|(name,)| name))
}
