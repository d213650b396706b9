//! The key ring: all keys that are published, and which of them signs now.
//!
//! A key's life follows from the table alone, so every instance agrees without talking: it is published when it is
//! made, signs from `activates_at` until its successor's `activates_at`, and stays published until the last token it
//! signed has expired.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::Platform;
use shared::db::{DbError, Tx};
use shared::platform::every;
use shared::secret::Unsealable;
use shared::{execute, fetch_all, fetch_optional};
use sqlx::types::Json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info};

use super::sign::{self, Algorithm, KeyError, SigningKey};

const SEAL: &str = "signing-keys";

/// How often an instance looks for keys that others made, and whether one is due. Far shorter than [`LEAD`].
const WATCH_INTERVAL: Duration = Duration::from_secs(60);

/// How long before it signs a new key is published, so that whoever caches our JWKS has it by then.
const LEAD: TimeDelta = TimeDelta::hours(24);

/// The ring. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct KeyRing(Arc<RwLock<Snapshot>>);

/// Of each algorithm, the keys with the time from which they sign, oldest first.
type Schedule = HashMap<Algorithm, Vec<(DateTime<Utc>, Arc<SigningKey>)>>;

struct Snapshot {
    published: HashMap<String, Arc<SigningKey>>,
    schedule: Schedule,
    jwks: Bytes,
}

/// Why the signing keys can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(
        "the signing keys in the database were sealed with another master key; configure that one (keys.master_key, \
         or data_dir/master.key): {0}"
    )]
    Sealed(#[from] Unsealable),
    #[error("the database holds a signing key of the unknown algorithm {0}; was it written by a newer release?")]
    Unknown(String),
}

impl KeyRing {
    /// Loads the keys, making those that are missing.
    pub async fn open(platform: &Platform) -> Result<Self, KeyRingError> {
        ensure(platform).await?;
        Ok(Self(Arc::new(RwLock::new(load(platform).await?))))
    }

    /// Reads the table again, and makes successors that are due.
    pub async fn refresh(&self, platform: &Platform) -> Result<(), KeyRingError> {
        ensure(platform).await?;
        let snapshot = load(platform).await?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        Ok(())
    }

    /// Refreshes once a minute until `stop` turns true.
    pub fn watch(&self, platform: Platform, stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let ring = self.clone();
        every(WATCH_INTERVAL, stop, move || {
            let (ring, platform) = (ring.clone(), platform.clone());
            async move {
                if let Err(error) = ring.refresh(&platform).await {
                    error!(%error, "the signing keys can't be refreshed; the ones in memory go on signing");
                }
            }
        })
    }

    /// The key that signs with `algorithm` at `now`.
    ///
    /// # Panics
    /// Never in practice: [`KeyRing::open`] makes a key for every algorithm.
    pub fn signing(&self, algorithm: Algorithm, now: DateTime<Utc>) -> Arc<SigningKey> {
        let snapshot = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let keys = &snapshot.schedule[&algorithm];
        let current = keys.iter().rev().find(|(activates_at, _)| *activates_at <= now).or(keys.first());
        current.map(|(_, key)| key.clone()).expect("every algorithm has a key")
    }

    /// The published key with this id.
    pub fn published(&self, kid: &str) -> Option<Arc<SigningKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).published.get(kid).cloned()
    }

    /// The public JWK with this id, also of a key that is published no more: an ID token may come back as a hint long
    /// after it expired (RP-Initiated Logout §2).
    pub async fn ever_published(&self, platform: &Platform, kid: &str) -> Result<Option<Value>, DbError> {
        if let Some(key) = self.published(kid) {
            return Ok(Some(key.public_jwk()));
        }
        let mut conn = platform.db.read().await?;
        let row: Option<(Json<Value>,)> =
            fetch_optional!(&mut conn, (Json<Value>,), "SELECT public_jwk FROM signing_keys WHERE kid = $1", kid)?;
        Ok(row.map(|(Json(jwk),)| jwk))
    }

    /// The JSON Web Key Set (RFC 7517 §5).
    pub fn jwks(&self) -> Bytes {
        self.0.read().unwrap_or_else(PoisonError::into_inner).jwks.clone()
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    kid: String,
    alg: String,
    generation: i64,
    sealed_private: Vec<u8>,
    activates_at: DateTime<Utc>,
}

async fn rows(platform: &Platform) -> Result<Vec<Row>, DbError> {
    let mut conn = platform.db.read().await?;
    fetch_all!(
        &mut conn,
        Row,
        "SELECT kid, alg, generation, sealed_private, activates_at FROM signing_keys ORDER BY alg, generation"
    )
}

