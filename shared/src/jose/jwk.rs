//! [`PublicKey`] and [`KeySet`]: public keys that strangers give us as JWKs (RFC 7517), kept parsed.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{algorithm_named, base64url};

/// The most keys a set may hold.
pub const MOST_KEYS: usize = 20;

/// RFC 7518 §3.3 wants 2048 bits at least. The library verifies up to 8192, but a stranger can have us do it as often as
/// requests arrive, before it has proved anything.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Members of a private or a symmetric key (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    #[error("a key is not a JSON object, or one of its members is not what RFC 7517 says")]
    Malformed,
    #[error("a private or symmetric key; send public keys only")]
    Private,
    #[error("not a key for signatures (use, key_ops)")]
    NotForSignatures,
    #[error("this type of key, curve or algorithm is not supported")]
    Unsupported,
    #[error("an RSA key must have 2048 to 4096 bits")]
    Weak,
    #[error("a key set is an object with a member \"keys\"")]
    NotASet,
    #[error("a key set may hold 20 keys at most")]
    TooManyKeys,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Kind {
    /// The algorithms such a key may verify. This, not the token's header, decides (RFC 8725 §3.1).
    fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::Rsa => &[Algorithm::RS256, Algorithm::PS256],
            Self::P256 => &[Algorithm::ES256],
            Self::P384 => &[Algorithm::ES384],
            Self::Ed25519 => &[Algorithm::EdDSA],
        }
    }
}

/// A public key to verify signatures with.
#[derive(Clone)]
pub struct PublicKey {
    kid: Option<String>,
    alg: Option<Algorithm>,
    kind: Kind,
    thumbprint: String,
    verifier: DecodingKey,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({:?}, {:?}, {})", self.kind, self.kid, self.thumbprint)
    }
}

impl PublicKey {
    /// Reads a JWK. Certificates in it (`x5c`, `x5t`, `x5u`) say nothing here: nothing is fetched, no chain is believed.
    pub fn parse(jwk: &Value) -> Result<Self, JwkError> {
        let jwk = jwk.as_object().ok_or(JwkError::Malformed)?;
        if PRIVATE.iter().any(|member| jwk.contains_key(*member)) {
            return Err(JwkError::Private);
        }
        let kty = text(jwk, "kty")?.ok_or(JwkError::Malformed)?;
        if kty == "oct" {
            return Err(JwkError::Private);
        }
        let for_signatures = text(jwk, "use")?.is_none_or(|usage| usage == "sig") && may_verify(jwk)?;
        if !for_signatures {
            return Err(JwkError::NotForSignatures);
        }
        let (kind, canonical, verifier) = match kty {
            "RSA" => rsa(jwk)?,
            "EC" => match text(jwk, "crv")?.ok_or(JwkError::Malformed)? {
                "P-256" => ec(jwk, Kind::P256, "P-256", 32)?,
                "P-384" => ec(jwk, Kind::P384, "P-384", 48)?,
                _ => return Err(JwkError::Unsupported),
            },
            "OKP" => ed25519(jwk)?,
            _ => return Err(JwkError::Unsupported),
        };
        let alg = match text(jwk, "alg")? {
            None => None,
            Some(name) => {
                let named = algorithm_named(name).filter(|named| kind.algorithms().contains(named));
                Some(named.ok_or(JwkError::Unsupported)?)
            }
        };
        let kid = text(jwk, "kid")?.map(str::to_owned);
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
        Ok(Self { kid, alg, kind, thumbprint, verifier })
    }

    /// The id its owner gave it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm it is meant for, when its owner named one.
    pub fn alg(&self) -> Option<Algorithm> {
        self.alg
    }

    /// Its SHA-256 thumbprint, base64url (RFC 7638): the same for the same key, whatever else its JWK says.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// May it verify signatures of this algorithm?
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.kind.algorithms().contains(&algorithm) && self.alg.is_none_or(|alg| alg == algorithm)
    }

    /// What `jsonwebtoken` verifies with. Ask [`PublicKey::fits`] first.
    pub fn verifier(&self) -> &DecodingKey {
        &self.verifier
    }
}

/// A stranger's public keys.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

