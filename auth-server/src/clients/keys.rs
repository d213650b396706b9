//! The public keys of clients (RFC 7591 §2: `jwks`, or fetched from `jwks_uri`), kept parsed. Client assertions, request
//! objects and assertion grants are verified with them.
//!
//! A set by reference is fetched through the guard against private addresses, at most once in a while whatever strangers
//! send, and outlives an hour in which its owner does not answer.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Algorithm;
use moka::future::Cache;
use serde_json::Value;
use shared::Platform;
use shared::clock::Clock;
use shared::ids::ClientId;
use shared::jose::json::{Bounds, JsonError, parse_object};
use shared::jose::jwk::{JwkError, KeySet};
use shared::jose::jwt::{JwtError, Unverified, Verified};
use shared::limits::{Limited, Limits};
use shared::outbound::{Outbound, ReadError, Refused, read_at_most};
use tokio::sync::Mutex;
use url::Url;

use super::{Client, Origin};

/// How long a fetched set is used without asking again: so long a key that was withdrawn may still be accepted.
const FRESH: TimeDelta = TimeDelta::minutes(5);
/// The least time between two fetches of one set, whatever the reason.
const PAUSE: TimeDelta = TimeDelta::seconds(5);
/// How long a set serves while its owner does not answer. A withdrawn key must not be accepted for ever.
const LONGEST_USE: TimeDelta = TimeDelta::hours(1);
/// A request waits for it.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many sets of one host are fetched in a minute for the first time, and how many are fetched again. Each counts by
/// itself, and the clients of the operator apart from those that came by themselves: whoever registers ever new addresses
/// at a host keeps no set in use there from being renewed, and none of the operator's clients from its first.
const FIRST_PER_HOST: u64 = 30;
const AGAIN_PER_HOST: u64 = 120;
/// Room for twenty keys with their certificates.
const LARGEST: usize = 128 * 1024;

/// Why a client's keys can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeysError {
    #[error("the client has registered no keys")]
    None,
    #[error("the client's keys: {0}")]
    Unusable(#[from] JwkError),
    #[error("the client's keys can't be fetched just now")]
    Unavailable,
}

