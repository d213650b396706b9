//! Access tokens: [`Bearer`] (anyone with the scope) and [`Person`] (a person with the scope) validate an `at+jwt`
//! (RFC 9068 §4) from the `Authorization` header (RFC 6750 §2.1) and answer as RFC 6750 §3 says.

use std::collections::HashSet;
use std::marker::PhantomData;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use shared::ids::UserId;
use shared::problem::Problem;
use shared::revocations::Kind;

use crate::jwks::{ALGORITHMS, NoKey};
use crate::state::AppState;

/// Clocks differ; seconds.
const LEEWAY: i64 = 5;
/// Longer than any token of ours, far below what costs anything to look at.
const LONGEST: usize = 8192;

/// A scope that a route asks for.
pub trait Scope: Send + Sync + 'static {
    const NAME: &'static str;
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $scope:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Scope for $name {
            const NAME: &'static str = $scope;
        }
    )*};
}

scopes! {
    ReadCodes = "referral-codes:read";
    WriteCodes = "referral-codes:write";
    ReadReferrals = "referrals:read";
}

/// Lets an administrator read the referrals of others.
pub const ADMIN_SCOPE: &str = "referrals:admin";

/// What a valid access token says.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The person it speaks for; absent for a client that speaks for itself (client_credentials).
    pub user: Option<UserId>,
    pub subject: String,
    pub client_id: String,
    scopes: HashSet<String>,
}

impl AccessToken {
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }
}

/// A caller whose token has the scope `S`: a person, or a client that speaks for itself. As an `Option` it is `None`
/// for requests without credentials; bad ones are refused all the same.
#[derive(Clone, Debug)]
pub struct Bearer<S> {
    pub token: AccessToken,
    scope: PhantomData<S>,
}

/// A person whose token has the scope `S`.
#[derive(Clone, Debug)]
pub struct Person<S> {
    pub user: UserId,
    pub token: AccessToken,
    scope: PhantomData<S>,
}

/// The claims that are looked at (RFC 9068 §2.2).
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    jti: String,
    client_id: String,
    #[serde(default)]
    scope: String,
    sid: Option<String>,
    grant_id: Option<String>,
    cnf: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

/// Why a request has no valid token.
#[derive(Debug)]
enum Refusal {
    NoToken,
    /// RFC 6750 §3.1 `invalid_request`.
    Malformed(&'static str),
    /// RFC 6750 §3.1 `invalid_token`.
    Invalid(&'static str),
    /// RFC 6750 §3.1 `insufficient_scope`.
    Scope(&'static str),
    /// The issuer's keys or the database are out of reach.
    Problem(Problem),
}

impl<S: Scope> FromRequestParts<AppState> for Bearer<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let token = authorize(&parts.headers, S::NAME, state).await.map_err(|refusal| answer(refusal, state))?;
        Ok(Self { token, scope: PhantomData })
    }
}

impl<S: Scope> OptionalFromRequestParts<AppState> for Bearer<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Option<Self>, Problem> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        <Self as FromRequestParts<AppState>>::from_request_parts(parts, state).await.map(Some)
    }
}

impl<S: Scope> FromRequestParts<AppState> for Person<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Bearer { token, .. } = <Bearer<S> as FromRequestParts<AppState>>::from_request_parts(parts, state).await?;
        let Some(user) = token.user else {
            return Err(Problem::forbidden().with_detail("this needs a token that speaks for a person"));
        };
        Ok(Self { user, token, scope: PhantomData })
    }
}

/// 401 as for a request without a token, for routes whose token is optional by configuration.
pub fn token_needed(state: &AppState) -> Problem {
    answer(Refusal::NoToken, state)
}

/// 401 as for a token that is not valid: its person is gone.
pub fn account_gone(state: &AppState) -> Problem {
    answer(Refusal::Invalid("the account is gone"), state)
}

async fn authorize(headers: &HeaderMap, scope: &'static str, state: &AppState) -> Result<AccessToken, Refusal> {
    let token = validate(presented(headers)?, state).await?;
    if let Some(user) = token.user
        && !state.user_exists(user).await.map_err(|error| Refusal::Problem(error.into()))?
    {
        return Err(Refusal::Invalid("the account is gone"));
    }
    if !token.has_scope(scope) {
        return Err(Refusal::Scope(scope));
    }
    Ok(token)
}

/// The token in the one `Authorization` header. Tokens in the query or the body are not looked at (RFC 6750 §2.2, §2.3
/// leave both to the server, and either ends up in logs).
fn presented(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::NoToken)?;
    if values.next().is_some() {
        return Err(Refusal::Malformed("more than one Authorization header"));
    }
    let text = value.to_str().map_err(|_| Refusal::Malformed("the Authorization header is not ASCII"))?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        // Another scheme is no attempt at this one.
        return Err(Refusal::NoToken);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() {
        return Err(Refusal::Malformed("the Authorization header has no token"));
    }
    Ok(token)
}