impl KeySet {
    /// Reads a JWK set. Keys of other kinds and for other uses are left out (RFC 7517 §5); a private key spoils the
    /// whole set, since its owner should learn of it.
    pub fn parse(set: &Value) -> Result<Self, JwkError> {
        let listed = set.get("keys").and_then(Value::as_array).ok_or(JwkError::NotASet)?;
        if listed.len() > MOST_KEYS {
            return Err(JwkError::TooManyKeys);
        }
        let mut keys = vec![];
        for jwk in listed {
            match PublicKey::parse(jwk) {
                Ok(key) => keys.push(key),
                Err(JwkError::Private) => return Err(JwkError::Private),
                Err(_) => {}
            }
        }
        Ok(Self { keys })
    }

    /// Has it no key of use?
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The keys that a token with this `kid` and `alg` may have been signed with: all that fit when it names none.
    pub fn candidates<'a>(
        &'a self,
        kid: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a PublicKey> + 'a {
        self.keys.iter().filter(move |key| key.fits(algorithm) && kid.is_none_or(|kid| key.kid() == Some(kid)))
    }
}

impl From<PublicKey> for KeySet {
    fn from(key: PublicKey) -> Self {
        Self { keys: vec![key] }
    }
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Result<Option<&'a str>, JwkError> {
    match jwk.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwkError::Malformed),
    }
}

fn bytes(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, JwkError> {
    text(jwk, member)?.and_then(base64url).ok_or(JwkError::Malformed)
}

/// RFC 7517 §4.3.
fn may_verify(jwk: &Map<String, Value>) -> Result<bool, JwkError> {
    match jwk.get("key_ops") {
        None => Ok(true),
        Some(Value::Array(operations)) => Ok(operations.iter().any(|operation| operation == "verify")),
        Some(_) => Err(JwkError::Malformed),
    }
}

/// What a key is, its members as RFC 7638 §3.2 hashes them, and what verifies with it.
type Read = (Kind, String, DecodingKey);

fn rsa(jwk: &Map<String, Value>) -> Result<Read, JwkError> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    // RFC 7518 §2 Base64urlUInt: no leading zero octets, or one key would have many thumbprints.
    let (Some(&n_first), Some(&n_last)) = (n.first(), n.last()) else { return Err(JwkError::Malformed) };
    let (Some(&e_first), Some(&e_last)) = (e.first(), e.last()) else { return Err(JwkError::Malformed) };
    if n_first == 0 || e_first == 0 || n_last % 2 == 0 || e_last % 2 == 0 {
        return Err(JwkError::Malformed);
    }
    let bits = n.len() * 8 - n_first.leading_zeros() as usize;
    if !RSA_BITS.contains(&bits) {
        return Err(JwkError::Weak);
    }
    // An exponent of one makes every message its own signature; a long one makes verifying slow.
    if e == [1] || e.len() > 4 {
        return Err(JwkError::Weak);
    }
    let canonical =
        format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, URL_SAFE_NO_PAD.encode(&e), URL_SAFE_NO_PAD.encode(&n));
    Ok((Kind::Rsa, canonical, DecodingKey::from_rsa_raw_components(&n, &e)))
}

fn ec(jwk: &Map<String, Value>, kind: Kind, curve: &str, length: usize) -> Result<Read, JwkError> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    // RFC 7518 §6.2.1.2: the full length of a coordinate.
    if x.len() != length || y.len() != length {
        return Err(JwkError::Malformed);
    }
    // SEC 1 §2.3.3, uncompressed.
    let point = [&[4], x.as_slice(), &y].concat();
    let on_curve = match kind {
        Kind::P384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &point),
        _ => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point),
    };
    on_curve.map_err(|_| JwkError::Malformed)?;
    let canonical = format!(
        r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#,
        URL_SAFE_NO_PAD.encode(&x),
        URL_SAFE_NO_PAD.encode(&y)
    );
    Ok((kind, canonical, DecodingKey::from_ec_der(&point)))
}

