//! Attacks on tokens, each with what it hears, and what may never happen whatever comes in.

use std::sync::LazyLock;

use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::json::JsonError;
use super::jwk::{JwkError, KeySet, PublicKey};
use super::jwt::{ClaimError, JwtError, Unverified, Verified};
use super::testing::{Signer, encode};
use super::{ASYMMETRIC, FAPI, name_of};

const ROOM: usize = 16 * 1024;

static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::new(Algorithm::RS256));
static EC: LazyLock<Signer> = LazyLock::new(|| Signer::new(Algorithm::ES256));

fn keys(signers: &[&Signer]) -> KeySet {
    KeySet::parse(&json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()})).unwrap()
}

fn verify(token: &str, keys: &KeySet) -> Result<Verified, JwtError> {
    Unverified::parse(token, ROOM)?.verify(keys, &ASYMMETRIC)
}

fn refusal(token: &str) -> JwtError {
    verify(token, &keys(&[&EC])).expect_err("refused")
}

#[test]
fn a_token_of_each_algorithm_verifies_with_its_own_key_only__rfc7515_5_2() {
    let claims = json!({"sub": "ann"});
    for algorithm in ASYMMETRIC {
        let (signer, other) = (Signer::new(algorithm), Signer::new(algorithm));
        let token = signer.sign(&signer.header("JWT"), &claims);
        let verified = verify(&token, &keys(&[&other, &signer])).unwrap();
        assert_eq!(verified.string("sub"), Ok(Some("ann")));
        assert_eq!(verified.header.alg(), algorithm);
        assert_eq!(verify(&token, &keys(&[&other])).unwrap_err(), JwtError::Signature);
        let parsed = Unverified::parse(&token, ROOM).unwrap();
        assert!(parsed.verify_with(&signer.public_key(), &ASYMMETRIC).is_ok());
        assert_eq!(parsed.verify_with(&other.public_key(), &ASYMMETRIC).unwrap_err(), JwtError::Signature);
        assert_eq!(parsed.verify(&KeySet::default(), &ASYMMETRIC).unwrap_err(), JwtError::NoKey);
        assert_eq!(parsed.verify_hmac(&[7; 32]).unwrap_err(), JwtError::AlgorithmNotAllowed);
    }
}

#[test]
fn the_fully_specified_name_of_eddsa_is_the_same_algorithm__rfc9864_2_2() {
    let signer = Signer::new(Algorithm::EdDSA);
    let named = |mut value: Value, alg: &str| {
        value["alg"] = alg.into();
        value
    };
    for (of_key, of_token) in [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA"), ("Ed25519", "Ed25519")] {
        let keys = KeySet::parse(&json!({"keys": [named(signer.jwk(), of_key)]})).unwrap();
        let token = signer.sign(&named(signer.header("JWT"), of_token), &json!({}));
        assert_eq!(verify(&token, &keys).unwrap().header.alg(), Algorithm::EdDSA);
    }
    // Not of the other curve, nor for a key of another kind.
    for alg in ["Ed448", "ed25519"] {
        assert_eq!(refusal(&EC.sign(&named(EC.header("JWT"), alg), &json!({}))), JwtError::UnsupportedAlgorithm);
    }
    assert_eq!(refusal(&EC.sign(&named(EC.header("JWT"), "Ed25519"), &json!({}))), JwtError::NoKey);
}

#[test]
fn an_algorithm_that_is_not_allowed_is_refused_before_any_key_is_tried__rfc8725_3_1() {
    let token = RSA.sign(&RSA.header(""), &json!({}));
    let parsed = Unverified::parse(&token, ROOM).unwrap();
    assert_eq!(parsed.verify(&keys(&[&RSA]), &FAPI).unwrap_err(), JwtError::AlgorithmNotAllowed);
    assert_eq!(parsed.verify_with(&RSA.public_key(), &FAPI).unwrap_err(), JwtError::AlgorithmNotAllowed);
}

