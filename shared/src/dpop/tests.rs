//! Proofs, good and bad.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jose::testing::{Signer, encode};
use crate::random::Random;

const NOW: i64 = 1_700_000_000;
const URL: &str = "https://api.example.com/v1/referral-codes";
const TOKEN: &str = "an.access.token";

static EC: LazyLock<Signer> = LazyLock::new(|| Signer::new(Algorithm::ES256));

fn good() -> Value {
    EC.proof_claims("GET", URL, NOW, "one", Some(TOKEN))
}

fn check(claims: &Value) -> Result<Proof, ProofError> {
    verify(&EC.proof(claims), "GET", URL, NOW, Some(TOKEN))
}

fn with(member: &str, value: Value) -> Value {
    let mut claims = good();
    claims[member] = value;
    claims
}

fn without(member: &str) -> Value {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(member);
    claims
}

#[test]
fn a_good_proof_of_each_algorithm_tells_its_key__rfc9449_4_3() {
    for algorithm in ALGORITHMS {
        let signer = Signer::new(algorithm);
        let mut claims = signer.proof_claims("POST", URL, NOW, "one", None);
        let proof = verify(&signer.proof(&claims), "POST", URL, NOW, None).unwrap();
        assert_eq!(proof.jkt, signer.public_key().thumbprint());
        assert_eq!((proof.jti.as_str(), proof.iat, proof.nonce), ("one", NOW, None));
        claims["nonce"] = "nonce".into();
        let proof = verify(&signer.proof(&claims), "POST", URL, NOW, None).unwrap();
        assert_eq!(proof.nonce.as_deref(), Some("nonce"));
    }
}

#[test]
fn claims_that_are_missing_or_wrong_are_refused__rfc9449_4_3() {
    assert!(check(&good()).is_ok());
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        let ProofError::Claim(ClaimError::Missing(missing)) = check(&without(name)).unwrap_err() else {
            panic!("{name}");
        };
        assert_eq!(missing, name);
        let ProofError::Claim(ClaimError::Malformed(malformed)) = check(&with(name, json!([]))).unwrap_err() else {
            panic!("{name}");
        };
        assert_eq!(malformed, name);
    }
    assert_eq!(check(&with("jti", json!(""))).unwrap_err(), ClaimError::Malformed("jti").into());
    assert_eq!(check(&with("jti", json!("x".repeat(257)))).unwrap_err(), ClaimError::Malformed("jti").into());
    assert!(check(&with("jti", json!("x".repeat(256)))).is_ok());
    assert_eq!(check(&with("nonce", json!(7))).unwrap_err(), ClaimError::Malformed("nonce").into());
    assert_eq!(check(&with("nonce", json!("x".repeat(257)))).unwrap_err(), ClaimError::Malformed("nonce").into());
    for method in ["POST", "get", ""] {
        assert!(check(&with("htm", json!(method))).is_err(), "{method}");
    }
    assert_eq!(check(&with("htm", json!("POST"))).unwrap_err(), ProofError::Method);
    // The proof of another token, and of none.
    assert_eq!(check(&with("ath", json!(encode(Sha256::digest("other"))))).unwrap_err(), ProofError::AccessToken);
    assert!(verify(&EC.proof(&without("ath")), "GET", URL, NOW, None).is_ok());
}

#[test]
fn a_proof_is_fresh_for_five_minutes_and_hardly_from_the_future__rfc9449_11_1() {
    let at = |iat: i64| check(&with("iat", json!(iat)));
    assert!(at(NOW - 300).is_ok());
    assert_eq!(at(NOW - 301).unwrap_err(), ProofError::TooOld);
    assert!(at(NOW + 10).is_ok());
    assert_eq!(at(NOW + 11).unwrap_err(), ProofError::FromTheFuture);
    assert_eq!(check(&with("exp", json!(NOW - 10))).unwrap_err(), ProofError::TooOld);
    assert_eq!(check(&with("nbf", json!(NOW + 11))).unwrap_err(), ProofError::FromTheFuture);
    assert_eq!(check(&with("iat", json!(-1))).unwrap_err(), ClaimError::Malformed("iat").into());
}

