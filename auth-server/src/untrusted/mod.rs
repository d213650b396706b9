//! What the parsers of untrusted input promise, one file a parser. Each function takes a stranger's bytes, hands them to
//! the parser as an endpoint would, and panics where a promise is broken: whatever is accepted keeps its rule, whatever is
//! not is refused and nothing worse. The property tests and the fuzz targets (`fuzz/fuzz_targets`, each named like its
//! file here) call the same functions, on the same seeds (`fuzz/seeds`).
//!
//! They tell whether the input was accepted, so that who makes inputs knows that they get through.

mod authorization_request;
mod client_assertion;
mod client_metadata;
mod redirect_uri;
mod request_object;
mod token_request;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{header, request};
use futures::FutureExt;
use jsonwebtoken::Algorithm;
use serde_json::Value;
use shared::jose::testing::Signer;
use shared::untrusted::{no_member_twice, split_line};
use url::form_urlencoded;

use crate::clients::{Client, ClientMetadata, Origin, TOKEN_EXCHANGE};
use crate::protocol::authorization_details;
use crate::protocol::error::OAuthError;
use crate::protocol::request::Parameters;

pub use authorization_request::authorization_request;
pub use client_assertion::client_assertion;
pub use client_metadata::client_metadata;
pub use redirect_uri::redirect_uri;
pub use request_object::request_object;
pub use token_request::token_request;

const ISSUER: &str = "https://id.example.com";
const NOW: i64 = 1_700_000_000;

static EC: LazyLock<Signer> = LazyLock::new(|| Signer::new(Algorithm::ES256));
static ED: LazyLock<Signer> = LazyLock::new(|| Signer::new(Algorithm::EdDSA));
static STRANGER: LazyLock<Signer> = LazyLock::new(|| Signer::new(Algorithm::EdDSA));
/// Where a secret is shared, it is this one. It is also what an attacker would sign with who takes a public key for a
/// secret (RFC 8725 §2.1).
static SECRET: LazyLock<Vec<u8>> = LazyLock::new(|| ED.jwk().to_string().into_bytes());
static MAC: LazyLock<Signer> = LazyLock::new(|| Signer::hmac(&SECRET));

/// A token with this header and these claims, signed with the key that the header's algorithm asks for.
fn signed(header: &str, claims: &str) -> String {
    let signer = if header.contains("HS256") {
        &*MAC
    } else if header.contains("ES256") {
        &*EC
    } else {
        &*ED
    };
    signer.sign_text(header, claims)
}

/// A header, and the claims that follow it: as two lines of text.
fn header_and_claims(data: &[u8]) -> Option<(&str, &str)> {
    let (header, claims) = split_line(data);
    Some((std::str::from_utf8(header).ok()?, std::str::from_utf8(claims).ok()?))
}

/// The keys that [`signed`] signs with, as their client registered them.
fn keys() -> Value {
    serde_json::json!({ "keys": [EC.jwk(), ED.jwk()] })
}

/// The client that sends it all.
fn client(auth_method: &str) -> Client {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Client {
        client_id: "app".into(),
        name: "App".into(),
        secret_hash: None,
        sealed_secret: None,
        origin: Origin::Registered,
        first_party: false,
        metadata: ClientMetadata {
            redirect_uris: texts(&["https://app.example/callback", "http://127.0.0.1/cb", "com.example.app:/cb"]),
            grant_types: texts(&["authorization_code", "refresh_token", "client_credentials"]),
            scopes: texts(&["openid", "email", "referral-codes:read"]),
            token_endpoint_auth_method: auth_method.into(),
            authorization_details_types: texts(&["referral_code"]),
            ..ClientMetadata::default()
        },
        revision: 1,
        used_at: None,
        created_at: chrono::DateTime::UNIX_EPOCH,
    }
}

fn form(path: &str) -> request::Builder {
    Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
}

/// The parameters of a request, as the endpoints' extractor reads them.
fn parameters(request: request::Builder, body: &[u8]) -> Result<Parameters, OAuthError> {
    let request = request.body(Body::from(body.to_vec())).expect("a request");
    Parameters::from_request(request, &()).now_or_never().expect("there is nothing to wait for")
}

/// What a request names, in order.
fn names(parameters: &Parameters) -> BTreeSet<&str> {
    parameters.names().collect()
}

/// RFC 6749 §3.1, §3.2: each parameter that was sent was read, and was there once. Only `resource` may come again
/// (RFC 8707 §2), and `audience` in a token exchange (RFC 8693 §2.1). `sent` is the form as any other reader sees it.
fn each_was_read_once(parameters: &Parameters, sent: &[u8]) {
    let sent: Vec<(Cow<'_, str>, Cow<'_, str>)> = form_urlencoded::parse(sent).collect();
    let named = |name: &str| -> Vec<&str> { sent.iter().filter(|(n, _)| n == name).map(|(_, v)| &**v).collect() };
    assert_eq!(sent.len(), parameters.names().count() + parameters.resource.len() + parameters.audience.len());
    for name in parameters.names() {
        let values = named(name);
        assert_eq!(values.len(), 1, "{name:?} was there more than once");
        assert_eq!(parameters.get(name).as_deref().unwrap_or_default(), values[0], "{name:?}");
    }
    assert_eq!(parameters.resource, named("resource"));
    assert_eq!(parameters.audience, named("audience"));
    assert!(parameters.audience.len() < 2 || parameters.get("grant_type").as_deref() == Some(TOKEN_EXCHANGE));
    assert!(sent.iter().all(|(name, value)| !name.contains('\0') && !value.contains('\0')), "PostgreSQL has no NUL");
    assert_eq!(parameters.get("a parameter that nobody sends"), None);
}

/// RFC 9396 §5: what is read of `authorization_details` is all there is, and is written back as it is meant. `false` when
/// it is refused.
fn details_hold(parameters: &Parameters) -> bool {
    let Some(text) = parameters.get("authorization_details") else { return true };
    let Ok(details) = authorization_details::parse(&text) else { return false };
    let wrapped = format!("{{\"details\":{text}}}");
    no_member_twice(wrapped.as_bytes(), &serde_json::from_str(&wrapped).expect("what is accepted is JSON"));
    let written = authorization_details::written(&details).expect("what was read can be written");
    let again = Value::from(written).to_string();
    assert_eq!(authorization_details::parse(&again).expect("what was written can be read"), details);
    (1..=10).contains(&details.len())
}

/// Is every one of them registered, and none there twice?
fn is_within(scope: &[String], client: &Client) -> bool {
    let distinct = scope.iter().enumerate().all(|(index, one)| !scope[..index].contains(one));
    distinct && scope.iter().all(|one| client.metadata.scopes.contains(one))
}