#[test]
fn alg_none_and_unknown_algorithms_are_refused__rfc8725_3_2() {
    for alg in ["none", "None", "NONE", "nOnE", "", "HS512", "RS1", "es256", "ES256K"] {
        for signature in ["", "AA"] {
            let header = json!({"alg": alg}).to_string();
            let token = format!("{}.{}.{signature}", encode(header), encode("{}"));
            assert_eq!(refusal(&token), JwtError::UnsupportedAlgorithm, "{alg}");
        }
    }
    let no_alg = format!("{}.{}.", encode("{}"), encode("{}"));
    assert_eq!(refusal(&no_alg), JwtError::HeaderMember);
    // With its signature taken away, a token of a good algorithm is as bad.
    let token = EC.sign(&EC.header(""), &json!({}));
    let (unsigned, _) = token.rsplit_once('.').unwrap();
    assert_eq!(refusal(&format!("{unsigned}.")), JwtError::Signature);
}

#[test]
fn hs256_signed_with_the_rsa_public_key_is_refused__rfc8725_2_1() {
    let n = RSA.jwk()["n"].as_str().unwrap().to_owned();
    for secret in [n.as_bytes().to_vec(), RSA.jwk().to_string().into_bytes(), b"AQAB".to_vec()] {
        let forger = Signer::hmac(&secret);
        let token = forger.sign(&forger.header("JWT"), &json!({"sub": "admin"}));
        let parsed = Unverified::parse(&token, ROOM).unwrap();
        assert_eq!(parsed.verify(&keys(&[&RSA]), &ASYMMETRIC).unwrap_err(), JwtError::AlgorithmNotAllowed);
        // Not even a caller who lists HS256 by mistake.
        assert_eq!(parsed.verify(&keys(&[&RSA]), &[Algorithm::HS256]).unwrap_err(), JwtError::NoKey);
        assert_eq!(parsed.verify_with(&RSA.public_key(), &[Algorithm::HS256]).unwrap_err(), JwtError::NoKey);
    }
}

#[test]
fn a_shared_secret_verifies_hs256_and_must_be_long_enough__rfc7518_3_2() {
    let (secret, short) = ([7; 32], [7; 31]);
    let signer = Signer::hmac(&secret);
    let token = signer.sign(&signer.header("JWT"), &json!({"sub": "app"}));
    let parsed = Unverified::parse(&token, ROOM).unwrap();
    assert_eq!(parsed.verify_hmac(&secret).unwrap().required("sub"), Ok("app"));
    assert_eq!(parsed.verify_hmac(&[8; 32]).unwrap_err(), JwtError::Signature);
    let signer = Signer::hmac(&short);
    let token = signer.sign(&signer.header("JWT"), &json!({"sub": "app"}));
    assert_eq!(Unverified::parse(&token, ROOM).unwrap().verify_hmac(&short).unwrap_err(), JwtError::NoKey);
}

#[test]
fn a_kid_selects_its_key_and_a_wrong_one_finds_none__rfc7515_4_1_4() {
    let (one, two) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let named = |signer: &Signer, kid: &str| {
        let mut jwk = signer.jwk();
        jwk["kid"] = kid.into();
        jwk
    };
    let set = KeySet::parse(&json!({"keys": [named(&one, "one"), named(&two, "two")]})).unwrap();
    let token = |kid: Value| {
        let mut header = one.header("");
        header["kid"] = kid;
        one.sign(&header, &json!({}))
    };
    assert!(verify(&token("one".into()), &set).is_ok());
    assert_eq!(verify(&token("two".into()), &set).unwrap_err(), JwtError::Signature);
    assert_eq!(verify(&token("three".into()), &set).unwrap_err(), JwtError::NoKey);
    assert_eq!(verify(&token(1.into()), &set).unwrap_err(), JwtError::HeaderMember);
    assert!(verify(&one.sign(&one.header(""), &json!({})), &set).is_ok());
}

