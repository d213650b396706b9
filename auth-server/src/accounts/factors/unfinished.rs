//! Sign-ins that wait for their second factor. The browser holds the key in a cookie; what was shown so far is kept here.

use chrono::TimeDelta;
use shared::db::{Conn, DbError, Tx};
use shared::ids::UserId;
use shared::secret::PlainToken;
use shared::{Platform, execute, fetch_optional};
use sqlx::types::Json;

/// How long the second factor may take.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// Codes that may be tried with one of them.
pub const ATTEMPTS: i64 = 5;

/// What was shown so far, and where it goes on.
#[derive(Clone, Debug)]
pub struct Unfinished {
    pub user_id: UserId,
    pub amr: Vec<String>,
    /// SHA-256 of the hash that the password was verified against.
    pub phc_digest: Option<Vec<u8>>,
    pub onward: String,
    /// Codes tried, this one included.
    pub attempts: i64,
}

type Row = (UserId, Json<Vec<String>>, Option<Vec<u8>>, String, i64);

impl From<Row> for Unfinished {
    fn from((user_id, Json(amr), phc_digest, onward, attempts): Row) -> Self {
        Self { user_id, amr, phc_digest, onward, attempts }
    }
}

/// Keeps one. Returns the key for the browser.
pub async fn keep(tx: &mut Tx, platform: &Platform, begun: &Unfinished) -> Result<PlainToken, DbError> {
    let key = PlainToken::new(&platform.random);
    let now = platform.clock.now();
    execute!(
        tx,
        "INSERT INTO unfinished_signins (key_hash, user_id, amr, phc_digest, onward, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        key.hash(),
        begun.user_id,
        Json(&begun.amr),
        begun.phc_digest.as_deref(),
        &begun.onward,
        now,
        now + LIFETIME
    )?;
    Ok(key)
}

/// That of `key`, if it waits still.
pub async fn look(conn: &mut Conn, platform: &Platform, key: &PlainToken) -> Result<Option<Unfinished>, DbError> {
    let row: Option<Row> = fetch_optional!(
        conn,
        Row,
        "SELECT user_id, amr, phc_digest, onward, attempts FROM unfinished_signins \
         WHERE key_hash = $1 AND consumed_at IS NULL AND expires_at > $2 AND attempts < $3",
        key.hash(),
        platform.clock.now(),
        ATTEMPTS
    )?;
    Ok(row.map(Unfinished::from))
}

/// The same, counting a try before it is known what comes of it: of many at once, no more than allowed are made.
pub async fn attempt(tx: &mut Tx, platform: &Platform, key: &PlainToken) -> Result<Option<Unfinished>, DbError> {
    let row: Option<Row> = fetch_optional!(
        tx,
        Row,
        "UPDATE unfinished_signins SET attempts = attempts + 1 \
         WHERE key_hash = $1 AND consumed_at IS NULL AND expires_at > $2 AND attempts < $3 \
         RETURNING user_id, amr, phc_digest, onward, attempts",
        key.hash(),
        platform.clock.now(),
        ATTEMPTS
    )?;
    Ok(row.map(Unfinished::from))
}

/// Uses it up; `false` when somebody else did.
pub async fn consume(tx: &mut Tx, platform: &Platform, key: &PlainToken) -> Result<bool, DbError> {
    let now = platform.clock.now();
    let used = execute!(
        tx,
        "UPDATE unfinished_signins SET consumed_at = $2 WHERE key_hash = $1 AND consumed_at IS NULL AND expires_at > $2",
        key.hash(),
        now
    )?;
    Ok(used == 1)
}
