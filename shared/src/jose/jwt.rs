//! [`Unverified`] and [`Verified`]: a stranger's signed JWT (RFC 7515 compact, RFC 7519), before and after its
//! signature was checked. What is not verified can be asked only for what it takes to find the key.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::json::{Bounds, JsonError, parse_object};
use super::jwk::{KeySet, PublicKey};
use super::{algorithm_named, base64url};

/// Deep enough for authorization details and actor chains.
const MAX_DEPTH: usize = 16;

/// RFC 7518 §3.2: a key of the size of the hash at least.
const SHORTEST_SECRET: usize = 32;

/// The end of the year 9999: later times are nobody's intention.
const LATEST: i64 = 253_402_300_799;

/// How many keys a token is tried against: an RSA signature is slow to verify, and a stranger sends it.
const MOST_TRIED: usize = 4;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    #[error("the token is too large")]
    TooLarge,
    #[error("the token has not three parts")]
    NotThreeParts,
    #[error("a part of the token is not base64url without padding")]
    Base64,
    #[error("the token's header: {0}")]
    Header(JsonError),
    #[error("a member of the token's header is of the wrong type")]
    HeaderMember,
    #[error("the token's claims: {0}")]
    Claims(JsonError),
    /// RFC 7515 §4.1.11: we understand none.
    #[error("the token has critical extensions")]
    Critical,
    /// `none` is one of those.
    #[error("the token's algorithm is not supported")]
    UnsupportedAlgorithm,
    #[error("the token's algorithm is not allowed here")]
    AlgorithmNotAllowed,
    #[error("no key fits the token")]
    NoKey,
    #[error("more than {MOST_TRIED} keys fit the token; name the one by kid")]
    ManyKeys,
    #[error("the token's signature does not verify")]
    Signature,
}

