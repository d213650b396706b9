//! DPoP proofs (RFC 9449): a request is made by whoever holds the key its token is bound to. Both services check them:
//! the token endpoint to bind, protected resources to believe.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName};
use jsonwebtoken::Algorithm;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::jose::FAPI;
use crate::jose::jwk::{JwkError, PublicKey};
use crate::jose::jwt::{ClaimError, JwtError, Unverified};
use crate::platform::Platform;
use crate::replay;
use crate::secret::MasterKey;

/// The request header that carries a proof (RFC 9449 §4.1).
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The answer's header that carries the nonce for the next proof (RFC 9449 §8.1).
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// What proofs may be signed with: `dpop_signing_alg_values_supported`. What FAPI 2.0 (Security Profile §5.4.1) allows, and
/// that for every client: a protected resource can't tell by a token whose client is held to the profile, and a proof's key
/// is made for proofs, so that nobody has an old one to keep.
pub const ALGORITHMS: [Algorithm; 3] = FAPI;

/// Room for an RSA key of 4096 bits in the header and a signature by it.
const LONGEST: usize = 8192;
const LONGEST_JTI: usize = 256;
const LONGEST_NONCE: usize = 256;
const LONGEST_URL: usize = 2048;

/// How old a proof may be, in seconds.
pub const MAX_AGE: i64 = 300;
/// How far ahead of ours its maker's clock may be, in seconds: as far as FAPI 2.0 (§5.3.2.1) wants it to be accepted.
pub const MAX_AHEAD: i64 = 10;

/// Why a proof is refused: `invalid_dpop_proof` (RFC 9449 §5, §7.1), whatever the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("more than one DPoP header, or one that is not text")]
    Header,
    #[error("the DPoP proof: {0}")]
    Jwt(#[from] JwtError),
    #[error("the DPoP proof: {0}")]
    Claim(#[from] ClaimError),
    #[error("the DPoP proof is not of the type dpop+jwt")]
    Type,
    #[error("the DPoP proof has no public key in its header")]
    NoKey,
    #[error("the DPoP proof's key: {0}")]
    Key(#[from] JwkError),
    #[error("the DPoP proof is for another method (htm)")]
    Method,
    #[error("the DPoP proof is for another URL (htu)")]
    Url,
    #[error("the DPoP proof is too old")]
    TooOld,
    #[error("the DPoP proof is from the future")]
    FromTheFuture,
    #[error("the DPoP proof is not for this access token (ath)")]
    AccessToken,
}

/// A proof that holds. Still to be asked: its nonce, where one is wanted, and whether it is the first use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The thumbprint of the key (RFC 7638): what `cnf.jkt` and `dpop_jkt` say.
    pub jkt: String,
    pub jti: String,
    /// Seconds since the epoch.
    pub iat: i64,
    pub nonce: Option<String>,
    /// What it was made for, normalised: it is told apart from others by that, too (§11.1).
    pub url: String,
}

impl Proof {
    /// Is it the first time that this proof comes (RFC 9449 §11.1)? Ask last: asking uses it up.
    pub async fn is_first_use(&self, platform: &Platform) -> bool {
        let id = format!("{}\n{}\n{}", self.jkt, self.url, self.jti);
        // Beyond that it is too old. Its age is counted from its own clock, which may be ahead.
        let ttl = std::time::Duration::from_secs(MAX_AGE.unsigned_abs() + MAX_AHEAD.unsigned_abs() + 1);
        replay::first_use(platform, "dpop", id.as_bytes(), ttl).await
    }
}

/// The proof of a request, when it has one (RFC 9449 §4.3 check 1).
pub fn from_headers(headers: &HeaderMap) -> Result<Option<&str>, ProofError> {
    let mut values = headers.get_all(DPOP).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ProofError::Header);
    }
    value.to_str().map(Some).map_err(|_| ProofError::Header)
}

