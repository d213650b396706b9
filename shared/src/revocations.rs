//! What has been revoked before its tokens expired. Access tokens are not stored, so each verifier asks this list,
//! which every process keeps in memory and brings up to date once a second; it survives restarts because it is a table.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{Conn, Db, DbError, Tx};
use crate::platform::Platform;
use crate::{execute, fetch_all};

/// How often the list is read. A revocation takes effect everywhere within this time.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// How far back each reading looks: clocks differ, and a row may be committed some time after it was dated.
const OVERLAP: TimeDelta = TimeDelta::seconds(60);

/// How often the whole list is read all the same, should clocks differ by more than that.
const WHOLE: TimeDelta = TimeDelta::seconds(60);

/// For how long after a client's end tokens in its name are refused whenever they were issued: an instance that has not
/// heard of it yet may still have issued some. A new client of the same id has to wait for so long.
const AFTERMATH: i64 = 5;

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

#[derive(Clone, Copy, PartialEq)]
struct Entry {
    revoked_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

#[derive(Default)]
struct List {
    /// By kind, so that asking needs no text of its own.
    entries: HashMap<&'static str, HashMap<String, Entry>>,
    /// When it was read last, and when the whole of it.
    read_at: Option<DateTime<Utc>>,
    whole_at: Option<DateTime<Utc>>,
}

impl List {
    /// Was it not there yet?
    fn add(&mut self, kind: &'static str, id: String, entry: Entry) -> bool {
        self.entries.entry(kind).or_default().insert(id, entry) != Some(entry)
    }
}

/// The list as last read, plus what this process revoked itself, from the moment of the commit. Clones share it.
#[derive(Clone, Default)]
pub struct Revocations(Arc<Shared>);

#[derive(Default)]
struct Shared {
    list: RwLock<List>,
    /// Changed with the list locked.
    version: AtomicU64,
}

impl Revocations {
    /// Another number whenever something was added to the list: what was not in it is not, while the number is the same.
    /// Ask it before the list.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    fn list(&self) -> RwLockReadGuard<'_, List> {
        self.0.list.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn list_to_change(&self) -> RwLockWriteGuard<'_, List> {
        self.0.list.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is any of these revoked? Of clients ask [`Self::ended`].
    pub fn contains<'a>(&self, claims: impl IntoIterator<Item = (Kind, &'a str)>) -> bool {
        let list = self.list();
        if list.entries.is_empty() {
            return false;
        }
        claims.into_iter().any(|(kind, id)| list.entries.get(kind.as_str()).is_some_and(|ids| ids.contains_key(id)))
    }

    /// Has the client to which a token was issued at this time (`iat`) come to its end since? A client that was
    /// registered anew under the same id is another one.
    pub fn ended(&self, client: &str, issued_at: i64) -> bool {
        let list = self.list();
        let ended = list.entries.get(Kind::Client.as_str()).and_then(|ids| ids.get(client));
        ended.is_some_and(|entry| issued_at <= entry.revoked_at.timestamp() + AFTERMATH)
    }

    /// Reads what was added to the table, and forgets what has expired.
    pub async fn refresh(&self, db: &Db, now: DateTime<Utc>) -> Result<(), DbError> {
        let since = {
            let list = self.list();
            // Nor is a clock believed that was put back.
            let whole = list.whole_at.is_none_or(|at| now < at || now >= at + WHOLE);
            list.read_at.filter(|_| !whole).map(|at| at - OVERLAP)
        };
        let rows = listed(&mut db.read().await?, since.unwrap_or(DateTime::UNIX_EPOCH), now).await?;
        let mut list = self.list_to_change();
        let mut is_new = false;
        // Nothing is taken off the list before it expires: what this process revoked meanwhile stays.
        for (kind, id, revoked_at, expires_at) in rows {
            if let Some(kind) = ALL.into_iter().map(Kind::as_str).find(|known| *known == kind) {
                is_new |= list.add(kind, id, Entry { revoked_at, expires_at });
            }
        }
        if is_new {
            self.0.version.fetch_add(1, Ordering::Release);
        }
        for ids in list.entries.values_mut() {
            ids.retain(|_, entry| entry.expires_at > now);
        }
        list.entries.retain(|_, ids| !ids.is_empty());
        list.read_at = Some(now);
        if since.is_none() {
            list.whole_at = Some(now);
        }
        Ok(())
    }

    fn add(&self, kind: Kind, id: String, entry: Entry) {
        let mut list = self.list_to_change();
        list.add(kind.as_str(), id, entry);
        self.0.version.fetch_add(1, Ordering::Release);
    }
}

