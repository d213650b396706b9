//! Requests that are nearly right: the parameters of a right one, with a few of them replaced, added or there twice.

use proptest::prelude::*;
use proptest::sample::select;

/// The parameters of authorization requests.
pub const AUTHORIZATION: [&str; 22] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "response_mode",
    "nonce",
    "display",
    "prompt",
    "max_age",
    "ui_locales",
    "id_token_hint",
    "login_hint",
    "acr_values",
    "claims",
    "registration",
    "request",
    "request_uri",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "authorization_details",
];

/// Values of theirs, and what an attacker would put there.
pub const AUTHORIZATION_VALUES: [&str; 24] = [
    "code",
    "code id_token",
    "https://app.example/callback",
    "https://evil.example/callback",
    "//evil.example",
    "https://app.example/callback@evil.example",
    "javascript:alert(1)",
    "https://app.example/callback#x",
    "openid",
    "openid email",
    "none",
    "login consent",
    "query",
    "fragment",
    "form_post",
    "form_post.jwt",
    "jwt",
    "S256",
    "plain",
    "0",
    "{}",
    r#"{"id_token":{"acr":{"essential":true,"values":["x"]}}}"#,
    "a.b.c",
    "\r\nLocation: https://evil.example",
];

/// A parameter that is changed.
#[derive(Clone, Debug)]
pub struct Change {
    name: String,
    value: String,
    /// Beside what is there of that name, or in its place.
    beside: bool,
}

/// Changes of parameters with these names, to one of `values` or to anything.
pub fn changes(names: &[&str], values: &[&str]) -> impl Strategy<Value = Vec<Change>> + use<> {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let value = prop_oneof![
        4 => select(owned(values)),
        1 => any::<String>(),
        1 => "[{}\\[\\]\":,a-z0-9 ]{0,40}",
    ];
    let change = (select(owned(names)), value, proptest::bool::weighted(0.15));
    proptest::collection::vec(change.prop_map(|(name, value, beside)| Change { name, value, beside }), 0..6)
}

/// The parameters of `right`, changed.
pub fn changed<'p>(right: &[(&'p str, &'p str)], changes: &'p [Change]) -> Vec<(&'p str, &'p str)> {
    let mut parameters = right.to_vec();
    for Change { name, value, beside } in changes {
        if !beside {
            parameters.retain(|(known, _)| known != name);
        }
        parameters.push((name, value));
    }
    parameters
}
