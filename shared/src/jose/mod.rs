//! Signed input from strangers: client assertions, request objects, DPoP proofs, assertion grants, exchanged tokens.
//! Strict where the specifications leave room, because two readers that disagree about one token are an attack
//! (RFC 8725 §2): duplicate members, padding and non-canonical base64url are refused, never repaired.

pub mod json;
pub mod jwk;
pub mod jwt;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;

/// The signature algorithms that a public key may verify here. Never a symmetric one: the public key would be its
/// secret (RFC 8725 §2.1).
pub const ASYMMETRIC: [Algorithm; 5] =
    [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256];

/// What FAPI 2.0 (§5.4.1) leaves of them.
pub const FAPI: [Algorithm; 3] = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256];

/// The algorithm of that registered name (RFC 7518 §3.1, RFC 8037 §3.1), when it is one of ours. `none` never is.
pub fn algorithm_named(name: &str) -> Option<Algorithm> {
    match name {
        "HS256" => Some(Algorithm::HS256),
        // The fully-specified name of the one curve that EdDSA is used with here (RFC 9864 §2.2): libraries write it.
        "Ed25519" => Some(Algorithm::EdDSA),
        _ => ASYMMETRIC.into_iter().find(|algorithm| name_of(*algorithm) == name),
    }
}

/// Its registered name; of an algorithm that is none of ours, the empty one.
pub fn name_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::ES256 => "ES256",
        Algorithm::ES384 => "ES384",
        Algorithm::EdDSA => "EdDSA",
        Algorithm::PS256 => "PS256",
        Algorithm::RS256 => "RS256",
        Algorithm::HS256 => "HS256",
        _ => "",
    }
}

/// Base64url without padding (RFC 7515 §2), in its one canonical form: whatever decodes here encodes to the same text.
fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