/// Why a token is not one of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    #[error(transparent)]
    Keys(#[from] ClientKeysError),
    #[error(transparent)]
    Token(#[from] JwtError),
}

/// Verifies that `token` is signed with a key of `client` and one of the `allowed` algorithms. A key that is not known is
/// looked for once more where the client keeps its keys: it may be new.
///
/// # Errors
/// When the client has registered no keys, or they can't be fetched and no recent set is at hand; and as
/// [`Unverified::verify`].
pub async fn verify_signed(
    keys: &ClientKeys,
    client: &Client,
    token: &Unverified,
    allowed: &[Algorithm],
) -> Result<Verified, NotSigned> {
    let known = keys.of(client, None).await?;
    match token.verify(&known, allowed) {
        // Without a key id there is no telling a new key from a bad signature.
        Err(error @ (JwtError::NoKey | JwtError::Signature)) if error == JwtError::NoKey || token.kid().is_none() => {
            let newer = keys.of(client, Some(&known)).await?;
            if Arc::ptr_eq(&newer, &known) {
                return Err(error.into());
            }
            Ok(token.verify(&newer, allowed)?)
        }
        verified => Ok(verified?),
    }
}

/// Is the key with this thumbprint (RFC 7638) one of `client`'s? Looked for once more, as in [`verify_signed`].
pub async fn has_key(keys: &ClientKeys, client: &Client, thumbprint: &str) -> bool {
    let holds = |set: &KeySet| set.keys().iter().any(|key| key.thumbprint() == thumbprint);
    let Ok(known) = keys.of(client, None).await else { return false };
    holds(&known) || keys.of(client, Some(&known)).await.is_ok_and(|newer| holds(&newer))
}

/// What is kept of clients' keys; clones share it.
#[derive(Clone)]
pub struct ClientKeys {
    outbound: Outbound,
    clock: Clock,
    limits: Limits,
    /// With what they were parsed from: a client that registers others is not taken for its former self.
    by_value: Cache<ClientId, Arc<(Value, Arc<KeySet>)>>,
    by_reference: Cache<String, Arc<Remote>>,
}

/// A set at an address.
#[derive(Default)]
struct Remote {
    current: RwLock<Option<(Arc<KeySet>, DateTime<Utc>)>>,
    /// Held while fetching, so that one fetch serves all who wait; when the last one began.
    fetching: Mutex<Option<DateTime<Utc>>>,
}

impl ClientKeys {
    pub fn new(platform: &Platform) -> Self {
        // Longer than a fetched set is of use.
        let idle = Duration::from_secs(2 * 3600);
        Self {
            outbound: platform.outbound.clone(),
            clock: platform.clock.clone(),
            limits: platform.limits.clone(),
            by_value: Cache::builder().max_capacity(10_000).time_to_idle(idle).build(),
            by_reference: Cache::builder().max_capacity(10_000).time_to_idle(idle).build(),
        }
    }

    /// The client's keys; others than `rejected`, if there are any by now.
    async fn of(&self, client: &Client, rejected: Option<&Arc<KeySet>>) -> Result<Arc<KeySet>, ClientKeysError> {
        match (&client.metadata.jwks, &client.metadata.jwks_uri) {
            (Some(jwks), _) => self.parsed(&client.client_id, jwks).await,
            (None, Some(uri)) => self.fetched(uri, client.origin, rejected).await,
            (None, None) => Err(ClientKeysError::None),
        }
    }

    async fn parsed(&self, client: &ClientId, jwks: &Value) -> Result<Arc<KeySet>, ClientKeysError> {
        if let Some(kept) = self.by_value.get(client).await
            && kept.0 == *jwks
        {
            return Ok(kept.1.clone());
        }
        let keys = Arc::new(KeySet::parse(jwks)?);
        self.by_value.insert(client.clone(), Arc::new((jwks.clone(), keys.clone()))).await;
        Ok(keys)
    }

    async fn fetched(
        &self,
        uri: &str,
        origin: Origin,
        rejected: Option<&Arc<KeySet>>,
    ) -> Result<Arc<KeySet>, ClientKeysError> {
        let remote = self.by_reference.get_with_by_ref(uri, async { Arc::default() }).await;
        if let Some(keys) = remote.usable(self.clock.now(), FRESH, rejected) {
            return Ok(keys);
        }
        let mut last = remote.fetching.lock().await;
        // Whoever held the lock may have fetched it.
        if let Some(keys) = remote.usable(self.clock.now(), FRESH, rejected) {
            return Ok(keys);
        }
        let now = self.clock.now();
        if last.is_none_or(|last| (now - last).abs() >= PAUSE) {
            *last = Some(now);
            let (keys, remote, uri) = (self.clone(), remote.clone(), uri.to_owned());
            // In a task of its own: a caller who hangs up must not end the fetch that others wait for.
            let _ = tokio::spawn(async move { keys.fetch_into(&remote, &uri, origin).await }).await;
        }
        drop(last);
        remote.usable(self.clock.now(), LONGEST_USE, None).ok_or(ClientKeysError::Unavailable)
    }

    async fn fetch_into(&self, remote: &Remote, uri: &str, origin: Origin) {
        let first = remote.current.read().unwrap_or_else(PoisonError::into_inner).is_none();
        match self.fetch(uri, origin, first).await {
            Ok(keys) => {
                let kept = Some((Arc::new(keys), self.clock.now()));
                *remote.current.write().unwrap_or_else(PoisonError::into_inner) = kept;
            }
            // The address is the client's choice: no more of it than its host belongs into the log.
            Err(error) => {
                let host = Url::parse(uri).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
                tracing::debug!(%error, host, "a client's keys can't be fetched");
            }
        }
    }

    async fn fetch(&self, uri: &str, origin: Origin, first: bool) -> Result<KeySet, FetchError> {
        let url = Url::parse(uri).map_err(|_| FetchError::Guard(Refused::NotPlain))?;
        let host = url.host_str().unwrap_or_default().as_bytes();
        let (name, most) = match (origin, first) {
            (Origin::Operator, true) => ("client-keys", FIRST_PER_HOST),
            (Origin::Operator, false) => ("client-keys-again", AGAIN_PER_HOST),
            (_, true) => ("strangers-keys", FIRST_PER_HOST),
            (_, false) => ("strangers-keys-again", AGAIN_PER_HOST),
        };
        self.limits.check(name, host, most, Duration::from_secs(60)).await?;
        let request = self.outbound.guarded().get(&url)?;
        let request = request.header("accept", "application/jwk-set+json, application/json").timeout(PATIENCE);
        let response = request.send().await.map_err(|error| FetchError::Unreachable(error.without_url()))?;
        // Redirects are not followed: one would lead past the registered address.
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = read_at_most(response, LARGEST).await?;
        let set = parse_object(&body, &Bounds { max_bytes: LARGEST, max_depth: 8 })?;
        Ok(KeySet::parse(&Value::Object(set))?)
    }
}

impl Remote {
    /// The set, unless it is older than `age` or the one that was `rejected`.
    fn usable(&self, now: DateTime<Utc>, age: TimeDelta, rejected: Option<&Arc<KeySet>>) -> Option<Arc<KeySet>> {
        let (keys, fetched_at) = self.current.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let rejected = rejected.is_some_and(|rejected| Arc::ptr_eq(rejected, &keys));
        (!rejected && now - fetched_at < age).then_some(keys)
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Guard(#[from] Refused),
    #[error("its host is asked {0}")]
    Limited(#[from] Limited),
    #[error("no answer: {0}")]
    Unreachable(reqwest::Error),
    #[error("the answer is {0}")]
    Status(reqwest::StatusCode),
    #[error(transparent)]
    Body(#[from] ReadError),
    #[error("not a JWK set: {0}")]
    Json(#[from] JsonError),
    #[error("not a usable JWK set: {0}")]
    Set(#[from] JwkError),
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
