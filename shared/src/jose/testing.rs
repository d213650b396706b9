//! For tests: the other side, which signs. It signs whatever it is told to, also what nobody should accept.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::jwk::PublicKey;
use super::name_of;

/// Base64url without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(Lent),
    Secret(Vec<u8>),
}

/// RSA keys whose signers are gone.
static SPARE: Mutex<Vec<RsaKeyPair>> = Mutex::new(vec![]);

/// An RSA key, which the next signer has when this one is gone: to find primes takes a good part of a second in a debug
/// build. No two signers have the same key at a time.
struct Lent(Option<RsaKeyPair>);

impl Lent {
    fn new() -> Self {
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self(Some(spare.unwrap_or_else(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())))
    }

    fn pair(&self) -> &RsaKeyPair {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        SPARE.lock().unwrap_or_else(PoisonError::into_inner).extend(self.0.take());
    }
}

/// A stranger with a key pair.
pub struct Signer {
    pub algorithm: Algorithm,
    pair: Pair,
}

impl Signer {
    /// With a key for `algorithm`, one of [`super::ASYMMETRIC`], that no other signer has.
    pub fn new(algorithm: Algorithm) -> Self {
        let rng = SystemRandom::new();
        let ec = |alg| {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(alg, &rng).unwrap();
            Pair::Ec(EcdsaKeyPair::from_pkcs8(alg, pkcs8.as_ref()).unwrap())
        };
        let pair = match algorithm {
            Algorithm::ES256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&rng).unwrap();
                Pair::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
            }
            Algorithm::RS256 | Algorithm::PS256 => Pair::Rsa(Lent::new()),
            other => panic!("{other:?} has no key pair here"),
        };
        Self { algorithm, pair }
    }

    /// With a shared secret (HS256).
    pub fn hmac(secret: &[u8]) -> Self {
        Self { algorithm: Algorithm::HS256, pair: Pair::Secret(secret.to_vec()) }
    }

    /// Its public key as a JWK.
    pub fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let crv = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())}),
            Pair::Rsa(lent) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = lent.pair().public_key().into();
                json!({"kty": "RSA", "n": encode(n), "e": encode(e)})
            }
            Pair::Secret(_) => panic!("a secret has no public key"),
        }
    }

    /// Its public key, parsed.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::parse(&self.jwk()).unwrap()
    }

    /// The header that goes with the key: its `alg`, and `typ` unless that is empty.
    pub fn header(&self, typ: &str) -> Value {
        match typ {
            "" => json!({"alg": name_of(self.algorithm)}),
            _ => json!({"alg": name_of(self.algorithm), "typ": typ}),
        }
    }

    /// A token with this header and these claims.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The same from text, which need not be sound JSON.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.signature(message.as_bytes());
        format!("{message}.{}", encode(signature))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match &self.pair {
            Pair::Ec(pair) => pair.sign(&rng, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(lent) => {
                let pair = lent.pair();
                let mut signature = vec![0; pair.public_modulus_len()];
                if self.algorithm == Algorithm::PS256 {
                    pair.sign(&RSA_PSS_SHA256, &rng, message, &mut signature).unwrap();
                } else {
                    pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).unwrap();
                }
                signature
            }
            Pair::Secret(secret) => {
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
                aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
            }
        }
    }

    /// The claims of a good DPoP proof (RFC 9449 §4.2); `jti` must differ from proof to proof.
    pub fn proof_claims(&self, method: &str, url: &str, now: i64, jti: &str, access_token: Option<&str>) -> Value {
        let mut claims = json!({"jti": jti, "htm": method, "htu": url, "iat": now});
        if let Some(token) = access_token {
            claims["ath"] = encode(Sha256::digest(token)).into();
        }
        claims
    }

    /// A DPoP proof with these claims and this key.
    pub fn proof(&self, claims: &Value) -> String {
        let mut header = self.header("dpop+jwt");
        header["jwk"] = self.jwk();
        self.sign(&header, claims)
    }
}