/// Checks a proof as RFC 9449 §4.3 lists it: `url` is the request's public URL, `now` in seconds, `access_token` the
/// token that came along, if any.
pub fn verify(proof: &str, method: &str, url: &str, now: i64, access_token: Option<&str>) -> Result<Proof, ProofError> {
    let unverified = Unverified::parse(proof, LONGEST)?;
    if !unverified.header().has_typ("dpop+jwt") {
        return Err(ProofError::Type);
    }
    let key = PublicKey::parse(unverified.jwk().ok_or(ProofError::NoKey)?)?;
    let verified = unverified.verify_with(&key, &ALGORITHMS)?;
    let jti = verified.required("jti")?;
    if jti.len() > LONGEST_JTI {
        return Err(ClaimError::Malformed("jti").into());
    }
    if verified.required("htm")? != method {
        return Err(ProofError::Method);
    }
    let made_for = normalised(verified.required("htu")?).ok_or(ProofError::Url)?;
    if Some(&made_for) != normalised(url).as_ref() {
        return Err(ProofError::Url);
    }
    let iat = verified.timestamp("iat")?.ok_or(ClaimError::Missing("iat"))?;
    if iat > now.saturating_add(MAX_AHEAD) {
        return Err(ProofError::FromTheFuture);
    }
    if iat < now.saturating_sub(MAX_AGE) {
        return Err(ProofError::TooOld);
    }
    // Nobody asks for these two; but where they are, they mean what they mean everywhere (RFC 7519 §4.1.4, §4.1.5).
    if verified.timestamp("exp")?.is_some_and(|exp| now >= exp.saturating_add(MAX_AHEAD)) {
        return Err(ProofError::TooOld);
    }
    if verified.timestamp("nbf")?.is_some_and(|nbf| nbf > now.saturating_add(MAX_AHEAD)) {
        return Err(ProofError::FromTheFuture);
    }
    let nonce = verified.string("nonce")?;
    if nonce.is_some_and(|nonce| nonce.len() > LONGEST_NONCE) {
        return Err(ClaimError::Malformed("nonce").into());
    }
    if let Some(token) = access_token {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()));
        let matches: bool = verified.required("ath")?.as_bytes().ct_eq(hash.as_bytes()).into();
        if !matches {
            return Err(ProofError::AccessToken);
        }
    }
    Ok(Proof {
        jkt: key.thumbprint().to_owned(),
        jti: jti.to_owned(),
        iat,
        nonce: nonce.map(str::to_owned),
        url: made_for,
    })
}

/// An http or https URL without query and fragment, normalised by syntax and scheme (RFC 3986 §6.2.2, §6.2.3), as
/// RFC 9449 §4.3 wants the two compared. `None` for what is no such URL; what browsers would repair is not.
pub(crate) fn normalised(url: &str) -> Option<String> {
    if url.len() > LONGEST_URL || !url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return None;
    }
    let (_, rest) = url.split_once("://")?;
    if rest.starts_with('/') {
        return None;
    }
    let parsed = url::Url::parse(url).ok()?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.username().is_empty() || parsed.password().is_some() {
        return None;
    }
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}{}", parsed.scheme(), parsed.host_str()?, normalised_path(parsed.path())?))
}

/// Percent-encodings in upper case, and none for characters that need none (RFC 3986 §6.2.2.1, §6.2.2.2).
fn normalised_path(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out.push_str(&part[2..]);
    }
    Some(out)
}

/// Nonces that no instance stores and every instance knows (RFC 9449 §8, §9): a keyed MAC over the time, in steps. A
/// proof that carries a recent one was not made long ahead of its use.
#[derive(Clone)]
pub struct Nonces(hmac::Key);

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}

impl Nonces {
    /// A nonce is handed out for so long and accepted for twice as long; seconds.
    pub const STEP: i64 = 180;

    /// Those of this installation.
    pub fn new(master_key: &MasterKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, master_key.derive("dpop-nonce").as_slice()))
    }

    /// The nonce to hand out at `now` (seconds).
    pub fn issue(&self, now: i64) -> String {
        self.of_step(now.div_euclid(Self::STEP))
    }

    /// Is it recent? The next one counts too: an instance whose clock is a little ahead hands it out already, and nobody
    /// can guess it.
    pub fn accepts(&self, nonce: &str, now: i64) -> bool {
        let step = now.div_euclid(Self::STEP);
        let matches = |step: i64| bool::from(self.of_step(step).as_bytes().ct_eq(nonce.as_bytes()));
        matches(step) | matches(step.saturating_sub(1)) | matches(step.saturating_add(1))
    }

    fn of_step(&self, step: i64) -> String {
        let mac = hmac::sign(&self.0, &step.to_be_bytes());
        URL_SAFE_NO_PAD.encode(&mac.as_ref()[..24])
    }
}

#[cfg(test)]
mod tests;
