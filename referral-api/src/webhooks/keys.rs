//! What messages are signed with ("Signature scheme"): `v1`, HMAC-SHA256 under a secret that the endpoint shares, and
//! `v1a`, Ed25519 under a key of the endpoint's that never leaves here. Each endpoint has keys of its own; at rest they are
//! sealed under the master key.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shared::db::{Conn, DbError, Tx};
use shared::ids::WebhookEndpointId;
use shared::{Platform, execute, fetch_all};
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long the last keys sign along after a rotation, for receivers to take up the new ones.
pub const OVERLAP: TimeDelta = TimeDelta::hours(24);

const PURPOSE: &str = "webhook-secret";

/// A way to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HMAC-SHA256 under the endpoint's secret, `whsec_…`. Always.
    V1,
    /// Ed25519 besides, verified with the endpoint's public key, `whpk_…`.
    V1a,
}

impl Scheme {
    /// The signature identifier.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1a => "v1a",
        }
    }
}

/// A secret as its owner is shown it, once.
pub struct ShownSecret(Zeroizing<String>);

impl ShownSecret {
    /// `whsec_` and base64.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ShownSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownSecret(…)")
    }
}

/// A public key as it is shown: `whpk_` and base64.
pub fn shown_public_key(bytes: &[u8]) -> String {
    format!("whpk_{}", STANDARD.encode(bytes))
}

/// Draws a key of this scheme for the endpoint, which has none of it. Of `v1` the secret comes back.
pub async fn make(
    tx: &mut Tx,
    platform: &Platform,
    endpoint: WebhookEndpointId,
    scheme: Scheme,
) -> Result<Option<ShownSecret>, DbError> {
    let id = platform.random.uuid_v7(&platform.clock);
    // Of 24 to 64 bytes, as the specification has it, and as many as the hash gives.
    let material = Zeroizing::new(platform.random.bytes::<32>());
    let public_key = match scheme {
        Scheme::V1 => None,
        Scheme::V1a => key_pair(material.as_slice()).map(|pair| pair.public_key().as_ref().to_vec()),
    };
    execute!(
        tx,
        "INSERT INTO webhook_secrets (id, endpoint_id, scheme, sealed, public_key, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        id,
        endpoint,
        scheme.as_str(),
        platform.master_key.seal(PURPOSE, id.as_bytes(), material.as_slice(), &platform.random),
        public_key,
        platform.clock.now()
    )?;
    let shown = || ShownSecret(Zeroizing::new(format!("whsec_{}", STANDARD.encode(material.as_slice()))));
    Ok((scheme == Scheme::V1).then(shown))
}

/// Replaces the endpoint's keys. Those of now sign along until the time that comes back; older ones, which did so until
/// now, end.
pub async fn rotate(
    tx: &mut Tx,
    platform: &Platform,
    endpoint: WebhookEndpointId,
) -> Result<(Option<ShownSecret>, DateTime<Utc>), DbError> {
    let until = platform.clock.now() + OVERLAP;
    execute!(tx, "DELETE FROM webhook_secrets WHERE endpoint_id = $1 AND expires_at IS NOT NULL", endpoint)?;
    let current = fetch_all!(
        tx,
        (String,),
        "UPDATE webhook_secrets SET expires_at = $2 WHERE endpoint_id = $1 AND expires_at IS NULL RETURNING scheme",
        endpoint,
        until
    )?;
    let secret = make(tx, platform, endpoint, Scheme::V1).await?;
    if current.iter().any(|(scheme,)| scheme == Scheme::V1a.as_str()) {
        make(tx, platform, endpoint, Scheme::V1a).await?;
    }
    Ok((secret, until))
}

/// Ends `v1a`.
pub async fn forget_v1a(tx: &mut Tx, endpoint: WebhookEndpointId) -> Result<(), DbError> {
    execute!(tx, "DELETE FROM webhook_secrets WHERE endpoint_id = $1 AND scheme = 'v1a'", endpoint)?;
    Ok(())
}

fn key_pair(seed: &[u8]) -> Option<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(seed).ok()
}

enum Key {
    V1(Box<hmac::Key>),
    V1a(Ed25519KeyPair),
}

/// Everything that signs for an endpoint now: its keys, and the ones before them for a while.
pub struct SigningKeys(Vec<Key>);

/// The keys don't open: the master key is another one.
#[derive(Debug, thiserror::Error)]
#[error("the keys of a webhook endpoint can't be opened; is keys.master_key the one they were sealed under?")]
pub struct Sealed;

impl SigningKeys {
    /// The endpoint's keys at this time.
    pub async fn of(
        conn: &mut Conn,
        platform: &Platform,
        endpoint: WebhookEndpointId,
    ) -> Result<Result<Self, Sealed>, DbError> {
        let rows = fetch_all!(
            conn,
            (Uuid, String, Vec<u8>),
            "SELECT id, scheme, sealed FROM webhook_secrets \
             WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > $2) \
             ORDER BY CASE WHEN expires_at IS NULL THEN 0 ELSE 1 END, scheme, id",
            endpoint,
            platform.clock.now()
        )?;
        let open = |(id, scheme, sealed): (Uuid, String, Vec<u8>)| {
            let material = platform.master_key.open(PURPOSE, id.as_bytes(), &sealed).map_err(|_| Sealed)?;
            Self::key(&scheme, &material).ok_or(Sealed)
        };
        let keys: Result<Vec<Key>, Sealed> = rows.into_iter().map(open).collect();
        Ok(keys.and_then(|keys| if keys.is_empty() { Err(Sealed) } else { Ok(Self(keys)) }))
    }

    fn key(scheme: &str, material: &[u8]) -> Option<Key> {
        match scheme {
            "v1a" => key_pair(material).map(Key::V1a),
            _ => Some(Key::V1(Box::new(hmac::Key::new(hmac::HMAC_SHA256, material)))),
        }
    }

    /// `webhook-signature`: what each key makes of `{id}.{timestamp}.{payload}`, separated by spaces. `timestamp` is that of
    /// the attempt, in seconds.
    pub fn sign(&self, id: impl fmt::Display, timestamp: i64, payload: &str) -> String {
        let content = format!("{id}.{timestamp}.{payload}");
        let signatures: Vec<String> = self.0.iter().map(|key| key.sign(content.as_bytes())).collect();
        signatures.join(" ")
    }
}

impl Key {
    fn sign(&self, content: &[u8]) -> String {
        match self {
            Self::V1(key) => format!("v1,{}", STANDARD.encode(hmac::sign(key, content))),
            Self::V1a(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(content))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the reference implementations; its `v1a` signature stands in the specification.
    #[test]
    fn signatures_are_those_of_the_reference_vector() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let pair = STANDARD
            .decode("6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
            .unwrap();
        let keys =
            SigningKeys(vec![SigningKeys::key("v1", &secret).unwrap(), SigningKeys::key("v1a", &pair[..32]).unwrap()]);
        let signatures = keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(
            signatures,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= \
             v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
        );
        let Key::V1a(own) = &keys.0[1] else { panic!() };
        assert_eq!(own.public_key().as_ref(), &pair[32..]);
        assert_eq!(shown_public_key(&pair[32..]), "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=");
    }
}
