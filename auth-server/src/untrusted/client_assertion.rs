use std::sync::LazyLock;

use shared::jose::ASYMMETRIC;
use shared::jose::jwk::KeySet;
use shared::jose::jwt::{Unverified, Verified};
use shared::untrusted::no_member_twice;
use url::form_urlencoded;

use super::{ISSUER, NOW, SECRET, STRANGER, client, form, header_and_claims, keys, parameters, signed};
use crate::clients::Profile;
use crate::protocol::client_auth::assertion::{self, CLIENT, LONGEST_LIFE, Us};
use crate::protocol::client_auth::{self, Presented};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const TOKEN_ENDPOINT: &str = "https://id.example.com/oauth/token";
const PAR: &str = "https://id.example.com/oauth/par";

static KEYS: LazyLock<[KeySet; 2]> =
    LazyLock::new(|| [KeySet::parse(&keys()).expect("a key set"), STRANGER.public_key().into()]);

/// A client assertion (RFC 7523 §3) of the client `app`: as it stands, and signed, where the first line is its header and
/// the rest are its claims.
pub fn client_assertion(data: &[u8]) -> bool {
    let [keys, strangers] = &*KEYS;
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(token) = shown(text, None)
    {
        assert!(token.verify(keys, &ASYMMETRIC).is_err() && token.verify_hmac(&SECRET).is_err(), "nobody signed this");
    }
    let Some((header, claims)) = header_and_claims(data) else { return false };
    let assertion = signed(header, claims);
    let Some(token) = shown(&assertion, None) else { return false };
    // It names its client, so another can't be named beside it (RFC 7521 §4.2).
    let another = format!("{} too", token.claims()["iss"].as_str().expect("its issuer"));
    assert!(shown(&assertion, Some(&another)).is_none());
    assert!(token.verify(strangers, &ASYMMETRIC).is_err(), "another's key verifies it");
    assert!(token.verify_hmac(STRANGER.jwk().to_string().as_bytes()).is_err(), "another's secret verifies it");
    let mut accepted = false;
    for (method, profile) in
        [("private_key_jwt", None), ("private_key_jwt", Some(Profile::Fapi2)), ("client_secret_jwt", None)]
    {
        let mut client = client(method);
        client.metadata.profile = profile;
        let verified = match method {
            "client_secret_jwt" => token.verify_hmac(&SECRET),
            _ => token.verify(keys, &ASYMMETRIC),
        };
        let Ok(verified) = verified else { continue };
        let us = Us { issuer: ISSUER, endpoints: vec![TOKEN_ENDPOINT.into(), PAR.into()], now: NOW };
        let Ok((jti, until)) = assertion::check(&us, &client, &verified, CLIENT) else { continue };
        // Who verifies is asked for the client that it names.
        if verified.claims["iss"] != "app" {
            continue;
        }
        no_member_twice(claims.as_bytes(), &verified.claims);
        holds(&verified, profile.is_some());
        assert_eq!(verified.claims["jti"], jti.as_str());
        let exp = verified.timestamp("exp").expect("a time").expect("exp");
        assert!(until.timestamp() > exp, "its jti is forgotten while it is good");
        accepted = true;
    }
    accepted
}

/// The assertion of a request, as the endpoints read it.
fn shown(assertion: &str, client_id: Option<&str>) -> Option<Unverified> {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("client_assertion", assertion).append_pair("client_assertion_type", TYPE);
    if let Some(client_id) = client_id {
        body.append_pair("client_id", client_id);
    }
    let parameters = parameters(form("/oauth/token"), body.finish().as_bytes()).ok()?;
    match client_auth::read(&parameters) {
        Ok(Presented::Assertion(presented)) => {
            let named = presented.token.claims();
            let id = presented.client_id.as_str();
            assert_eq!((named["iss"].as_str(), named["sub"].as_str()), (Some(id), Some(id)), "it names it twice");
            Some(presented.token)
        }
        _ => None,
    }
}

/// RFC 7523 §3, and FAPI 2.0 Security Profile §5.3.2.1.
fn holds(token: &Verified, fapi: bool) {
    let audience = token.audience().expect("an audience");
    let us: &[&str] = if fapi { &[ISSUER] } else { &[ISSUER, TOKEN_ENDPOINT, PAR] };
    assert!(!audience.is_empty() && audience.iter().all(|aud| us.contains(&aud.as_str())), "{audience:?}");
    assert!(!fapi || token.claims["aud"].is_string());
    let time = |name| token.timestamp(name).expect("a time");
    let exp = time("exp").expect("exp");
    assert!(exp > NOW - 11 && exp <= NOW + LONGEST_LIFE + 10, "{exp}");
    assert!([time("iat"), time("nbf")].into_iter().flatten().all(|start| start <= NOW + 10));
    assert!(token.required("jti").is_ok_and(|jti| jti.len() <= 256));
    assert!(token.header.typ().is_none() || token.header.has_typ("JWT") || token.header.has_typ(CLIENT));
}
