//! Request objects (RFC 9101): an authorization request that its client signed. Only signed ones, and only by value:
//! what is fetched from a `request_uri` of the client's own is not supported.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::jose::jwt::{ClaimError, Unverified, Verified};
use shared::jose::{self, ASYMMETRIC, FAPI};

use super::error::{Code, OAuthError};
use super::proofs::UsedProof;
use super::request::Parameters;
use crate::clients::Client;
use crate::clients::keys::{ClientKeysError, NotSigned, verify_signed};
use crate::state::AppState;

/// The longest that is looked at, in bytes.
pub(crate) const LONGEST: usize = 16 * 1024;

/// How far the client's clock may be off, in seconds.
const LEEWAY: i64 = 10;

/// How long a request object of FAPI 2.0 may live, in seconds (Message Signing §5.3.1).
const FAPI_LIFETIME: i64 = 3600;

/// Claims of the JWT itself (RFC 7519 §4.1), which are no parameters.
const REGISTERED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// The longest `jti`, in bytes.
const LONGEST_JTI: usize = 256;

/// For how long the `jti` of an object without `exp` is remembered, which would have to be for ever.
const REMEMBERED: TimeDelta = TimeDelta::days(365);

/// The parameters that the authorization endpoint reads.
const PARAMETERS: [&str; 21] = [
    "acr_values",
    "authorization_details",
    "claims",
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "display",
    "dpop_jkt",
    "id_token_hint",
    "login_hint",
    "max_age",
    "nonce",
    "prompt",
    "redirect_uri",
    "registration",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "ui_locales",
];

/// What request objects may be signed with: `request_object_signing_alg_values_supported`.
pub fn algorithms() -> Vec<&'static str> {
    ASYMMETRIC.into_iter().map(jose::name_of).collect()
}

/// What a request object said.
pub struct Opened {
    /// They replace all others (RFC 9101 §6.3).
    pub parameters: Parameters,
    pub single_use: Option<SingleUse>,
}

/// A request object with a `jti`: it serves once (RFC 7519 §4.1.7). At the pushed authorization request endpoint it is
/// used up by being pushed; in the browser, where a page may be loaded again, by the code that comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SingleUse {
    jti: String,
    /// When it expires by itself.
    until: DateTime<Utc>,
}

impl SingleUse {
    /// What is to be written down when it is used.
    pub fn proof(&self, client: &Client) -> UsedProof {
        let used = refused("it was used before; sign a new one for each request");
        UsedProof::new("request-object", client.client_id.as_str(), &self.jti, self.until, used)
    }
}

/// The request object, when the request has one.
///
/// # Errors
/// `invalid_request_object` whatever is wrong with it, and `invalid_request` when there is none and must be.
pub async fn open(
    state: &AppState,
    client: &Arc<Client>,
    parameters: &Parameters,
) -> Result<Option<Opened>, OAuthError> {
    let Some(object) = parameters.get("request") else {
        if client.requires_request_object() {
            return Err(OAuthError::invalid_request("this client must send a signed request object (RFC 9101)"));
        }
        return Ok(None);
    };
    let unverified = Unverified::parse(&object, LONGEST).map_err(refused)?;
    check_type(&unverified)?;
    let verified = match verify_signed(&state.client_keys, client, &unverified, &allowed(client)).await {
        Ok(verified) => verified,
        Err(NotSigned::Keys(ClientKeysError::Unavailable)) => return Err(OAuthError::keys_unavailable()),
        Err(error) => return Err(refused(error)),
    };
    let inner = parameters_of(state.issuer(), state.platform.clock.timestamp(), client, &verified)?;
    let single_use = single_use(state, &verified)?;
    let inside = |name: &str| inner.iter().find(|(inner, _)| inner == name).map(|(_, value)| value.as_str());
    // OpenID Connect Core §6.1: what stands outside as well must say the same.
    if parameters.get("response_type").is_some_and(|outside| Some(&*outside) != inside("response_type")) {
        return Err(refused("its response_type is not the one beside it"));
    }
    let pairs = inner.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let parameters = parameters.with_parameters(pairs).map_err(|error| refused(error.description))?;
    Ok(Some(Opened { parameters, single_use }))
}

