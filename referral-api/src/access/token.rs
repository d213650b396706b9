//! The token itself: an `at+jwt` of our issuer for us (RFC 9068 §4), still valid, and whose it is.

use std::sync::Arc;

use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use shared::ids::UserId;
use shared::platform::seldom;
use shared::problem::Problem;
use shared::revocations::Kind;

use super::challenge::Refusal;
use super::details::Details;
use super::presented::Scheme;
use crate::jwks::{ALGORITHMS, NoKey};
use crate::state::AppState;

/// Clocks differ; seconds.
pub const LEEWAY: i64 = 5;
/// Longer than any token of ours, far below what costs anything to look at.
const LONGEST: usize = 8192;

/// What a valid access token says.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The person it speaks for; absent for a client that speaks for itself (client_credentials).
    pub user: Option<UserId>,
    pub subject: String,
    pub client_id: String,
    /// Does its `sub` name the person for one sector only (OpenID Connect Core §8.1)?
    pub is_pairwise: bool,
    /// When the person signed in; seconds since the epoch.
    pub auth_time: Option<i64>,
    /// How (OpenID Connect Core §2).
    pub acr: Option<String>,
    /// Separated by spaces (RFC 6749 §3.3).
    scope: String,
    /// What it allows on the person's own referral codes, where it says more than a scope can (RFC 9396).
    pub(super) details: Option<Details>,
    /// How it came, for what may still be said of it.
    pub(super) scheme: Scheme,
}

impl AccessToken {
    pub(super) fn new(claims: &Claims, user: Option<UserId>, scheme: Scheme) -> Self {
        Self {
            user,
            scheme,
            is_pairwise: user.is_some() && claims.sub.parse::<UserId>().is_err(),
            subject: claims.sub.clone(),
            client_id: claims.client_id.clone(),
            auth_time: claims.auth_time,
            acr: claims.acr.clone(),
            details: Details::of(&claims.authorization_details),
            scope: claims.scope.clone(),
        }
    }

    pub fn has_scope(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|one| one == scope)
    }

    /// Does a path that says `id` mean the person it speaks for? `me`, or the `sub`. Who knows them by a pairwise `sub` is
    /// not told whether another id is theirs, or two clients could find out whom they both know (OpenID Connect Core
    /// §8.1).
    pub fn names(&self, id: &str) -> bool {
        match (self.user, self.is_pairwise) {
            (None, _) => false,
            _ if id == "me" => true,
            (_, true) => id == self.subject,
            (Some(user), false) => id.parse().is_ok_and(|id: UserId| id == user),
        }
    }

    /// Whom to count under: a person is one person, by however many pairwise names.
    pub fn counted_as(&self) -> String {
        self.user.map_or_else(|| self.subject.clone(), |user| user.to_string())
    }
}

/// The claims that are looked at (RFC 9068 §2.2).
#[derive(Deserialize)]
pub struct Claims {
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
    auth_time: Option<i64>,
    acr: Option<String>,
    #[serde(default)]
    authorization_details: Vec<serde_json::Value>,
    pub cnf: Option<Confirmation>,
}

/// Whose the token is, by the key they hold (RFC 7800 §3.1). A way of confirming that is not known here makes the token
/// useless, not free for all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The thumbprint of a DPoP key (RFC 9449 §6.1).
    pub jkt: Option<String>,
    /// The thumbprint of a client certificate (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256")]
    pub x5t_s256: Option<String>,
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

const INVALID: Refusal = Refusal::Invalid("the access token is not valid");

/// RFC 9068 §4, in its order; every check also where the signature already vouches for it. A signature that was verified
/// is not verified again while its key is the issuer's ([`super::verified`]); whatever time or others can change is
/// looked at on every request.
pub async fn validate(token: &str, state: &AppState) -> Result<Arc<Claims>, Refusal> {
    if token.len() > LONGEST {
        return Err(INVALID);
    }
    let claims = match state.verified().get(token, state.keys()) {
        Some(claims) => claims,
        None => seldom(verify(token, state)).await?,
    };
    check(&claims, state)?;
    Ok(claims)
}

/// Header and signature, the costly part: what they say of a token does not change while the key is there.
async fn verify(token: &str, state: &AppState) -> Result<Arc<Claims>, Refusal> {
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
    let claims = Arc::new(claims);
    // One that is of no use here is refused before it is kept: it would take the place of one that is.
    check(&claims, state)?;
    state.verified().keep(token, id, &key, &claims);
    Ok(claims)
}

/// What the token says of itself, against our configuration and our clock.
fn check(claims: &Claims, state: &AppState) -> Result<(), Refusal> {
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
    Ok(())
}

/// The person a token speaks for. Client ids are never UUIDs, so a client that speaks for itself can't be taken for a
/// person (RFC 9068 §5); what is neither is pairwise.
pub async fn user(claims: &Claims, state: &AppState) -> Result<Option<UserId>, Refusal> {
    if claims.sub == claims.client_id {
        return Ok(None);
    }
    if let Ok(user) = claims.sub.parse() {
        return Ok(Some(user));
    }
    match seldom(state.pairwise_subject(&claims.sub)).await {
        Ok(Some(user)) => Ok(Some(user)),
        // Its row goes with the account.
        Ok(None) => Err(Refusal::Invalid("the account is gone")),
        Err(error) => Err(Refusal::Problem(error.into())),
    }
}

/// Was the token ended before its time? People are listed by their account's id, and by every `sub` they have.
pub fn refuse_revoked(claims: &Claims, user: Option<UserId>, state: &AppState) -> Result<(), Refusal> {
    let user = user.map(|user| user.to_string());
    let named = [
        Some((Kind::User, claims.sub.as_str())),
        user.as_deref().filter(|id| *id != claims.sub).map(|id| (Kind::User, id)),
        Some((Kind::Token, claims.jti.as_str())),
        claims.grant_id.as_deref().map(|id| (Kind::Grant, id)),
        claims.sid.as_deref().map(|id| (Kind::Session, id)),
    ];
    let revocations = &state.platform().revocations;
    if revocations.contains(named.into_iter().flatten()) || revocations.ended(&claims.client_id, claims.iat) {
        return Err(Refusal::Invalid("the access token has been revoked"));
    }
    Ok(())
}
