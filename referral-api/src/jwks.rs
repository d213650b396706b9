//! The issuer's public keys, kept parsed. They are fetched when the service starts, every few minutes, and when a token
//! names a key that is not known; strangers can't make that last a storm of fetches.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use shared::clock::Clock;
use shared::outbound::{ReadError, read_at_most};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

/// The signature algorithms an access token may use. Never a symmetric one: the public key would be its secret.
pub const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS256];

/// How often the set is fetched anyway: a key that was withdrawn is accepted for that long at most while the issuer
/// answers.
const REFRESH: Duration = Duration::from_secs(300);
/// The least time between two fetches that unknown key ids cause.
const UNKNOWN_KEY_PAUSE: TimeDelta = TimeDelta::seconds(5);
/// The same while there is no set at all: every request waits for it.
const FIRST_SET_PAUSE: TimeDelta = TimeDelta::seconds(1);
/// How long a set serves while the issuer does not answer. A withdrawn key must not be accepted for ever.
const LONGEST_USE: TimeDelta = TimeDelta::hours(1);
/// A request may be waiting for it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Far more than any set of keys.
const LARGEST: usize = 256 * 1024;

/// A key to verify with.
pub struct Key {
    pub algorithm: Algorithm,
    pub verifier: DecodingKey,
    pub thumbprint: Thumbprint,
}

/// Which key it is, whatever its id: by the algorithm and the public key itself (RFC 7638).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    fn of(jwk: &Jwk, algorithm: Algorithm) -> Option<Self> {
        let of_key = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        Some(Self(Sha256::digest(format!("{algorithm:?} {of_key}")).into()))
    }
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The issuer has no key of this id.
    Unknown,
    /// The issuer's keys can't be had just now.
    Unavailable,
}

/// The key set; clones share it.
#[derive(Clone)]
pub struct KeySet(Arc<Inner>);

struct Inner {
    url: String,
    client: reqwest::Client,
    clock: Clock,
    current: RwLock<Option<Arc<Keys>>>,
    /// Held while fetching, so that one fetch serves all who wait; when the last one began.
    fetching: Mutex<Option<DateTime<Utc>>>,
}