#[test]
fn urls_are_compared_normalised_and_without_query_and_fragment__rfc9449_4_3() {
    let same = |htu: &str, url: &str| {
        let claims = EC.proof_claims("GET", htu, NOW, "one", None);
        verify(&EC.proof(&claims), "GET", url, NOW, None)
    };
    for (htu, url) in [
        (URL, URL),
        ("https://api.example.com/v1/referral-codes?limit=1#top", URL),
        (URL, "https://api.example.com/v1/referral-codes?limit=1"),
        ("HTTPS://API.Example.COM/v1/referral-codes", URL),
        ("https://api.example.com:443/v1/referral-codes", URL),
        ("http://localhost:80/a", "http://localhost/a"),
        ("https://api.example.com", "https://api.example.com/"),
        ("https://api.example.com/a/./b/../c", "https://api.example.com/a/c"),
        ("https://api.example.com/%7Eann/%e2%82%ac", "https://api.example.com/~ann/%E2%82%AC"),
        ("https://[::1]:8443/a", "https://[0:0:0:0:0:0:0:1]:8443/a"),
    ] {
        assert!(same(htu, url).is_ok(), "{htu} {url}");
    }
    for htu in [
        "https://api.example.com/v1/referral-codes/",
        "https://api.example.com/v1/Referral-codes",
        "http://api.example.com/v1/referral-codes",
        "https://api.example.com:8443/v1/referral-codes",
        "https://evil.example.com/v1/referral-codes",
        "https://api.example.com@evil.example.com/v1/referral-codes",
        "https://user:pass@api.example.com/v1/referral-codes",
        "https://api.example.com/v1%2Freferral-codes",
        "https://api.example.com./v1/referral-codes",
        "https://api.example.com/v1/referral-codes%",
        "https://api.example.com/v1/referral-codes%zz",
        "https:api.example.com/v1/referral-codes",
        "https:///api.example.com/v1/referral-codes",
        "https:\\\\api.example.com\\v1\\referral-codes",
        "https://api.example.com/v1\\referral-codes",
        " https://api.example.com/v1/referral-codes",
        "https://api.example.com/v1/\treferral-codes",
        "/v1/referral-codes",
        "api.example.com/v1/referral-codes",
        "ftp://api.example.com/v1/referral-codes",
        "https://api.example.com/v1/referral-cod\u{435}s",
    ] {
        assert_eq!(same(htu, URL).unwrap_err(), ProofError::Url, "{htu}");
    }
    assert_eq!(same(&format!("{URL}?{}", "x".repeat(2048)), URL).unwrap_err(), ProofError::Url);
    // Not even when both are the same nonsense.
    assert_eq!(same("nonsense", "nonsense").unwrap_err(), ProofError::Url);
}

#[test]
fn attacks_on_the_header_are_refused__rfc9449_4_3() {
    let claims = good();
    let header = || {
        let mut header = EC.header("dpop+jwt");
        header["jwk"] = EC.jwk();
        header
    };
    let refusal = |header: &Value| verify(&EC.sign(header, &claims), "GET", URL, NOW, Some(TOKEN)).unwrap_err();
    for typ in ["JWT", "at+jwt", "jwt+dpop"] {
        let mut wrong = header();
        wrong["typ"] = typ.into();
        assert_eq!(refusal(&wrong), ProofError::Type, "{typ}");
    }
    let mut none = header();
    none["alg"] = "none".into();
    assert_eq!(refusal(&none), JwtError::UnsupportedAlgorithm.into());
    let mut no_key = header();
    no_key.as_object_mut().unwrap().remove("jwk");
    assert_eq!(refusal(&no_key), ProofError::NoKey);
    let mut private = header();
    private["jwk"]["d"] = encode([1; 32]).into();
    assert_eq!(refusal(&private), JwkError::Private.into());
    let mut symmetric = header();
    symmetric["jwk"] = json!({"kty": "oct", "k": encode([1; 32])});
    assert_eq!(refusal(&symmetric), JwkError::Private.into());
    let mut somebody_else = header();
    somebody_else["jwk"] = Signer::new(Algorithm::ES256).jwk();
    assert_eq!(refusal(&somebody_else), JwtError::Signature.into());
    let mut critical = header();
    critical["crit"] = json!(["x"]);
    assert_eq!(refusal(&critical), JwtError::Critical.into());

    let p384 = Signer::new(Algorithm::ES384);
    let proof = p384.proof(&claims);
    assert_eq!(verify(&proof, "GET", URL, NOW, Some(TOKEN)).unwrap_err(), JwtError::AlgorithmNotAllowed.into());

    // FAPI 2.0 §5.4.1, which leaves the same key with PS256.
    let mut rsa = Signer::new(Algorithm::RS256);
    let proof = rsa.proof(&claims);
    assert_eq!(verify(&proof, "GET", URL, NOW, Some(TOKEN)).unwrap_err(), JwtError::AlgorithmNotAllowed.into());
    rsa.algorithm = Algorithm::PS256;
    verify(&rsa.proof(&claims), "GET", URL, NOW, Some(TOKEN)).unwrap();

    // The public key as the secret of a MAC.
    let forger = Signer::hmac(rsa.jwk()["n"].as_str().unwrap().as_bytes());
    let mut header = forger.header("dpop+jwt");
    header["jwk"] = rsa.jwk();
    let proof = forger.sign(&header, &claims);
    assert_eq!(verify(&proof, "GET", URL, NOW, Some(TOKEN)).unwrap_err(), JwtError::AlgorithmNotAllowed.into());
}

