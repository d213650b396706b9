use std::sync::LazyLock;

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::{no_member_twice, split_line};
use crate::dpop::{ALGORITHMS, MAX_AGE, MAX_AHEAD, Proof, normalised, verify};
use crate::jose::jwk::PublicKey;
use crate::jose::testing::Signer;

const NOW: i64 = 1_700_000_000;
const METHOD: &str = "POST";
const URL: &str = "https://id.example.com/oauth/token";
const TOKEN: &str = "an.access.token";

/// Stands in the header for the key that the proof is signed with.
const KEY: &str = "@JWK@";

static EC: LazyLock<Signer> = LazyLock::new(|| Signer::new(Algorithm::ES256));
static ED: LazyLock<Signer> = LazyLock::new(|| Signer::new(Algorithm::EdDSA));

/// A DPoP proof (RFC 9449 §4.3) for `POST https://id.example.com/oauth/token` at 1700000000: as it stands, and signed,
/// where the first line is its header (`@JWK@` for the signer's key) and the rest are its claims.
pub fn dpop_proof(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    // Whoever makes a proof chooses its key: there is nothing more to say of one that is signed already.
    let _ = verify(text, METHOD, URL, NOW, None);
    if let Some(once) = normalised(text) {
        assert_eq!(normalised(&once).as_ref(), Some(&once), "normalising twice changes nothing");
    }
    let (header, claims) = split_line(data);
    let (header, claims) = (String::from_utf8_lossy(header), String::from_utf8_lossy(claims));
    let signer = if header.contains("ES256") { &*EC } else { &*ED };
    let header = header.replace(KEY, &signer.jwk().to_string());
    let proof = signer.sign_text(&header, &claims);
    // With the access token and without: the proof has to name it only where there is one.
    let accepted = [None, Some(TOKEN)].map(|token| verify(&proof, METHOD, URL, NOW, token).ok());
    for (token, accepted) in [None, Some(TOKEN)].into_iter().zip(&accepted) {
        let Some(accepted) = accepted else { continue };
        holds(accepted, header.as_bytes(), claims.as_bytes());
        // It serves nowhere else, and at no other time.
        assert!(verify(&proof, "GET", URL, NOW, token).is_err());
        assert!(verify(&proof, METHOD, "https://id.example.com/oauth/par", NOW, token).is_err());
        assert!(verify(&proof, METHOD, URL, NOW + MAX_AGE + MAX_AHEAD + 1, token).is_err());
        assert!(verify(&proof, METHOD, URL, NOW - MAX_AGE - MAX_AHEAD - 1, token).is_err());
        if token.is_some() {
            assert!(verify(&proof, METHOD, URL, NOW, Some("another.access.token")).is_err());
        }
    }
    accepted.iter().any(Option::is_some)
}

fn holds(proof: &Proof, header: &[u8], claims: &[u8]) {
    let object =
        |text: &[u8]| serde_json::from_slice::<Map<String, Value>>(text).expect("what is accepted is an object");
    let (members, said) = (object(header), object(claims));
    no_member_twice(header, &members);
    no_member_twice(claims, &said);
    let jwk = &members["jwk"];
    // A private key in it would be everybody's (RFC 9449 §4.2); `none` and MACs have no public key (§4.3 check 5).
    assert!(jwk.get("d").is_none() && jwk.get("k").is_none());
    assert_eq!(PublicKey::parse(jwk).expect("its key").thumbprint(), proof.jkt);
    let alg = members["alg"].as_str().expect("its algorithm");
    assert!(ALGORITHMS.iter().any(|one| crate::jose::algorithm_named(alg) == Some(*one)));
    assert!(!members.contains_key("crit"));
    assert_eq!(said["htm"], METHOD);
    assert_eq!(said["jti"], Value::from(proof.jti.as_str()));
    assert!((1..=256).contains(&proof.jti.len()));
    let htu = said["htu"].as_str().expect("its URL");
    let parsed = url::Url::parse(htu).expect("its URL");
    assert_eq!(parsed.host_str(), Some("id.example.com"), "{htu}");
    assert_eq!((parsed.scheme(), parsed.port(), parsed.username()), ("https", None, ""), "{htu}");
    assert!(said["iat"].is_number() && (NOW - MAX_AGE..=NOW + MAX_AHEAD).contains(&proof.iat), "{}", proof.iat);
    assert_eq!(said.get("nonce").and_then(Value::as_str), proof.nonce.as_deref());
}