const ALL: [Kind; 5] = [Kind::Grant, Kind::Session, Kind::User, Kind::Client, Kind::Token];

type Row = (String, String, DateTime<Utc>, DateTime<Utc>);

async fn listed(conn: &mut Conn, since: DateTime<Utc>, now: DateTime<Utc>) -> Result<Vec<Row>, DbError> {
    fetch_all!(
        conn,
        Row,
        "SELECT kind, id, revoked_at, expires_at FROM revocations WHERE revoked_at > $1 AND expires_at > $2",
        since,
        now
    )
}

/// Lists something as revoked until the last access token that could name it has expired. It takes effect in this
/// process with the commit, and everywhere else at the next refresh.
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
    let (list, id) = (platform.revocations.clone(), id.to_owned());
    tx.after_commit(move || list.add(kind, id, Entry { revoked_at: now, expires_at }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::each_store;

    async fn revoke_alone(platform: &Platform, kind: Kind, id: &str) {
        let mut tx = platform.db.begin().await.unwrap();
        revoke(&mut tx, platform, kind, id).await.unwrap();
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn what_a_process_revokes_is_revoked_there_with_the_commit_and_elsewhere_at_the_next_reading() {
        each_store(|platform| async move {
            let elsewhere = Platform { revocations: Revocations::default(), ..platform.clone() };
            let (here, there) = (&platform.revocations, &elsewhere.revocations);
            there.refresh(&platform.db, platform.clock.now()).await.unwrap();

            let mut tx = platform.db.begin().await.unwrap();
            revoke(&mut tx, &platform, Kind::Token, "rolled-back").await.unwrap();
            drop(tx);
            let (here_before, there_before) = (here.version(), there.version());
            revoke_alone(&platform, Kind::Token, "a").await;
            assert_ne!(here.version(), here_before, "whoever looked before looks again");
            assert!(!here.contains([(Kind::Token, "rolled-back")]));
            assert!(here.contains([(Kind::Token, "b"), (Kind::Token, "a")]));
            assert!(!here.contains([(Kind::Grant, "a")]), "each kind by itself");
            assert!(!there.contains([(Kind::Token, "a")]));
            there.refresh(&platform.db, platform.clock.now()).await.unwrap();
            assert!(there.contains([(Kind::Token, "a")]));
            assert_ne!(there.version(), there_before);
            let known = there.version();
            there.refresh(&platform.db, platform.clock.now()).await.unwrap();
            assert_eq!(there.version(), known, "what is read again is nothing new");

            // Readings that bring only what is new keep what is old, until it has expired.
            for step in [30, 40, 50] {
                platform.clock.advance(Duration::from_secs(step));
                revoke_alone(&elsewhere, Kind::Token, &step.to_string()).await;
                here.refresh(&platform.db, platform.clock.now()).await.unwrap();
                assert!(
                    here.contains([(Kind::Token, "a")]) && here.contains([(Kind::Token, step.to_string().as_str())])
                );
            }
            platform.clock.advance(Duration::from_secs(661));
            for list in [here, there] {
                list.refresh(&platform.db, platform.clock.now()).await.unwrap();
                assert!(!list.contains([(Kind::Token, "a"), (Kind::Token, "50")]));
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_client_that_comes_after_one_of_the_same_id_is_not_taken_for_it() {
        each_store(|platform| async move {
            let ended_at = platform.clock.timestamp();
            revoke_alone(&platform, Kind::Client, "app").await;
            let list = &platform.revocations;
            assert!(list.ended("app", ended_at - 600) && list.ended("app", ended_at) && !list.ended("other", ended_at));
            // What another instance issued before it heard of the end.
            assert!(list.ended("app", ended_at + AFTERMATH));
            assert!(!list.ended("app", ended_at + AFTERMATH + 2));
        })
        .await;
    }
}
