//! One signing key. All signing goes through aws-lc-rs with a key that was parsed once: `openidconnect` would sign RSA
//! with the `rsa` crate (RUSTSEC-2023-0071) and has no ES256, and `jsonwebtoken::encode` parses the key anew each time.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use openidconnect::core::{CoreJsonCurveType, CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey, SigningError};
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The signature algorithms we sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Es256,
    Rs256,
    Ps256,
    EdDsa,
}

impl Algorithm {
    pub const ALL: [Self; 4] = [Self::Es256, Self::Rs256, Self::Ps256, Self::EdDsa];

    /// Their names, in the same order.
    pub const NAMES: [&'static str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = Self::ALL[index].name();
            index += 1;
        }
        names
    };

    /// The registered name (RFC 7518 §3.1, RFC 8037 §3.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The same for `openidconnect`.
    pub fn core(self) -> CoreJwsSigningAlgorithm {
        match self {
            Self::Es256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            Self::Rs256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            Self::Ps256 => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            Self::EdDsa => CoreJwsSigningAlgorithm::EdDsa,
        }
    }

    /// The same for `jsonwebtoken`.
    pub fn jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A parsed key pair with what is published of it.
pub struct SigningKey {
    pub kid: String,
    pub algorithm: Algorithm,
    pair: Pair,
    jwk: CoreJsonWebKey,
    verifier: DecodingKey,
    /// `{"typ":"at+jwt",…}` in base64url with its dot: the same for every access token of this key.
    access_token_header: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({} {})", self.algorithm.name(), self.kid)
    }
}

/// A key pair could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("a {} key can't be {action}", algorithm.name())]
pub struct KeyError {
    algorithm: Algorithm,
    action: &'static str,
}

/// A new private key in PKCS#8.
pub fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |_| KeyError { algorithm, action: "generated" };
    let pkcs8 = match algorithm {
        Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .and_then(|pair| pair.to_pkcs8v1())
            .map_err(failed)?
            .as_ref()
            .to_vec(),
        Algorithm::Rs256 | Algorithm::Ps256 => {
            RsaKeyPair::generate(KeySize::Rsa2048).and_then(|pair| pair.as_der()).map_err(failed)?.as_ref().to_vec()
        }
        Algorithm::EdDsa => {
            Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(failed)?.as_ref().to_vec()
        }
    };
    Ok(Zeroizing::new(pkcs8))
}

impl SigningKey {
    /// Parses a private key in PKCS#8.
    pub fn parse(kid: String, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let error = || KeyError { algorithm, action: "read" };
        let id = Some(JsonWebKeyId::new(kid.clone()));
        let (pair, jwk, verifier) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| error())?;
                // SEC 1 §2.3.3: 0x04, then the two coordinates.
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).and_then(|p| p.split_at_checked(32)).ok_or_else(error)?;
                let verifier = DecodingKey::from_ec_components(&b64(x), &b64(y)).map_err(|_| error())?;
                let jwk = CoreJsonWebKey::new_ec(x.to_vec(), y.to_vec(), CoreJsonCurveType::P256, id);
                (Pair::Ecdsa(pair), jwk, verifier)
            }
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| error())?;
                let n = pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
                let e = pair.public_key().exponent().big_endian_without_leading_zero().to_vec();
                let verifier = DecodingKey::from_rsa_raw_components(&n, &e);
                (Pair::Rsa(pair), CoreJsonWebKey::new_rsa(n, e, id), verifier)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| error())?;
                let x = pair.public_key().as_ref().to_vec();
                let verifier = DecodingKey::from_ed_components(&b64(&x)).map_err(|_| error())?;
                (Pair::Ed25519(pair), CoreJsonWebKey::new_okp(x, CoreJsonCurveType::Ed25519, id), verifier)
            }
        };
        let header = jsonwebtoken::Header {
            typ: Some("at+jwt".into()),
            kid: Some(kid.clone()),
            ..jsonwebtoken::Header::new(algorithm.jwt())
        };
        let access_token_header = format!("{}.", b64(&serde_json::to_vec(&header).map_err(|_| error())?));
        Ok(Self { kid, algorithm, pair, jwk, verifier, access_token_header })
    }

    /// The public key as published, with the `alg` that `openidconnect`'s constructors leave out.
    pub fn public_jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(&self.jwk).unwrap_or_default();
        jwk["alg"] = json!(self.algorithm.name());
        jwk["use"] = json!("sig");
        jwk
    }

    /// The public key, to verify with.
    pub fn verifier(&self) -> &DecodingKey {
        &self.verifier
    }

    /// A JWT access token (RFC 9068 §2): `typ: at+jwt`, signed with this key.
    pub fn sign_access_token(&self, claims: &impl Serialize) -> Result<String, SigningError> {
        let mut json = Vec::with_capacity(512);
        serde_json::to_writer(&mut json, claims).map_err(|e| SigningError::Other(e.to_string()))?;
        let mut token = String::with_capacity(self.access_token_header.len() + json.len() * 4 / 3 + 360);
        token.push_str(&self.access_token_header);
        URL_SAFE_NO_PAD.encode_string(json, &mut token);
        let signature = self.sign_bytes(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// A JWT of any type (`typ`, RFC 8725 §3.11) with claims of the caller's.
    pub fn sign_jwt(&self, typ: &str, claims: &impl Serialize) -> Result<String, SigningError> {
        let failed = |e: serde_json::Error| SigningError::Other(e.to_string());
        let header = json!({ "typ": typ, "alg": self.algorithm.name(), "kid": self.kid });
        let header = serde_json::to_vec(&header).map_err(failed)?;
        let claims = serde_json::to_vec(claims).map_err(failed)?;
        let message = format!("{}.{}", b64(&header), b64(&claims));
        let signature = self.sign_bytes(message.as_bytes())?;
        Ok(format!("{message}.{}", b64(&signature)))
    }

    fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let random = SystemRandom::new();
        let failed = |_| SigningError::CryptoError;
        match &self.pair {
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding = if self.algorithm == Algorithm::Ps256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                pair.sign(padding, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl PrivateSigningKey for SigningKey {
    type VerificationKey = CoreJsonWebKey;

    fn sign(&self, alg: &CoreJwsSigningAlgorithm, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        // A key signs with its own algorithm and no other.
        if *alg != self.algorithm.core() {
            return Err(SigningError::UnsupportedAlg(format!("{alg:?}")));
        }
        self.sign_bytes(message)
    }

    fn as_verification_key(&self) -> CoreJsonWebKey {
        self.jwk.clone()
    }
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_key_signs_verifies_with_what_it_publishes() {
        for algorithm in Algorithm::ALL {
            let pkcs8 = generate(algorithm).unwrap();
            let key = SigningKey::parse("k".into(), algorithm, &pkcs8).unwrap();
            let token = key.sign_access_token(&json!({ "sub": "ann" })).unwrap();
            let mut validation = jsonwebtoken::Validation::new(algorithm.jwt());
            validation.required_spec_claims.clear();
            validation.validate_exp = false;
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.public_jwk()).unwrap();
            for verifier in [key.verifier().clone(), DecodingKey::from_jwk(&jwk).unwrap()] {
                let verified = jsonwebtoken::decode::<Value>(&token, &verifier, &validation).unwrap();
                assert_eq!(verified.claims["sub"], "ann");
                assert_eq!(verified.header.typ.as_deref(), Some("at+jwt"));
            }
            assert!(key.public_jwk().get("d").is_none());
        }
    }
}