struct Keys {
    by_id: HashMap<String, Arc<Key>>,
    fetched_at: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the issuer does not answer: {0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("the issuer answers {0}")]
    Status(reqwest::StatusCode),
    #[error(transparent)]
    Body(#[from] ReadError),
    #[error("what the issuer answers is not a JWK set: {0}")]
    NotASet(#[from] serde_json::Error),
}

impl KeySet {
    /// Nothing is fetched yet.
    pub fn new(url: String, client: reqwest::Client, clock: Clock) -> Self {
        let (current, fetching) = (RwLock::default(), Mutex::default());
        Self(Arc::new(Inner { url, client, clock, current, fetching }))
    }

    /// The key of this id; fetches the set when it is not known and the last fetch is not too recent.
    pub async fn find(&self, id: &str) -> Result<Arc<Key>, NoKey> {
        let before = self.current();
        if let Some(key) = before.as_ref().and_then(|keys| keys.by_id.get(id)) {
            return Ok(key.clone());
        }
        let mut last = self.0.fetching.lock().await;
        let after = self.current();
        let fetched_meanwhile = match (&before, &after) {
            (Some(before), Some(after)) => !Arc::ptr_eq(before, after),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let pause = if after.is_some() { UNKNOWN_KEY_PAUSE } else { FIRST_SET_PAUSE };
        let now = self.0.clock.now();
        let due = last.is_none_or(|last| (now - last).abs() >= pause);
        if due && !fetched_meanwhile {
            *last = Some(now);
            let fetch = tokio::spawn(self.clone().fetch());
            // In a task of its own: a caller who hangs up must not end the fetch that others wait for.
            let _ = fetch.await;
        }
        drop(last);
        let keys = self.current().ok_or(NoKey::Unavailable)?;
        keys.by_id.get(id).cloned().ok_or(NoKey::Unknown)
    }

    /// Is this very key in the set, under this id? Nothing is fetched for it.
    pub fn holds(&self, id: &str, thumbprint: &Thumbprint) -> bool {
        self.current().and_then(|keys| keys.by_id.get(id).map(|key| key.thumbprint == *thumbprint)).unwrap_or_default()
    }

    /// Fetches the set now. Without success the one at hand stays in use.
    pub async fn refresh(&self) -> bool {
        let mut last = self.0.fetching.lock().await;
        *last = Some(self.0.clock.now());
        self.clone().fetch().await
    }

    /// Keeps the set fresh until `stop` turns true.
    pub fn watch(&self, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let keys = self.clone();
        let refresh = async move {
            let mut wait = Duration::ZERO;
            loop {
                tokio::time::sleep(wait).await;
                wait = match keys.refresh().await {
                    true => REFRESH,
                    // Soon at first, for an issuer that is just starting.
                    false => (wait * 2).clamp(Duration::from_secs(1), Duration::from_secs(10)),
                };
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                () = refresh => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            }
        })
    }

    /// Is there a set to work with?
    pub fn is_ready(&self) -> bool {
        self.current().is_some()
    }

    fn current(&self) -> Option<Arc<Keys>> {
        let keys = self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        (self.0.clock.now() - keys.fetched_at < LONGEST_USE).then_some(keys)
    }

    async fn fetch(self) -> bool {
        match self.download().await {
            Ok(by_id) => {
                let keys = Keys { by_id, fetched_at: self.0.clock.now() };
                *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
                true
            }
            Err(error) => {
                tracing::warn!(%error, url = self.0.url, "the issuer's keys can't be fetched");
                false
            }
        }
    }

    async fn download(&self) -> Result<HashMap<String, Arc<Key>>, FetchError> {
        let response = self.0.client.get(&self.0.url).timeout(PATIENCE).send().await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        parse(&read_at_most(response, LARGEST).await?)
    }
}

/// Reads a JWK set. A key that can't be used here (RFC 7517 §5) is left out and spoils nothing.
fn parse(body: &[u8]) -> Result<HashMap<String, Arc<Key>>, FetchError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(body)?;
    let usable = set.keys.into_iter().filter_map(|key| usable(serde_json::from_value(key).ok()?));
    Ok(usable.map(|(id, key)| (id, Arc::new(key))).collect())
}

fn usable(jwk: Jwk) -> Option<(String, Key)> {
    let id = jwk.common.key_id.clone()?;
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|u| *u == PublicKeyUse::Signature)
        && jwk.common.key_operations.as_ref().is_none_or(|ops| ops.contains(&KeyOperations::Verify));
    // The key's own algorithm binds; where it names none, its type must leave no choice.
    let of_its_type: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::PS256],
        _ => return None,
    };
    let algorithm = match (jwk.common.key_algorithm, of_its_type) {
        (Some(named), fitting) => Algorithm::try_from(named).ok().filter(|alg| fitting.contains(alg))?,
        (None, [only]) => *only,
        (None, _) => return None,
    };
    let verifier = DecodingKey::from_jwk(&jwk).ok()?;
    let thumbprint = Thumbprint::of(&jwk, algorithm)?;
    (for_signatures && ALGORITHMS.contains(&algorithm)).then_some((id, Key { algorithm, verifier, thumbprint }))
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Two keys, for tests that verify nothing with them.
    pub(crate) fn keys() -> [Key; 2] {
        let points = [
            ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
            ("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"),
        ];
        points.map(|(x, y)| {
            let jwk = serde_json::json!({ "kid": "key", "kty": "EC", "crv": "P-256", "x": x, "y": y });
            usable(serde_json::from_value(jwk).unwrap()).unwrap().1
        })
    }

    impl KeySet {
        /// As if these had been fetched just now.
        pub(crate) fn now_holds(&self, keys: Vec<(&str, Key)>) {
            let by_id = keys.into_iter().map(|(id, key)| (id.to_owned(), Arc::new(key))).collect();
            let keys = Keys { by_id, fetched_at: self.0.clock.now() };
            *self.0.current.write().unwrap() = Some(Arc::new(keys));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_can_not_be_used_are_left_out__rfc7517_5() {
        let point =
            r#""x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
        let set = format!(
            r#"{{"keys":[
                {{"kid":"good","kty":"EC","crv":"P-256","alg":"ES256","use":"sig",{point}}},
                {{"kid":"no-alg","kty":"EC","crv":"P-256",{point}}},
                {{"kid":"to-encrypt","kty":"EC","crv":"P-256","use":"enc",{point}}},
                {{"kid":"to-sign","kty":"EC","crv":"P-256","key_ops":["sign"],{point}}},
                {{"kid":"wrong-alg","kty":"EC","crv":"P-256","alg":"RS256",{point}}},
                {{"kid":"symmetric","kty":"oct","k":"c2VjcmV0","alg":"HS256"}},
                {{"kid":"undecided","kty":"RSA","n":"AQAB","e":"AQAB"}},
                {{"kid":"unknown","kty":"quantum"}},
                {{"kty":"EC","crv":"P-256",{point}}}, 7]}}"#
        );
        let keys = parse(set.as_bytes()).unwrap();
        let mut ids: Vec<_> = keys.keys().map(String::as_str).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["good", "no-alg"]);
        assert_eq!(keys["no-alg"].algorithm, Algorithm::ES256);
        assert!(parse(b"<html>").is_err());
    }
}
