//! Grants, scopes, and the way to authenticate: each known, and fitting each other (RFC 7591 §2.1).

use shared::config::Config;

use super::Fault;
use super::certificates::mtls_auth_methods;
use crate::clients::metadata::{
    AUTH_METHODS, AUTHORIZATION_DETAILS_TYPES, DEVICE_CODE, GRANT_TYPES, JWT_BEARER, SCOPES, TOKEN_EXCHANGE,
};
use crate::clients::{NewClient, Origin, ResponseMode};

/// The grants that a client nobody vouched for may use. A password is typed into our own apps only, and whoever asserts
/// who somebody is, or trades tokens, is let in by the operator.
const FOR_ANYBODY: &[&str] = &["authorization_code", "refresh_token", "client_credentials", DEVICE_CODE];

/// Scopes by which a client does what is the operator's: in the name of an administrator, or in its own.
const OURS: &[&str] = &["referrals:admin", "referrals:manage", "webhooks:manage"];

/// Is this scope for our own apps only?
pub(in crate::clients) fn is_first_party_scope(scope: &str) -> bool {
    scope.starts_with("account:") || OURS.contains(&scope)
}

/// Each word that means nothing here, and the first rule that is broken.
pub(super) fn check(client: &NewClient, config: &Config) -> Vec<Fault> {
    let metadata = &client.metadata;
    let method = std::slice::from_ref(&metadata.token_endpoint_auth_method);
    let auth_methods = [AUTH_METHODS, &mtls_auth_methods(config)].concat();
    let types = &metadata.authorization_details_types;
    let checked = [
        known("grant_types", "grant", &metadata.grant_types, GRANT_TYPES),
        known("scope", "scope", &metadata.scopes, SCOPES),
        known("authorization_details_types", "type of authorization details", types, AUTHORIZATION_DETAILS_TYPES),
        known("response_modes", "response mode", &metadata.response_modes, &ResponseMode::NAMES),
        known("token_endpoint_auth_method", "auth method", method, &auth_methods),
        fit(client),
    ];
    checked.into_iter().filter_map(Result::err).collect()
}

/// Do they fit each other, and the client?
fn fit(client: &NewClient) -> Result<(), Fault> {
    let metadata = &client.metadata;
    let method = &metadata.token_endpoint_auth_method;
    let has = |grant: &str| metadata.grant_types.iter().any(|g| g == grant);
    let fault = |reason: &str| Err(Fault::new("grant_types", reason));
    if metadata.grant_types.is_empty() {
        return fault("name at least one grant, such as authorization_code: a client without one can get no token");
    }
    if let Some(beyond) =
        metadata.grant_types.iter().find(|g| client.origin != Origin::Operator && !FOR_ANYBODY.contains(&g.as_str()))
    {
        return fault(&format!("the grant {beyond} is registered by the operator only"));
    }
    if client.origin == Origin::Document && has("client_credentials") {
        return fault("client_credentials is not for clients that are known by a document");
    }
    if has("password") && !client.first_party {
        return fault("the password grant is for first-party clients only (--first-party)");
    }
    if has("client_credentials") && method == "none" {
        return fault("a public client can't use client_credentials: it has no secret (RFC 6749 §4.4)");
    }
    if has(TOKEN_EXCHANGE) && method == "none" {
        return fault("a public client can't exchange tokens: anybody could in its name (RFC 8693 §5)");
    }
    if has(JWT_BEARER) {
        if !client.first_party {
            return fault("the JWT bearer grant is for first-party clients only (--first-party)");
        }
        if method == "none" {
            return fault("a public client can't use the JWT bearer grant: it has no key of its own (RFC 7523 §2.1)");
        }
        if metadata.jwks.is_none() && metadata.jwks_uri.is_none() {
            return fault("the JWT bearer grant needs jwks or jwks_uri: the keys to verify assertions with");
        }
    }
    if has("refresh_token") && metadata.grant_types.iter().all(|g| g == "refresh_token" || g == "client_credentials") {
        return fault("refresh_token alone gives nothing; add a grant in which a person takes part");
    }
    if client.origin == Origin::Document && method.starts_with("client_secret_") {
        let reason =
            "there is no secret to share with a client that is known by a document; use none or private_key_jwt";
        return Err(Fault::new("token_endpoint_auth_method", reason));
    }
    if let Some(beyond) = metadata.scopes.iter().find(|s| is_first_party_scope(s)).filter(|_| !client.first_party) {
        let reason = match client.origin {
            Origin::Operator => format!("the scope {beyond} is for first-party clients only (--first-party)"),
            _ => format!("the scope {beyond} is for the operator's own apps; leave it out"),
        };
        return Err(Fault::new("scope", reason));
    }
    Ok(())
}

/// Refuses what is not among `there_are`.
pub(super) fn known(member: &'static str, what: &str, given: &[String], there_are: &[&str]) -> Result<(), Fault> {
    match given.iter().find(|value| !there_are.contains(&value.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let unknown: String = unknown.chars().take(60).collect();
            Err(Fault::new(member, format!("there is no {what} {unknown:?}; there are: {}", there_are.join(", "))))
        }
    }
}
