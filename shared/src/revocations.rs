//! What has been revoked before its tokens expired. Access tokens are not stored, so each verifier asks this list,
//! which every process keeps in memory and reads anew once a second; it survives restarts because it is a table.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::TimeDelta;

use crate::db::{Conn, Db, DbError, Tx};
use crate::platform::Platform;
use crate::{execute, fetch_all};

/// How often the list is read. A revocation takes effect everywhere within this time.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// What can be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Grant,
    Session,
    User,
    Client,
    /// One access token, by its `jti`.
    Token,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Session => "session",
            Self::User => "user",
            Self::Client => "client",
            Self::Token => "token",
        }
    }
}

/// The list as last read, plus what this process revoked itself. Clones share it.
#[derive(Clone, Default)]
pub struct Revocations(Arc<RwLock<HashSet<(String, String)>>>);

impl Revocations {
    /// Is any of these revoked?
    pub fn contains<'a>(&self, claims: impl IntoIterator<Item = (Kind, &'a str)>) -> bool {
        let listed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if listed.is_empty() {
            return false;
        }
        claims.into_iter().any(|(kind, id)| listed.contains(&(kind.as_str().to_owned(), id.to_owned())))
    }

    /// Reads the table.
    pub async fn refresh(&self, db: &Db, now: chrono::DateTime<chrono::Utc>) -> Result<(), DbError> {
        let mut conn = db.read().await?;
        let rows = listed(&mut conn, now).await?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rows.into_iter().collect();
        Ok(())
    }
}

async fn listed(conn: &mut Conn, now: chrono::DateTime<chrono::Utc>) -> Result<Vec<(String, String)>, DbError> {
    fetch_all!(conn, (String, String), "SELECT kind, id FROM revocations WHERE expires_at > $1", now)
}

/// Lists something as revoked until the last access token that could name it has expired. It takes effect in this
/// process at the next refresh after the commit, like everywhere else.
pub async fn revoke(tx: &mut Tx, platform: &Platform, kind: Kind, id: &str) -> Result<(), DbError> {
    let now = platform.clock.now();
    let seconds = i64::try_from(platform.config.tokens.access_token_seconds).unwrap_or(i64::MAX / 2_000_000);
    // A minute more than the longest life: clocks differ.
    let expires_at = now + TimeDelta::seconds(seconds + 60);
    execute!(
        tx,
        "INSERT INTO revocations (kind, id, revoked_at, expires_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (kind, id) DO UPDATE SET revoked_at = $3, expires_at = $4",
        kind.as_str(),
        id,
        now,
        expires_at
    )?;
    Ok(())
}