/// RFC 8037 §2.
fn ed25519(jwk: &Map<String, Value>) -> Result<Read, JwkError> {
    if text(jwk, "crv")?.ok_or(JwkError::Malformed)? != "Ed25519" {
        return Err(JwkError::Unsupported);
    }
    let x = bytes(jwk, "x")?;
    if x.len() != 32 || ParsedPublicKey::new(&ED25519, &x).is_err() {
        return Err(JwkError::Malformed);
    }
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(&x));
    Ok((Kind::Ed25519, canonical, DecodingKey::from_ed_der(&x)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The key of RFC 7638 §3.1.
    fn rfc7638() -> Value {
        json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV\
                  4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7\
                  d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF4\
                  4-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29"
        })
    }

    fn p256() -> Value {
        json!({
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
        })
    }

    /// RFC 8037 appendix A.2, A.3.
    fn rfc8037() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn with(mut jwk: Value, member: &str, value: Value) -> Value {
        jwk[member] = value;
        jwk
    }

    fn refusal(jwk: &Value) -> JwkError {
        PublicKey::parse(jwk).expect_err("refused")
    }

    #[test]
    fn thumbprints_are_those_of_the_specifications__rfc7638_3_1__rfc8037_a_3() {
        let rsa = PublicKey::parse(&rfc7638()).unwrap();
        assert_eq!(rsa.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(rsa.kid(), Some("2011-04-29"));
        let ed = PublicKey::parse(&rfc8037()).unwrap();
        assert_eq!(ed.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        // The rest of the JWK does not change it.
        let named = PublicKey::parse(&with(rfc8037(), "kid", json!("another"))).unwrap();
        assert_eq!(named.thumbprint(), ed.thumbprint());
    }

    #[test]
    fn a_key_verifies_what_its_type_and_its_own_alg_allow__rfc8725_3_1() {
        let rsa = PublicKey::parse(&rfc7638()).unwrap();
        assert!(rsa.fits(Algorithm::RS256));
        assert!(!rsa.fits(Algorithm::PS256) && !rsa.fits(Algorithm::HS256) && !rsa.fits(Algorithm::RS512));
        let mut any = rfc7638();
        any.as_object_mut().unwrap().remove("alg");
        let any = PublicKey::parse(&any).unwrap();
        assert!(any.fits(Algorithm::RS256) && any.fits(Algorithm::PS256) && !any.fits(Algorithm::HS256));
        let p256 = PublicKey::parse(&p256()).unwrap();
        assert!(p256.fits(Algorithm::ES256) && !p256.fits(Algorithm::ES384));
        assert!(PublicKey::parse(&rfc8037()).unwrap().fits(Algorithm::EdDSA));
    }

    #[test]
    fn private_and_symmetric_keys_are_refused__rfc7517_9_2() {
        for member in PRIVATE {
            assert_eq!(refusal(&with(p256(), member, json!("AQ"))), JwkError::Private, "{member}");
        }
        assert_eq!(refusal(&json!({"kty": "oct", "k": "c2VjcmV0"})), JwkError::Private);
        assert_eq!(refusal(&json!({"kty": "oct"})), JwkError::Private);
        let set = json!({"keys": [p256(), with(rfc8037(), "d", json!("AQ"))]});
        assert_eq!(KeySet::parse(&set).unwrap_err(), JwkError::Private);
    }

    #[test]
    fn keys_for_other_uses_are_refused__rfc7517_4_2__rfc7517_4_3() {
        assert_eq!(refusal(&with(p256(), "use", json!("enc"))), JwkError::NotForSignatures);
        assert_eq!(refusal(&with(p256(), "key_ops", json!(["sign"]))), JwkError::NotForSignatures);
        assert_eq!(refusal(&with(p256(), "key_ops", json!("verify"))), JwkError::Malformed);
        assert!(PublicKey::parse(&with(p256(), "use", json!("sig"))).is_ok());
        // What WebCrypto exports.
        let exported = with(with(p256(), "key_ops", json!(["verify"])), "ext", json!(true));
        assert!(PublicKey::parse(&exported).is_ok());
    }

    #[test]
    fn keys_that_are_weak_or_no_keys_are_refused__rfc7518_3_3() {
        let modulus = |bytes: usize| {
            let mut n = vec![0xff; bytes];
            n[bytes - 1] = 0xfd;
            json!(URL_SAFE_NO_PAD.encode(n))
        };
        let no_alg = || {
            let mut jwk = rfc7638();
            jwk.as_object_mut().unwrap().remove("alg");
            jwk
        };
        assert_eq!(refusal(&with(no_alg(), "n", modulus(128))), JwkError::Weak);
        assert_eq!(refusal(&with(no_alg(), "n", modulus(255))), JwkError::Weak);
        assert!(PublicKey::parse(&with(no_alg(), "n", modulus(256))).is_ok());
        assert!(PublicKey::parse(&with(no_alg(), "n", modulus(512))).is_ok());
        assert_eq!(refusal(&with(no_alg(), "n", modulus(513))), JwkError::Weak);
        assert_eq!(refusal(&with(no_alg(), "e", json!("AQ"))), JwkError::Weak);
        assert_eq!(refusal(&with(no_alg(), "e", json!("AAEAAQ"))), JwkError::Malformed);
        assert_eq!(refusal(&with(no_alg(), "e", json!(""))), JwkError::Malformed);
        assert_eq!(refusal(&with(no_alg(), "e", json!("AQAC"))), JwkError::Malformed);
        assert_eq!(refusal(&with(rfc7638(), "alg", json!("ES256"))), JwkError::Unsupported);
        assert_eq!(refusal(&with(rfc7638(), "alg", json!("HS256"))), JwkError::Unsupported);
        // Off the curve, too short, padded, not canonical.
        let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
        assert_eq!(refusal(&with(p256(), "y", json!(x))), JwkError::Malformed);
        assert_eq!(refusal(&with(p256(), "x", json!("AQ"))), JwkError::Malformed);
        assert_eq!(refusal(&with(p256(), "x", json!(format!("{x}=")))), JwkError::Malformed);
        assert_eq!(
            refusal(&with(p256(), "x", json!("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEV"))),
            JwkError::Malformed
        );
        assert_eq!(refusal(&with(p256(), "crv", json!("secp256k1"))), JwkError::Unsupported);
        assert_eq!(refusal(&with(p256(), "kid", json!(7))), JwkError::Malformed);
        assert_eq!(refusal(&with(rfc8037(), "crv", json!("X25519"))), JwkError::Unsupported);
        assert_eq!(refusal(&with(rfc8037(), "x", json!("AQ"))), JwkError::Malformed);
        assert_eq!(refusal(&json!("key")), JwkError::Malformed);
        assert_eq!(refusal(&json!({})), JwkError::Malformed);
    }

    #[test]
    fn a_set_leaves_out_what_it_can_not_use_and_is_bounded__rfc7517_5() {
        let set = json!({"keys": [
            rfc7638(), p256(), {"kty": "quantum"}, 7, with(p256(), "use", json!("enc")), with(p256(), "kid", json!("ec"))
        ]});
        let set = KeySet::parse(&set).unwrap();
        assert_eq!(set.keys().len(), 3);
        assert_eq!(set.candidates(None, Algorithm::ES256).count(), 2);
        assert_eq!(set.candidates(Some("ec"), Algorithm::ES256).count(), 1);
        assert_eq!(set.candidates(Some("ec"), Algorithm::RS256).count(), 0);
        assert_eq!(set.candidates(Some("2011-04-29"), Algorithm::RS256).count(), 1);
        assert_eq!(set.candidates(None, Algorithm::HS256).count(), 0);
        assert!(KeySet::parse(&json!({"keys": []})).unwrap().is_empty());
        let many = json!({"keys": vec![p256(); MOST_KEYS + 1]});
        assert_eq!(KeySet::parse(&many).unwrap_err(), JwkError::TooManyKeys);
        for not_a_set in [json!([]), json!({}), json!({"keys": {}}), json!(null)] {
            assert_eq!(KeySet::parse(&not_a_set).unwrap_err(), JwkError::NotASet);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_members_never_panic(
            kty in prop_oneof![Just("RSA"), Just("EC"), Just("OKP"), Just("oct")],
            crv in prop_oneof![Just("P-256"), Just("P-384"), Just("Ed25519"), Just("")],
            values in proptest::collection::vec("[A-Za-z0-9_=-]{0,64}", 4),
        ) {
            let jwk = json!({"kty": kty, "crv": crv, "n": values[0], "e": values[1], "x": values[2], "y": values[3]});
            let _ = PublicKey::parse(&jwk);
            let _ = KeySet::parse(&json!({"keys": [jwk]}));
        }
    }
}
