//! Referral codes in the cache, by code and by referrer. Sign-up never reads them here: the database stays the truth.
//!
//! Reading and filling belong to the referral API, which also keeps deletions out; the authorization server tells the
//! cache about uses it counted ([`refresh`]).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use super::code::CodeKey;
use super::store::{self, CodeRow};
use crate::cache::{CacheKey, Lookup};
use crate::db::DbError;
use crate::ids::UserId;
use crate::platform::Platform;

/// Short, so that the counter of uses is soon right even where nobody tells this cache of a sign-up (two processes with
/// a cache each); a popular code is still read from the database only every few seconds.
const LIFETIME: Duration = Duration::from_secs(15);

/// What an entry is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Code(CodeKey),
    /// The active code of a referrer.
    Referrer(UserId),
}

/// A code that was read, from the cache or from the database.
#[derive(Debug)]
pub struct Found {
    pub row: CodeRow,
    /// What is told of it to whoever looks it up, written once.
    pub told: OnceLock<Bytes>,
}

impl Found {
    pub fn new(row: CodeRow) -> Self {
        Self { row, told: OnceLock::new() }
    }
}

impl Entry {
    /// Both entries that a code may have.
    pub fn of(row: &CodeRow) -> impl Iterator<Item = Self> {
        CodeKey::fold(&row.code).map(Self::Code).into_iter().chain([Self::Referrer(row.referrer_id)])
    }

    fn key(&self) -> CacheKey {
        match self {
            Self::Code(key) => CacheKey::new("code", key.as_str().as_bytes()),
            Self::Referrer(id) => CacheKey::new("code-of", id.0.as_bytes()),
        }
    }

    /// Reads what [`Display`](std::fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("code", key) => CodeKey::fold(key).map(Self::Code),
            ("referrer", id) => id.parse().ok().map(Self::Referrer),
            _ => None,
        }
    }

    /// The code kept here. A cache that does not answer keeps nothing.
    pub async fn get(&self, platform: &Platform) -> Option<Arc<Found>> {
        match platform.cache.get(&self.key()).await {
            Ok(Lookup::Hit(hit)) => hit.read(|bytes| serde_json::from_slice(bytes).ok().map(Found::new)),
            Ok(Lookup::Miss | Lookup::Tombstone) => None,
            Err(error) => {
                tracing::debug!(%error, "a referral code is read from the database");
                None
            }
        }
    }

    /// Ends this entry everywhere.
    pub async fn invalidate(&self, platform: &Platform) -> Result<(), crate::cache::CacheError> {
        platform.cache.invalidate(&self.key()).await
    }
}

/// `code:…` or `referrer:…`: how an undelivered invalidation names its entry.
impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(key) => write!(f, "code:{key}"),
            Self::Referrer(id) => write!(f, "referrer:{id}"),
        }
    }
}

/// Keeps a code that was just read, unless it was deleted since.
pub async fn fill(platform: &Platform, row: &CodeRow) {
    if !platform.cache.keeps_entries() {
        return;
    }
    let Ok(bytes) = serde_json::to_vec(row) else { return };
    for entry in entries_to_keep(row) {
        if let Err(error) = platform.cache.fill(&entry.key(), &bytes, LIFETIME).await {
            tracing::debug!(%error, "a referral code is not cached");
            return;
        }
    }
}

/// Puts a code's present state into the cache, after the commit that counted a use of it. It may fail without harm:
/// entries live for seconds.
pub async fn refresh(platform: &Platform, key: &CodeKey) -> Result<(), DbError> {
    if !platform.cache.keeps_entries() {
        return Ok(());
    }
    let mut conn = platform.db.read().await?;
    let row = store::by_key(&mut conn, key).await?;
    drop(conn);
    let Some(row) = row else { return Ok(()) };
    let Ok(bytes) = serde_json::to_vec(&row) else { return Ok(()) };
    for entry in entries_to_keep(&row) {
        if let Err(error) = platform.cache.put(&entry.key(), &bytes, LIFETIME).await {
            tracing::debug!(%error, "a referral code is not cached");
            break;
        }
    }
    Ok(())
}

/// Only an active code is its referrer's.
fn entries_to_keep(row: &CodeRow) -> impl Iterator<Item = Entry> {
    let active = row.status == "active";
    Entry::of(row).filter(move |entry| active || matches!(entry, Entry::Code(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_back_from_its_name() {
        let id = UserId(uuid::Uuid::from_u128(7));
        for entry in [Entry::Code(CodeKey::fold("ANN-LEE").unwrap()), Entry::Referrer(id)] {
            assert_eq!(Entry::parse(&entry.to_string()), Some(entry));
        }
        assert_eq!(Entry::parse("session:x"), None);
    }
}