/// What an object says that is signed with the client's key: the parameters in it, once it is for this `issuer`, valid
/// `now` and the client's own in every member.
pub(crate) fn parameters_of(
    issuer: &str,
    now: i64,
    client: &Client,
    object: &Verified,
) -> Result<Vec<(String, String)>, OAuthError> {
    check_claims(issuer, now, client, object)?;
    let parameters = read(object)?;
    if !parameters.iter().any(|(name, value)| name == "client_id" && value == client.client_id.as_str()) {
        return Err(refused("its client_id is missing or another's"));
    }
    Ok(parameters)
}

fn refused(reason: impl std::fmt::Display) -> OAuthError {
    OAuthError::new(Code::InvalidRequestObject, format!("the request object is refused: {reason}"))
}

/// A JWT that was signed for another purpose does not serve as a request object (RFC 9101 §10.8, RFC 8725 §3.11).
pub(crate) fn check_type(object: &Unverified) -> Result<(), OAuthError> {
    let header = object.header();
    if header.typ().is_none() || header.has_typ("oauth-authz-req+jwt") || header.has_typ("JWT") {
        return Ok(());
    }
    Err(refused("its typ is not oauth-authz-req+jwt"))
}

/// The algorithms this client may sign with: the one it registered, or those of its profile.
pub(crate) fn allowed(client: &Client) -> Vec<Algorithm> {
    let profile: &[Algorithm] = if client.is_fapi2() { &FAPI } else { &ASYMMETRIC };
    let registered = client.metadata.request_object_signing_alg.as_deref();
    profile.iter().copied().filter(|alg| registered.is_none_or(|name| jose::name_of(*alg) == name)).collect()
}

fn check_claims(issuer: &str, now: i64, client: &Client, object: &Verified) -> Result<(), OAuthError> {
    let client_id = client.client_id.as_str();
    if object.required("iss").map_err(refused)? != client_id {
        return Err(refused("its iss is not the client_id"));
    }
    if !object.audience().map_err(refused)?.iter().any(|aud| aud == issuer) {
        return Err(refused("its aud is not this issuer"));
    }
    // A client assertion has the client as its subject, and is no request (RFC 9101 §10.8).
    if object.string("sub").map_err(refused)? == Some(client_id) {
        return Err(refused("its sub is the client_id, as in a client assertion"));
    }
    if client.is_fapi2() {
        if object.timestamp("nbf").map_err(refused)?.is_none() {
            return Err(refused(ClaimError::Missing("nbf")));
        }
        return object.check_times(now, LEEWAY, Some(FAPI_LIFETIME)).map_err(refused);
    }
    // RFC 9101 asks for no expiry; where there is one, it counts.
    if object.timestamp("exp").map_err(refused)?.is_some() {
        return object.check_times(now, LEEWAY, None).map_err(refused);
    }
    for starts in ["nbf", "iat"] {
        if object.timestamp(starts).map_err(refused)?.is_some_and(|start| start > now + LEEWAY) {
            return Err(refused(ClaimError::NotYet));
        }
    }
    Ok(())
}

/// By its `jti`, where it has one. Nobody asks for it (RFC 9101 §4); who writes one means that it comes once.
fn single_use(state: &AppState, object: &Verified) -> Result<Option<SingleUse>, OAuthError> {
    if object.string("jti").map_err(refused)?.is_none() {
        return Ok(None);
    }
    let jti = object.required("jti").map_err(refused)?;
    if jti.len() > LONGEST_JTI {
        return Err(refused(ClaimError::Malformed("jti")));
    }
    let until = match object.timestamp("exp").map_err(refused)? {
        None => Some(state.platform.clock.now() + REMEMBERED),
        Some(exp) => DateTime::from_timestamp(exp + LEEWAY + 1, 0),
    };
    let until = until.ok_or_else(|| refused(ClaimError::Malformed("exp")))?;
    Ok(Some(SingleUse { jti: jti.to_owned(), until }))
}

