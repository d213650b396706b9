//! Claims about people (OpenID Connect Core §5): which scope holds which, what an account says of each, and which were
//! asked for one by one (§5.5).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shared::users::User;

use crate::clients::Client;

/// What each scope asks for (OpenID Connect Core §5.4).
pub const SCOPE_CLAIMS: [(&str, &[&str]); 4] = [
    (
        "profile",
        &[
            "name",
            "given_name",
            "family_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
    ),
    ("email", &["email", "email_verified"]),
    ("address", &["address"]),
    ("phone", &["phone_number", "phone_number_verified"]),
];

/// Claims asked for by name, beyond what the scope holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestedClaims {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub userinfo: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id_token: Vec<String>,
}

impl RequestedClaims {
    pub fn is_empty(&self) -> bool {
        self.userinfo.is_empty() && self.id_token.is_empty()
    }

    /// Every claim that is asked for, some perhaps twice.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.userinfo.iter().chain(&self.id_token).map(String::as_str)
    }
}

/// The scope that stands for a claim. `None` for claims that are not about the person, or that we do not have.
pub fn scope_of(claim: &str) -> Option<&'static str> {
    SCOPE_CLAIMS.iter().find(|(_, claims)| claims.contains(&claim)).map(|(scope, _)| *scope)
}

/// Of the claims that were asked for by name, those that the client's registration still lets it ask for.
pub fn registered(named: &[String], client: &Client) -> Vec<String> {
    let scopes = &client.metadata.scopes;
    let may_ask = |name: &&String| scope_of(name).is_some_and(|scope| scopes.iter().any(|s| s == scope));
    named.iter().filter(may_ask).cloned().collect()
}

/// What `user`'s account says: the claims of `scopes` and those in `named`. What is not known is left out (§5.3.2).
pub fn about(user: &User, scopes: &[String], named: &[String]) -> Map<String, Value> {
    let profile = &user.profile.0;
    let all = json!({
        "name": user.display_name(),
        "given_name": user.given_name,
        "family_name": user.family_name,
        "middle_name": profile.middle_name,
        "nickname": profile.nickname,
        "preferred_username": profile.preferred_username,
        "profile": profile.profile,
        "picture": profile.picture,
        "website": profile.website,
        "gender": profile.gender,
        "birthdate": profile.birthdate,
        "zoneinfo": profile.zoneinfo,
        "locale": user.locale,
        "updated_at": user.updated_at.timestamp(),
        "email": user.email,
        "email_verified": user.email_verified_at.is_some(),
        "address": profile.address,
        "phone_number": profile.phone_number,
        // Nobody rings there.
        "phone_number_verified": profile.phone_number.as_ref().map(|_| false),
    });
    let Value::Object(mut claims) = all else { return Map::new() };
    claims.retain(|name, value| {
        let by_scope = scope_of(name).is_some_and(|scope| scopes.iter().any(|s| s == scope));
        !value.is_null() && (by_scope || named.contains(name))
    });
    claims
}