#[test]
fn critical_extensions_are_refused__rfc7515_4_1_11() {
    for crit in [json!(["exp"]), json!([]), json!("b64")] {
        let mut header = EC.header("");
        header["crit"] = crit;
        assert_eq!(refusal(&EC.sign(&header, &json!({}))), JwtError::Critical);
    }
}

#[test]
fn duplicate_members_are_refused_in_header_and_claims__rfc7515_4() {
    let token = EC.sign_text(r#"{"alg":"ES256","alg":"none"}"#, "{}");
    assert_eq!(refusal(&token), JwtError::Header(JsonError::DuplicateMember));
    let token = EC.sign_text(r#"{"alg":"ES256"}"#, r#"{"sub":"ann","sub":"bob"}"#);
    assert_eq!(refusal(&token), JwtError::Claims(JsonError::DuplicateMember));
    let token = EC.sign_text(r#"{"alg":"ES256"}"#, r#"{"cnf":{"jkt":"a","jkt":"b"}}"#);
    assert_eq!(refusal(&token), JwtError::Claims(JsonError::DuplicateMember));
}

#[test]
fn padding_and_base64_that_is_not_canonical_are_refused__rfc7515_2() {
    // 64 bytes of signature leave two bits over in the last character.
    let token = EC.sign(&EC.header(""), &json!({"a": 1}));
    assert!(verify(&token, &keys(&[&EC])).is_ok());
    for spoiled in [
        format!("{token}=="),
        format!("{token}="),
        token.replacen('.', "=.", 1),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{}+", &token[..token.len() - 1]),
        format!("{}/", &token[..token.len() - 1]),
    ] {
        assert_eq!(refusal(&spoiled), JwtError::Base64, "{spoiled}");
    }
    let last = token.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let index = alphabet.find(last).unwrap();
    assert_eq!(index % 16, 0, "canonical");
    for trailing in 1..16 {
        let other = alphabet.as_bytes()[index + trailing] as char;
        assert_eq!(refusal(&format!("{}{other}", &token[..token.len() - 1])), JwtError::Base64);
    }
}

#[test]
fn a_token_has_three_parts_and_is_no_encrypted_one__rfc7515_7_1() {
    let token = EC.sign(&EC.header(""), &json!({}));
    for other in ["", ".", "a", "a.b", &format!("{token}."), &format!("{token}.a"), "a.b.c.d.e"] {
        assert_eq!(refusal(other), JwtError::NotThreeParts, "{other}");
    }
    assert_eq!(refusal(".."), JwtError::Header(JsonError::Malformed));
    let claims_are_a_list = EC.sign_text(r#"{"alg":"ES256"}"#, "[]");
    assert_eq!(refusal(&claims_are_a_list), JwtError::Claims(JsonError::NotAnObject));
}

#[test]
fn what_is_oversized_or_deeply_nested_is_refused_before_any_key_is_tried() {
    let large = EC.sign(&EC.header(""), &json!({"a": "x".repeat(1 << 20)}));
    assert_eq!(refusal(&large), JwtError::TooLarge);
    let deep = EC.sign_text(r#"{"alg":"ES256"}"#, &format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)));
    assert_eq!(Unverified::parse(&deep, 1 << 20).unwrap_err(), JwtError::Claims(JsonError::TooDeep));
    let deep = EC.sign_text(&format!(r#"{{"alg":"ES256","x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000)), "{}");
    assert_eq!(Unverified::parse(&deep, 1 << 20).unwrap_err(), JwtError::Header(JsonError::TooDeep));
}

#[test]
fn types_ignore_case_and_the_application_prefix__rfc7515_4_1_9() {
    let with = |typ: &str| Unverified::parse(&EC.sign(&EC.header(typ), &json!({})), ROOM).unwrap();
    for typ in ["dpop+jwt", "DPoP+JWT", "application/dpop+jwt", "Application/dpop+jwt"] {
        assert!(with(typ).header().has_typ("dpop+jwt"), "{typ}");
    }
    for typ in ["", "JWT", "dpop+jwt ", "text/dpop+jwt", "application/application/dpop+jwt", "application/"] {
        assert!(!with(typ).header().has_typ("dpop+jwt"), "{typ}");
    }
}

#[test]
fn a_private_key_in_the_header_is_no_key__rfc7515_4_1_3() {
    let mut header = EC.header("");
    header["jwk"] = EC.jwk();
    header["jwk"]["d"] = encode([7; 32]).into();
    let parsed = Unverified::parse(&EC.sign(&header, &json!({})), ROOM).unwrap();
    assert_eq!(PublicKey::parse(parsed.jwk().unwrap()).unwrap_err(), JwkError::Private);
    header["jwk"] = json!("key");
    assert_eq!(refusal(&EC.sign(&header, &json!({}))), JwtError::HeaderMember);
    // A public one in the header is not believed by itself.
    let thief = Signer::new(Algorithm::ES256);
    let mut header = thief.header("");
    header["jwk"] = thief.jwk();
    assert_eq!(refusal(&thief.sign(&header, &json!({}))), JwtError::Signature);
}

fn claims(claims: &Value) -> Verified {
    verify(&EC.sign(&EC.header(""), claims), &keys(&[&EC])).unwrap()
}

#[test]
fn times_are_checked_with_leeway__rfc7519_4_1() {
    const NOW: i64 = 1_700_000_000;
    let check = |value: Value, max| claims(&value).check_times(NOW, 10, max);
    assert_eq!(check(json!({"exp": NOW + 60}), None), Ok(()));
    assert_eq!(check(json!({"exp": NOW + 60, "iat": NOW, "nbf": NOW}), Some(60)), Ok(()));
    assert_eq!(check(json!({}), None), Err(ClaimError::Missing("exp")));
    assert_eq!(check(json!({"exp": NOW - 9}), None), Ok(()));
    assert_eq!(check(json!({"exp": NOW - 10}), None), Err(ClaimError::Expired));
    assert_eq!(check(json!({"exp": 0}), None), Err(ClaimError::Expired));
    for start in ["iat", "nbf"] {
        assert_eq!(check(json!({"exp": NOW + 60, start: NOW + 10}), None), Ok(()), "{start}");
        assert_eq!(check(json!({"exp": NOW + 60, start: NOW + 11}), None), Err(ClaimError::NotYet), "{start}");
        assert_eq!(check(json!({"exp": NOW + 60, start: NOW - 1}), Some(60)), Err(ClaimError::TooLong), "{start}");
    }
    assert_eq!(check(json!({"exp": NOW + 70}), Some(60)), Ok(()));
    assert_eq!(check(json!({"exp": NOW + 71}), Some(60)), Err(ClaimError::TooLong));
    assert_eq!(check(json!({"exp": NOW as f64 + 60.9, "iat": NOW as f64 - 0.5}), Some(70)), Ok(()));
    for bad in [json!("60"), json!(-1), json!(-0.5), json!(1e18), json!(u64::MAX), json!(true), json!(null), json!([1])]
    {
        assert_eq!(check(json!({"exp": bad}), None), Err(ClaimError::Malformed("exp")), "{bad}");
        assert_eq!(check(json!({"exp": NOW + 60, "iat": bad}), None), Err(ClaimError::Malformed("iat")), "{bad}");
        assert_eq!(check(json!({"exp": NOW + 60, "nbf": bad}), None), Err(ClaimError::Malformed("nbf")), "{bad}");
    }
}

#[test]
fn an_audience_is_one_or_many_strings__rfc7519_4_1_3() {
    assert_eq!(claims(&json!({})).audience(), Ok(vec![]));
    assert_eq!(claims(&json!({"aud": "a"})).audience(), Ok(vec!["a".to_owned()]));
    assert_eq!(claims(&json!({"aud": ["a", "b"]})).audience(), Ok(vec!["a".to_owned(), "b".to_owned()]));
    for bad in [json!(1), json!(["a", 1]), json!({"a": 1}), json!(null)] {
        assert_eq!(claims(&json!({"aud": bad})).audience(), Err(ClaimError::Malformed("aud")));
    }
}

#[test]
fn a_claim_of_the_wrong_type_is_not_a_missing_one() {
    let verified = claims(&json!({"sub": 7, "iss": "a", "jti": ""}));
    assert_eq!(verified.string("sub"), Err(ClaimError::Malformed("sub")));
    assert_eq!(verified.required("iss"), Ok("a"));
    assert_eq!(verified.required("jti"), Err(ClaimError::Malformed("jti")));
    assert_eq!(verified.required("client_id"), Err(ClaimError::Missing("client_id")));
    assert_eq!(verified.string("client_id"), Ok(None));
}

static TOKENS: LazyLock<Vec<(String, KeySet)>> = LazyLock::new(|| {
    let algorithms = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256];
    let signed = algorithms.map(|algorithm| {
        let signer = Signer::new(algorithm);
        let token = signer.sign(&json!({"alg": name_of(algorithm), "typ": "JWT"}), &json!({"sub": "ann", "exp": 1}));
        (token, keys(&[&signer]))
    });
    signed.into()
});

proptest! {
    #[test]
    fn arbitrary_text_never_panics_and_never_verifies(text in ".{0,200}", dotted in r"[A-Za-z0-9_\-=]{0,40}(\.[A-Za-z0-9_\-=]{0,40}){0,5}") {
        prop_assert!(verify(&text, &keys(&[&EC])).is_err());
        prop_assert!(verify(&dotted, &keys(&[&EC])).is_err());
    }

    #[test]
    fn arbitrary_header_and_claims_never_panic(header in r#"\{"alg":"(ES256|none|HS256)"(,"[a-z]{1,3}":[0-9"\[\]{}]{0,6}){0,3}\}"#, claims in ".{0,60}") {
        let token = format!("{}.{}.{}", encode(header), encode(claims), encode([0; 64]));
        prop_assert!(verify(&token, &keys(&[&EC])).is_err());
    }

    #[test]
    fn a_valid_token_with_any_byte_changed_never_verifies(which in 0..4usize, at in any::<prop::sample::Index>(), by in 1..128u8) {
        let (token, keys) = &TOKENS[which];
        prop_assert!(verify(token, keys).is_ok());
        let mut bytes = token.clone().into_bytes();
        let at = at.index(bytes.len());
        // ASCII stays ASCII.
        bytes[at] ^= by;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert!(verify(&changed, keys).is_err(), "{changed}");
    }

    #[test]
    fn a_valid_token_cut_or_lengthened_never_verifies(which in 0..4usize, at in any::<prop::sample::Index>(), more in "[A-Za-z0-9_.-]{1,4}") {
        let (token, keys) = &TOKENS[which];
        let cut = &token[..at.index(token.len())];
        prop_assert!(verify(cut, keys).is_err());
        let lengthened = format!("{token}{more}");
        prop_assert!(verify(&lengthened, keys).is_err());
    }

    #[test]
    fn duplicate_claims_are_always_refused__rfc7519_4(name in "[a-z]{1,8}", one in any::<u32>(), two in any::<u32>()) {
        let claims = format!("{{\"{name}\":{one},\"{name}\":{two}}}");
        let token = EC.sign_text(r#"{"alg":"ES256"}"#, &claims);
        prop_assert_eq!(refusal(&token), JwtError::Claims(JsonError::DuplicateMember));
    }

    #[test]
    fn no_time_panics(exp in any::<f64>(), iat in any::<i64>(), now in 0..4_000_000_000i64, leeway in 0..100i64, max in 0..10_000i64) {
        let verified = claims(&json!({"exp": exp, "iat": iat}));
        let _ = verified.check_times(now, leeway, Some(max));
    }
}