#[test]
fn an_oversized_proof_and_one_with_duplicates_are_refused() {
    let large = EC.proof(&with("x", json!("x".repeat(1 << 20))));
    assert_eq!(verify(&large, "GET", URL, NOW, None).unwrap_err(), JwtError::TooLarge.into());
    let mut header = EC.header("dpop+jwt");
    header["jwk"] = EC.jwk();
    let twice = good().to_string().replacen('{', r#"{"htm":"POST","#, 1);
    let twice = EC.sign_text(&header.to_string(), &twice);
    let expected = JwtError::Claims(crate::jose::json::JsonError::DuplicateMember);
    assert_eq!(verify(&twice, "GET", URL, NOW, None).unwrap_err(), expected.into());
}

#[test]
fn a_request_has_one_proof_at_most__rfc9449_4_3() {
    let mut headers = HeaderMap::new();
    assert_eq!(from_headers(&headers), Ok(None));
    headers.append(DPOP, "a".parse().unwrap());
    assert_eq!(from_headers(&headers), Ok(Some("a")));
    headers.append(DPOP, "b".parse().unwrap());
    assert_eq!(from_headers(&headers), Err(ProofError::Header));
    let bytes = http::HeaderValue::from_bytes(b"\xff").unwrap();
    headers.insert(DPOP, bytes);
    assert_eq!(from_headers(&headers), Err(ProofError::Header));
}

#[test]
fn nonces_are_shared_by_instances_and_expire__rfc9449_8() {
    let key = MasterKey::generate(&Random::seeded(1));
    let (here, there) = (Nonces::new(&key), Nonces::new(&key));
    let elsewhere = Nonces::new(&MasterKey::generate(&Random::seeded(2)));
    let nonce = here.issue(NOW);
    assert!(there.accepts(&nonce, NOW));
    assert!(!elsewhere.accepts(&nonce, NOW));
    assert!(there.accepts(&nonce, NOW + Nonces::STEP));
    assert!(!there.accepts(&nonce, NOW + 2 * Nonces::STEP));
    // An instance whose clock is a little behind.
    assert!(there.accepts(&nonce, NOW - Nonces::STEP));
    assert!(!there.accepts(&nonce, NOW - 2 * Nonces::STEP));
    for other in ["", "x", &nonce[1..], &format!("{nonce}x"), &nonce.to_ascii_lowercase()] {
        assert!(!there.accepts(other, NOW), "{other}");
    }
    // It goes into a header and a quoted string (RFC 9449 §8.1: NQCHAR).
    assert!(nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
}

static PROOF: LazyLock<String> = LazyLock::new(|| EC.proof(&good()));

proptest! {
    #[test]
    fn arbitrary_proofs_and_urls_never_panic(proof in ".{0,80}", htu in r"(https?://)?[a-z0-9:/@%\[\].?#-]{0,40}") {
        prop_assert!(verify(&proof, "GET", URL, NOW, None).is_err());
        let _ = normalised(&htu);
        let _ = normalised(&proof);
    }

    #[test]
    fn normalising_twice_changes_nothing(path in r"(%[0-9a-fA-F]{2}|[a-z~./%-]){0,20}") {
        if let Some(once) = normalised(&format!("https://api.example.com/{path}")) {
            prop_assert_eq!(normalised(&once), Some(once));
        }
    }

    #[test]
    fn a_good_proof_with_any_byte_changed_is_refused(at in any::<prop::sample::Index>(), by in 1..128u8) {
        prop_assert!(verify(&PROOF, "GET", URL, NOW, Some(TOKEN)).is_ok());
        let mut bytes = PROOF.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert!(verify(&String::from_utf8(bytes).unwrap(), "GET", URL, NOW, Some(TOKEN)).is_err());
    }
}
