//! [`Clients`]: clients as handlers look them up, read once a second at most, and those that are known by a document met.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use moka::future::Cache;
use shared::db::DbError;
use shared::http::ClientIp;
use shared::ids::ClientId;
use shared::{Platform, execute};

use super::documents::{Documents, Failure, NotNow};
use super::{Client, Origin, by_id, is_client_id};

/// How long a client that was read is believed: a change made by the CLI takes effect within this time.
const KEPT: Duration = Duration::from_secs(1);

/// How exactly it is known when a client that registered itself was of use last.
const USED: TimeDelta = TimeDelta::days(1);

/// The clients, as handlers look them up: one indexed read, kept for a second.
#[derive(Clone)]
pub struct Clients {
    platform: Platform,
    // What is not there is kept too, or made-up ids would each cost a read.
    kept: Cache<ClientId, Option<Arc<Client>>>,
    documents: Documents,
    /// Documents that are being fetched for the first time: one fetch serves all who wait for it.
    met: Cache<ClientId, Arc<Client>>,
}

impl Clients {
    pub fn new(platform: Platform) -> Self {
        let documents = Documents::new(&platform);
        let met = Cache::builder().max_capacity(1_000).time_to_live(KEPT).build();
        Self { platform, kept: Cache::builder().max_capacity(10_000).time_to_live(KEPT).build(), documents, met }
    }

    /// The client with this id; of those that are known by a document, one that was met before.
    pub async fn get(&self, id: &ClientId) -> Result<Option<Arc<Client>>, DbError> {
        // What can't be registered is not looked for, nor kept: strangers choose what stands here.
        let registered = is_client_id(id.as_str());
        if !registered && !self.documents.may_be_one(id) {
            return Ok(None);
        }
        match self.kept.get(id).await {
            Some(found) if registered || found.is_some() => Ok(found),
            // Boxed, as is everything here and at the token endpoint that is seldom gone: a future is as large as the
            // largest thing it may wait for, and is made and moved for every request.
            _ => Box::pin(self.look_up(id, registered)).await,
        }
    }

    async fn look_up(&self, id: &ClientId, registered: bool) -> Result<Option<Arc<Client>>, DbError> {
        // One look-up, and one fetch of a document that went stale, serves all who wait for it.
        let found = self.kept.try_get_with_by_ref(id, async {
            let client = if registered {
                by_id(&mut self.platform.db.read().await?, id).await?
            } else {
                self.documents.known(id).await?
            };
            Ok::<_, DbError>(client.map(Arc::new))
        });
        let found = found.await.map_err(shared_error)?;
        // A document that could not be had is asked for again (draft §5.2: errors are not kept).
        if !registered && found.is_none() {
            self.forget(id).await;
        }
        Ok(found)
    }

    /// A flow begins: a client that is known by its document, and that was never seen, is looked for where its id leads.
    /// Nowhere else, or whoever sends made-up ids to the token endpoint would have us call on anybody they name.
    ///
    /// # Errors
    /// When `caller` brought too many strangers, or too many are being looked for just now. A document that is not there
    /// or not acceptable is no error: there is no such client then.
    pub async fn meet(&self, id: &ClientId, caller: &ClientIp) -> Result<(), NotNow> {
        if is_client_id(id.as_str()) || !self.documents.may_be_one(id) || self.get(id).await?.is_some() {
            return Ok(());
        }
        self.documents.admit(caller).await?;
        let met = self.met.try_get_with_by_ref(id, async { self.documents.meet(id).await.map(Arc::new) });
        match met.await {
            Ok(client) => {
                self.kept.insert(id.clone(), Some(client)).await;
                Ok(())
            }
            Err(failure) => match Arc::try_unwrap(failure) {
                Ok(Failure::Database(error)) => Err(error.into()),
                Ok(Failure::NotNow(limited)) => Err(limited.into()),
                Ok(_) => Ok(()),
                Err(shared) => match &*shared {
                    Failure::Database(error) => Err(copy_of(error).into()),
                    Failure::NotNow(limited) => Err((*limited).into()),
                    _ => Ok(()),
                },
            },
        }
    }

    /// Notes, once a day, that a client which registered itself acts for itself: that leaves no grant behind, and what
    /// nobody uses is forgotten one day (`registration.unused_days`).
    pub async fn mark_used(&self, client: &Client) -> Result<(), DbError> {
        let now = self.platform.clock.now();
        if client.origin != Origin::Registered || client.used_at.is_some_and(|at| at > now - USED) {
            return Ok(());
        }
        Box::pin(self.write_use(client, now)).await
    }

    async fn write_use(&self, client: &Client, now: DateTime<Utc>) -> Result<(), DbError> {
        let mut tx = self.platform.db.begin().await?;
        execute!(
            &mut tx,
            "UPDATE clients SET used_at = $2 WHERE client_id = $1 AND (used_at IS NULL OR used_at <= $3)",
            &client.client_id,
            now,
            now - USED
        )?;
        tx.commit().await?;
        self.forget(&client.client_id).await;
        Ok(())
    }

    /// Reads this client anew next time: call it where it was changed.
    pub async fn forget(&self, id: &ClientId) {
        self.kept.invalidate(id).await;
    }
}

/// An error that several waited for, for each of them.
fn shared_error(error: Arc<DbError>) -> DbError {
    Arc::try_unwrap(error).unwrap_or_else(|shared| copy_of(&shared))
}

fn copy_of(error: &DbError) -> DbError {
    let told = sqlx::Error::Io(std::io::Error::other(error.to_string()));
    if error.is_unavailable() { DbError::Unavailable(told) } else { DbError::Other(told) }
}