/// The object's members as parameters: strings as they are, numbers, objects and arrays as JSON text, `resource`
/// repeated.
fn read(object: &Verified) -> Result<Vec<(String, String)>, OAuthError> {
    let mut parameters = vec![];
    for (name, value) in &object.claims {
        if REGISTERED.contains(&name.as_str()) {
            continue;
        }
        // RFC 9101 §4
        if name == "request" || name == "request_uri" {
            return Err(refused("a request object within the request object"));
        }
        match value {
            Value::Array(resources) if name == "resource" => {
                for resource in resources {
                    let resource = resource.as_str().ok_or_else(|| refused("a resource is not a string"))?;
                    parameters.push((name.clone(), resource.to_owned()));
                }
            }
            Value::String(text) => parameters.push((name.clone(), text.clone())),
            // max_age, claims, authorization_details (RFC 9101 §4: JSON types of their own).
            Value::Number(_) | Value::Object(_) | Value::Array(_) => parameters.push((name.clone(), value.to_string())),
            // None of our parameters is one of these.
            Value::Null | Value::Bool(_) if PARAMETERS.contains(&name.as_str()) => {
                return Err(refused("a parameter is neither text nor number nor JSON"));
            }
            // What is not understood is ignored (RFC 6749 §3.1).
            Value::Null | Value::Bool(_) => {}
        }
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use shared::jose::testing::Signer;

    use super::*;

    fn verified(claims: &str) -> Option<Verified> {
        let signer = Signer::hmac(&[7; 32]);
        let token = signer.sign_text(&signer.header("").to_string(), claims);
        Unverified::parse(&token, LONGEST).ok()?.verify_hmac(&[7; 32]).ok()
    }

    #[test]
    fn members_become_parameters_and_the_jwts_own_do_not__rfc9101_4() {
        let claims = json!({
            "iss": "a", "aud": "b", "exp": 1, "jti": "x", "client_id": "a", "max_age": 60,
            "claims": {"id_token": {"auth_time": {"essential": true}}}, "resource": ["https://a.example", "https://b.example"],
        });
        let mut parameters = read(&verified(&claims.to_string()).unwrap()).unwrap();
        parameters.sort();
        let expected = [
            ("claims", r#"{"id_token":{"auth_time":{"essential":true}}}"#),
            ("client_id", "a"),
            ("max_age", "60"),
            ("resource", "https://a.example"),
            ("resource", "https://b.example"),
        ];
        assert_eq!(parameters, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_not_understood_is_ignored_whatever_it_is__rfc6749_3_1() {
        let claims = json!({"state": "x", "x-flag": true, "x-nothing": null});
        let parameters = read(&verified(&claims.to_string()).unwrap()).unwrap();
        assert_eq!(parameters, [("state".to_owned(), "x".to_owned())]);
    }

    #[test]
    fn nothing_nests_and_nothing_is_guessed__rfc9101_4() {
        for claims in [
            json!({"request": "x"}),
            json!({"request_uri": "urn:x"}),
            json!({"state": true}),
            json!({"state": null}),
            json!({"resource": [1]}),
        ] {
            let error = read(&verified(&claims.to_string()).unwrap()).unwrap_err();
            assert_eq!(error.code, Code::InvalidRequestObject, "{claims}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[ -~]{0,200}") {
            if let Ok(object) = Unverified::parse(&text, LONGEST) {
                let _ = check_type(&object);
            }
        }

        #[test]
        fn arbitrary_claims_never_panic_and_never_yield_a_nested_request(
            text in r#"\{("(request|state|max_age|resource|claims|iss)":("x"|1|null|\[1\]|\["y"\]|\{\}),?){0,4}\}"#
        ) {
            if let Some(object) = verified(&text)
                && let Ok(parameters) = read(&object)
            {
                prop_assert!(parameters.iter().all(|(name, _)| name != "request" && name != "iss"));
            }
        }
    }
}