/// Makes the keys that are missing, and successors of those that are due.
async fn ensure(platform: &Platform) -> Result<(), KeyRingError> {
    let now = platform.clock.now();
    let rotation = TimeDelta::days(i64::try_from(platform.config.keys.rotation_days).unwrap_or(90));
    let rows = rows(platform).await?;
    for algorithm in Algorithm::ALL {
        let newest = rows.iter().rfind(|row| row.alg == algorithm.name());
        let (generation, activates_at) = match newest {
            None => (1, now),
            // The lead is part of the period: the successor signs when the period is over.
            Some(row) if row.activates_at + rotation - LEAD <= now => (row.generation + 1, now + LEAD),
            Some(_) => continue,
        };
        // RSA takes a while to find its primes: not on a thread that serves requests.
        let pkcs8 = tokio::task::spawn_blocking(move || sign::generate(algorithm))
            .await
            .map_err(|e| DbError::Other(sqlx::Error::Io(std::io::Error::other(e))))??;
        keep(platform, algorithm, generation, &pkcs8, activates_at).await?;
    }
    Ok(())
}

/// Keeps a new key, unless another instance was faster.
pub(super) async fn keep(
    platform: &Platform,
    algorithm: Algorithm,
    generation: i64,
    pkcs8: &[u8],
    activates_at: DateTime<Utc>,
) -> Result<(), KeyRingError> {
    let kid = format!("{}-{}", algorithm.name().to_lowercase(), platform.random.uuid_v4().simple());
    let key = SigningKey::parse(kid.clone(), algorithm, pkcs8)?;
    let sealed = platform.master_key.seal(SEAL, kid.as_bytes(), pkcs8, &platform.random);
    let mut tx: Tx = platform.db.begin().await?;
    let inserted = execute!(
        &mut tx,
        "INSERT INTO signing_keys (kid, alg, generation, public_jwk, sealed_private, created_at, activates_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (alg, generation) DO NOTHING",
        &kid,
        algorithm.name(),
        generation,
        Json(key.public_jwk()),
        sealed,
        platform.clock.now(),
        activates_at
    )?;
    tx.commit().await?;
    if inserted == 1 {
        info!(%kid, %activates_at, "made a signing key");
    }
    Ok(())
}

async fn load(platform: &Platform) -> Result<Snapshot, KeyRingError> {
    let now = platform.clock.now();
    let tokens = &platform.config.tokens;
    let longest = i64::try_from(tokens.access_token_seconds.max(tokens.id_token_seconds)).unwrap_or(i64::MAX / 1000);
    let mut published = HashMap::new();
    let mut schedule = Schedule::new();
    let mut jwks = vec![];
    let rows = rows(platform).await?;
    for (index, row) in rows.iter().enumerate() {
        let successor = rows.get(index + 1).filter(|next| next.alg == row.alg);
        // An hour beyond the last token's expiry: clocks differ.
        if successor.is_some_and(|s| s.activates_at + TimeDelta::seconds(longest) + TimeDelta::hours(1) <= now) {
            continue;
        }
        let algorithm = Algorithm::named(&row.alg).ok_or_else(|| KeyRingError::Unknown(row.alg.clone()))?;
        let pkcs8 = platform.master_key.open(SEAL, row.kid.as_bytes(), &row.sealed_private)?;
        let key = Arc::new(SigningKey::parse(row.kid.clone(), algorithm, &pkcs8)?);
        jwks.push(key.public_jwk());
        published.insert(row.kid.clone(), key.clone());
        schedule.entry(algorithm).or_default().push((row.activates_at, key));
    }
    Ok(Snapshot { published, schedule, jwks: Bytes::from(json!({ "keys": jwks }).to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::testing::each_store;

    #[tokio::test]
    async fn keys_are_made_once_even_by_many_instances() {
        each_store(|platform| async move {
            let opened = futures::future::join_all((0..4).map(|_| KeyRing::open(&platform))).await;
            let now = platform.clock.now();
            let kids: Vec<_> =
                opened.iter().map(|r| r.as_ref().unwrap().signing(Algorithm::Es256, now).kid.clone()).collect();
            assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
        })
        .await;
    }

    #[tokio::test]
    async fn a_successor_is_published_first_then_signs_then_the_old_key_goes() {
        each_store(|platform| async move {
            let ring = KeyRing::open(&platform).await.unwrap();
            let old = ring.signing(Algorithm::Es256, platform.clock.now()).kid.clone();

            platform.clock.advance(Duration::from_secs(89 * 86_400 + 60));
            ring.refresh(&platform).await.unwrap();
            assert_eq!(ring.signing(Algorithm::Es256, platform.clock.now()).kid, old);
            assert_eq!(ring.jwks().windows(7).filter(|w| w == b"\"kid\":\"").count(), 8);

            platform.clock.advance(Duration::from_secs(86_400));
            ring.refresh(&platform).await.unwrap();
            assert_ne!(ring.signing(Algorithm::Es256, platform.clock.now()).kid, old);
            assert!(ring.published(&old).is_some());

            platform.clock.advance(Duration::from_secs(3600 + 600));
            ring.refresh(&platform).await.unwrap();
            assert!(ring.published(&old).is_none());
        })
        .await;
    }

    #[tokio::test]
    async fn keys_sealed_with_another_master_key_do_not_open() {
        each_store(|mut platform| async move {
            KeyRing::open(&platform).await.unwrap();
            platform.master_key = shared::secret::MasterKey::generate(&platform.random);
            assert!(matches!(KeyRing::open(&platform).await, Err(KeyRingError::Sealed(_))));
        })
        .await;
    }
}