/// Why a claim is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    #[error("the claim {0} is missing")]
    Missing(&'static str),
    #[error("the claim {0} is of the wrong type or out of range")]
    Malformed(&'static str),
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` lies in the future.
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token lives too long")]
    TooLong,
}

/// The header (RFC 7515 §4).
#[derive(Clone, Debug)]
pub struct Header {
    alg: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    members: Map<String, Value>,
}

impl Header {
    pub fn alg(&self) -> Algorithm {
        self.alg
    }

    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// Is this its type? Media types ignore case, and `application/` may be left out (RFC 7515 §4.1.9).
    pub fn has_typ(&self, expected: &str) -> bool {
        let Some(typ) = self.typ() else { return false };
        let short = match typ.split_at_checked("application/".len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") && !rest.contains('/') => rest,
            _ => typ,
        };
        short.eq_ignore_ascii_case(expected)
    }

    /// The key it carries. Believe it only where the specification says so (RFC 9449).
    pub fn jwk(&self) -> Option<&Value> {
        self.members.get("jwk")
    }

    /// All its members.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }
}

/// Well-formed, and otherwise nothing yet.
#[derive(Clone, Debug)]
pub struct Unverified {
    header: Header,
    claims: Map<String, Value>,
    /// Header and claims as they were signed.
    message: String,
    signature: String,
}

impl Unverified {
    /// Reads a token of at most `max_bytes`. Five parts would be an encrypted one, which nobody sends us.
    pub fn parse(token: &str, max_bytes: usize) -> Result<Self, JwtError> {
        if token.len() > max_bytes {
            return Err(JwtError::TooLarge);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwtError::NotThreeParts);
        };
        let bounds = Bounds { max_bytes, max_depth: MAX_DEPTH };
        let decoded = base64url(header).ok_or(JwtError::Base64)?;
        let header = read_header(parse_object(&decoded, &bounds).map_err(JwtError::Header)?)?;
        let decoded = base64url(claims).ok_or(JwtError::Base64)?;
        let claims = parse_object(&decoded, &bounds).map_err(JwtError::Claims)?;
        base64url(signature).ok_or(JwtError::Base64)?;
        let message = token[..token.len() - signature.len() - 1].to_owned();
        Ok(Self { header, claims, message, signature: signature.to_owned() })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    pub fn alg(&self) -> Algorithm {
        self.header.alg
    }

    pub fn kid(&self) -> Option<&str> {
        self.header.kid()
    }

    pub fn typ(&self) -> Option<&str> {
        self.header.typ()
    }

    pub fn jwk(&self) -> Option<&Value> {
        self.header.jwk()
    }

    /// What it claims and nobody has vouched for: good for finding out whose key to verify with, and for no more.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Verifies with whichever of `keys` fits, a few at most: whoever has many names one by `kid` (OpenID Connect Core §10.1). `allowed` is what the caller's profile permits.
    pub fn verify(&self, keys: &KeySet, allowed: &[Algorithm]) -> Result<Verified, JwtError> {
        self.allow(allowed)?;
        let candidates: Vec<_> = keys.candidates(self.kid(), self.alg()).collect();
        match candidates.len() {
            0 => Err(JwtError::NoKey),
            1..=MOST_TRIED if candidates.iter().any(|key| self.is_signed_with(key.verifier())) => Ok(self.verified()),
            1..=MOST_TRIED => Err(JwtError::Signature),
            _ => Err(JwtError::ManyKeys),
        }
    }

    /// Verifies with this one key, whatever `kid` says.
    pub fn verify_with(&self, key: &PublicKey, allowed: &[Algorithm]) -> Result<Verified, JwtError> {
        self.allow(allowed)?;
        if !key.fits(self.alg()) {
            return Err(JwtError::NoKey);
        }
        if self.is_signed_with(key.verifier()) { Ok(self.verified()) } else { Err(JwtError::Signature) }
    }

    /// Verifies with a key of our own, which is for this one algorithm (RFC 8725 §3.1).
    pub fn verify_by(&self, key: &DecodingKey, algorithm: Algorithm) -> Result<Verified, JwtError> {
        self.allow(&[algorithm])?;
        if self.is_signed_with(key) { Ok(self.verified()) } else { Err(JwtError::Signature) }
    }

    /// Verifies an HS256 token with a shared secret of 32 bytes or more (RFC 7518 §3.2), in constant time.
    pub fn verify_hmac(&self, secret: &[u8]) -> Result<Verified, JwtError> {
        self.allow(&[Algorithm::HS256])?;
        if secret.len() < SHORTEST_SECRET {
            return Err(JwtError::NoKey);
        }
        if self.is_signed_with(&DecodingKey::from_secret(secret)) {
            Ok(self.verified())
        } else {
            Err(JwtError::Signature)
        }
    }

    fn allow(&self, allowed: &[Algorithm]) -> Result<(), JwtError> {
        if allowed.contains(&self.alg()) { Ok(()) } else { Err(JwtError::AlgorithmNotAllowed) }
    }

    fn is_signed_with(&self, key: &DecodingKey) -> bool {
        // An error is a key of another family or a signature that is not base64url: neither verifies.
        matches!(jsonwebtoken::crypto::verify(&self.signature, self.message.as_bytes(), key, self.header.alg), Ok(true))
    }

    fn verified(&self) -> Verified {
        Verified { header: self.header.clone(), claims: self.claims.clone() }
    }
}

fn read_header(members: Map<String, Value>) -> Result<Header, JwtError> {
    let text = |name: &str| match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(JwtError::HeaderMember),
    };
    if members.contains_key("crit") {
        return Err(JwtError::Critical);
    }
    let alg = text("alg")?.ok_or(JwtError::HeaderMember)?;
    let alg = algorithm_named(&alg).ok_or(JwtError::UnsupportedAlgorithm)?;
    let (kid, typ) = (text("kid")?, text("typ")?);
    if members.get("jwk").is_some_and(|jwk| !jwk.is_object()) {
        return Err(JwtError::HeaderMember);
    }
    Ok(Header { alg, kid, typ, members })
}

/// A token whose signature verified. Who may say so, and when, is still to be checked.
#[derive(Clone, Debug)]
pub struct Verified {
    pub header: Header,
    pub claims: Map<String, Value>,
}

impl Verified {
    /// A claim that is a string when it is there.
    pub fn string(&self, name: &'static str) -> Result<Option<&str>, ClaimError> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ClaimError::Malformed(name)),
        }
    }

    /// A claim that must be there and be a string that says something.
    pub fn required(&self, name: &'static str) -> Result<&str, ClaimError> {
        match self.string(name)? {
            None => Err(ClaimError::Missing(name)),
            Some("") => Err(ClaimError::Malformed(name)),
            Some(text) => Ok(text),
        }
    }

    /// A NumericDate (RFC 7519 §2) in seconds since the epoch; fractions are dropped. Refuses what is negative or after
    /// the year 9999.
    pub fn timestamp(&self, name: &'static str) -> Result<Option<i64>, ClaimError> {
        let Some(value) = self.claims.get(name) else { return Ok(None) };
        let Value::Number(number) = value else { return Err(ClaimError::Malformed(name)) };
        // Far within what an f64 holds exactly once it is in range.
        let seconds = match number.as_i64() {
            Some(whole) => Some(whole),
            None => number.as_f64().filter(|float| (0.0..=LATEST as f64).contains(float)).map(|float| float as i64),
        };
        match seconds {
            Some(seconds) if (0..=LATEST).contains(&seconds) => Ok(Some(seconds)),
            _ => Err(ClaimError::Malformed(name)),
        }
    }

    /// Whom it is for (RFC 7519 §4.1.3); empty when it does not say.
    pub fn audience(&self) -> Result<Vec<String>, ClaimError> {
        const MALFORMED: ClaimError = ClaimError::Malformed("aud");
        match self.claims.get("aud") {
            None => Ok(vec![]),
            Some(Value::String(one)) => Ok(vec![one.clone()]),
            Some(Value::Array(many)) => {
                many.iter().map(|one| one.as_str().map(str::to_owned).ok_or(MALFORMED)).collect()
            }
            Some(_) => Err(MALFORMED),
        }
    }

    /// Checks `exp` (which must be there), `nbf` and `iat` against `now`; all in seconds. With `max_lifetime`, a token
    /// that lives on for longer than that, counted from its `nbf`, its `iat` and now, is refused.
    pub fn check_times(&self, now: i64, leeway: i64, max_lifetime: Option<i64>) -> Result<(), ClaimError> {
        let exp = self.timestamp("exp")?.ok_or(ClaimError::Missing("exp"))?;
        let starts = [self.timestamp("nbf")?, self.timestamp("iat")?];
        if now >= exp.saturating_add(leeway) {
            return Err(ClaimError::Expired);
        }
        if starts.iter().flatten().any(|start| *start > now.saturating_add(leeway)) {
            return Err(ClaimError::NotYet);
        }
        if let Some(max) = max_lifetime {
            let too_long = starts.iter().flatten().any(|start| exp - start > max);
            if too_long || exp > now.saturating_add(max).saturating_add(leeway) {
                return Err(ClaimError::TooLong);
            }
        }
        Ok(())
    }
}
