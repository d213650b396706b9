//! What every part of both services stands on, built once and handed down: no globals.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Db, DbError};
use crate::limits::Limits;
use crate::outbound::Outbound;
use crate::random::Random;
use crate::revocations::{REFRESH_INTERVAL, Revocations};
use crate::secret::{MasterKey, MasterKeyError};

/// The foundations. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Platform {
    pub config: Arc<Config>,
    pub db: Db,
    pub cache: Cache,
    pub limits: Limits,
    pub clock: Clock,
    pub random: Random,
    pub outbound: Outbound,
    pub revocations: Revocations,
    pub master_key: MasterKey,
}

/// Why a service can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    #[error("redis.url is not usable: {0}")]
    Redis(String),
    #[error("outbound.allow is not usable: {0}")]
    Outbound(String),
}

impl Platform {
    /// Opens what `config` names, on the machine's clock and randomness. Migrates when the configuration says so.
    pub async fn open(config: Arc<Config>) -> Result<Self, StartError> {
        Self::open_with(config, Clock::system(), Random::system()).await
    }

    /// The same on a clock and a random source of the caller's.
    pub async fn open_with(config: Arc<Config>, clock: Clock, random: Random) -> Result<Self, StartError> {
        // One rustls provider for every client in the process; a second installation is refused and harmless.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let db = Db::open(&config.database_url(), config.database.max_connections).await?;
        if config.migrates_on_start() {
            db.migrate().await?;
        }
        let master_key = match &config.keys.master_key {
            Some(key) => MasterKey::parse(key.expose())?,
            None => MasterKey::load_or_create(&config.data_dir.join("master.key"), &random)?,
        };
        let cache = match &config.redis.url {
            Some(url) => Cache::redis(url.expose(), clock.clone()).map_err(|e| StartError::Redis(e.to_string()))?,
            // Several instances may share a PostgreSQL: what one of them caches in its memory, the others could not
            // take back.
            None if db.is_embedded() => Cache::in_process(clock.clone()),
            None => Cache::disabled(clock.clone()),
        };
        let outbound =
            Outbound::new(&config.outbound.allow, clock.clone()).map_err(|e| StartError::Outbound(e.to_string()))?;
        let limits = Limits::new(cache.clone(), clock.clone(), config.limits.enabled);
        Ok(Self { config, db, cache, limits, clock, random, outbound, revocations: Revocations::default(), master_key })
    }

    /// Reads the list of revocations, now and then once a second until `stop` turns true.
    pub fn watch_revocations(&self, stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let platform = self.clone();
        every(REFRESH_INTERVAL, stop, move || {
            let platform = platform.clone();
            async move {
                if let Err(error) = platform.revocations.refresh(&platform.db, platform.clock.now()).await {
                    warn!(%error, "the list of revocations can't be read; the last one stays in force");
                }
            }
        })
    }
}

/// A future that few requests come to, or that waits for another machine anyway, in a box of its own: or every request
/// would carry the room for it about.
pub fn seldom<'a, T>(future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(future)
}

/// Runs `work` now and then every `period`, until `stop` turns true. Work under way is finished first.
pub fn every<F>(
    period: Duration,
    mut stop: watch::Receiver<bool>,
    mut work: impl FnMut() -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send,
{
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => work().await,
                // In a block of its own: what `wait_for` gives may not be held while `work` runs.
                () = async { let _ = stop.wait_for(|stopped| *stopped).await; } => return,
            }
        }
    })
}