/// RFC 9068 §4, in its order; every check also where the signature already vouches for it.
async fn validate(token: &str, state: &AppState) -> Result<AccessToken, Refusal> {
    const INVALID: Refusal = Refusal::Invalid("the access token is not valid");
    if token.len() > LONGEST {
        return Err(INVALID);
    }
    let header = decode_header(token).map_err(|_| INVALID)?;
    let typ = header.typ.as_deref().unwrap_or_default();
    let typ_fits = ["at+jwt", "application/at+jwt"].iter().any(|fitting| typ.eq_ignore_ascii_case(fitting));
    // An extension that must be understood (RFC 7515 §4.1.11) is not: we know none.
    if !typ_fits || header.crit.is_some() || !ALGORITHMS.contains(&header.alg) {
        return Err(INVALID);
    }
    let id = header.kid.as_deref().ok_or(INVALID)?;
    let key = state.keys().find(id).await.map_err(|no_key| match no_key {
        NoKey::Unknown => INVALID,
        NoKey::Unavailable => Refusal::Problem(Problem::unavailable()),
    })?;
    if key.algorithm != header.alg {
        return Err(INVALID);
    }
    let mut signature_only = Validation::new(key.algorithm);
    // The library would read the machine's clock; the claims are checked below, against ours.
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_nbf = false;
    signature_only.validate_aud = false;
    let claims = decode::<Claims>(token, &key.verifier, &signature_only).map_err(|_| INVALID)?.claims;

    let platform = state.platform();
    if claims.iss != platform.config.issuer().as_str() {
        return Err(INVALID);
    }
    if !claims.aud.contains(platform.config.api.public_url.as_str()) {
        return Err(Refusal::Invalid("the access token is for another audience"));
    }
    let now = platform.clock.timestamp();
    if now >= claims.exp.saturating_add(LEEWAY) {
        return Err(Refusal::Invalid("the access token has expired"));
    }
    let latest_start = now.saturating_add(LEEWAY);
    if claims.nbf.is_some_and(|nbf| nbf > latest_start) || claims.iat > latest_start {
        return Err(Refusal::Invalid("the access token is not valid yet"));
    }
    // Bound to a key that this request does not prove (RFC 7800, RFC 9449 §7.2).
    if claims.cnf.is_some() {
        return Err(INVALID);
    }
    let named = [
        Some((Kind::User, claims.sub.as_str())),
        Some((Kind::Client, claims.client_id.as_str())),
        Some((Kind::Token, claims.jti.as_str())),
        claims.grant_id.as_deref().map(|id| (Kind::Grant, id)),
        claims.sid.as_deref().map(|id| (Kind::Session, id)),
    ];
    if platform.revocations.contains(named.into_iter().flatten()) {
        return Err(Refusal::Invalid("the access token has been revoked"));
    }
    // Client ids are never UUIDs, so a client that speaks for itself can't be taken for a person (RFC 9068 §5).
    let user = if claims.sub == claims.client_id { None } else { claims.sub.parse().ok() };
    Ok(AccessToken {
        user,
        subject: claims.sub,
        client_id: claims.client_id,
        scopes: claims.scope.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
    })
}

/// The problem document and its challenge (RFC 6750 §3, RFC 9728 §5.1).
fn answer(refusal: Refusal, state: &AppState) -> Problem {
    let api = &state.platform().config.api.public_url;
    let metadata = format!("resource_metadata=\"{}\"", api.join("/.well-known/oauth-protected-resource"));
    let realm = format!("Bearer realm=\"{api}\"");
    let (problem, challenge) = match refusal {
        Refusal::Problem(problem) => return problem,
        // RFC 6750 §3.1: no error code for a request that did not try.
        Refusal::NoToken => (
            Problem::unauthorized().with_detail("send an access token: Authorization: Bearer …"),
            format!("{realm}, {metadata}"),
        ),
        Refusal::Malformed(detail) => (
            Problem::malformed(detail),
            format!("{realm}, error=\"invalid_request\", error_description=\"{detail}\", {metadata}"),
        ),
        Refusal::Invalid(detail) => (
            Problem::unauthorized().with_detail(detail),
            format!("{realm}, error=\"invalid_token\", error_description=\"{detail}\", {metadata}"),
        ),
        Refusal::Scope(scope) => (
            Problem::new(StatusCode::FORBIDDEN, "insufficient-scope", "The access token does not allow this")
                .with_detail(format!("this needs the scope {scope}")),
            format!("{realm}, error=\"insufficient_scope\", scope=\"{scope}\", {metadata}"),
        ),
    };
    match HeaderValue::try_from(challenge) {
        Ok(challenge) => problem.with_header(WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}
