use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;
use shared::jose::ASYMMETRIC;
use shared::jose::jwk::KeySet;
use shared::jose::jwt::{Unverified, Verified};
use shared::untrusted::no_member_twice;

use super::{ISSUER, NOW, STRANGER, client, form, header_and_claims, keys, parameters, signed};
use crate::clients::Profile;
use crate::protocol::request_object::{LONGEST, allowed, check_type, parameters_of};

static KEYS: LazyLock<[KeySet; 2]> =
    LazyLock::new(|| [KeySet::parse(&keys()).expect("a key set"), STRANGER.public_key().into()]);

/// A request object (RFC 9101) of the client `app`: as it stands, and signed, where the first line is its header and the
/// rest are its claims.
pub fn request_object(data: &[u8]) -> bool {
    let [keys, strangers] = &*KEYS;
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(object) = Unverified::parse(text, LONGEST)
    {
        assert!(object.verify(keys, &ASYMMETRIC).is_err(), "nobody signed this");
    }
    let Some((header, claims)) = header_and_claims(data) else { return false };
    let Ok(object) = Unverified::parse(&signed(header, claims), LONGEST) else { return false };
    if check_type(&object).is_err() {
        return false;
    }
    assert!(object.verify(strangers, &ASYMMETRIC).is_err(), "another's key verifies it");
    let mut accepted = false;
    for profile in [None, Some(Profile::Fapi2)] {
        let mut client = client("private_key_jwt");
        client.metadata.profile = profile;
        let Ok(verified) = object.verify(keys, &allowed(&client)) else { continue };
        let Ok(said) = parameters_of(ISSUER, NOW, &client, &verified) else { continue };
        no_member_twice(claims.as_bytes(), &verified.claims);
        is_the_clients(&verified, profile.is_some());
        becomes(&said, &verified);
        accepted = true;
    }
    accepted
}

/// RFC 9101 §10.8 and FAPI 2.0 Message Signing §5.3.1.
fn is_the_clients(object: &Verified, fapi: bool) {
    let claims = &object.claims;
    assert_eq!((claims["iss"].as_str(), claims["client_id"].as_str()), (Some("app"), Some("app")));
    assert_ne!(claims.get("sub").and_then(Value::as_str), Some("app"), "this is a client assertion");
    assert!(object.audience().expect("an audience").iter().any(|aud| aud == ISSUER));
    let time = |name| object.timestamp(name).expect("a time");
    assert!(time("exp").is_none_or(|exp| exp > NOW - 11));
    assert!(time("nbf").is_none_or(|nbf| nbf < NOW + 11) && time("iat").is_none_or(|iat| iat < NOW + 11));
    if fapi {
        let (nbf, exp) = (time("nbf").expect("nbf"), time("exp").expect("exp"));
        assert!(exp - nbf <= 3600);
    }
}

/// Its members are the parameters, each once, and none of them is a request again (RFC 9101 §4).
fn becomes(said: &[(String, String)], object: &Verified) {
    let jwts_own = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "request", "request_uri"];
    assert!(!said.iter().any(|(name, _)| jwts_own.contains(&name.as_str())), "{said:?}");
    let names: BTreeSet<&str> = said.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.iter().all(|name| object.claims.contains_key(*name)));
    let around = parameters(form("/oauth/authorize"), b"state=outside&nonce=outside").expect("a request");
    let pairs = said.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let read = around.with_parameters(pairs).expect("what an object says can be read");
    for (name, value) in said {
        match name.as_str() {
            "resource" => assert!(read.resource.contains(value)),
            "audience" => assert_eq!(read.audience, [value.as_str()]),
            _ => assert_eq!(read.get(name).as_deref().unwrap_or_default(), value, "{name:?}"),
        }
    }
    // And nothing beside it counts (§6.3).
    for outside in ["state", "nonce"] {
        assert!(read.get(outside).is_none() || names.contains(outside));
    }
}
