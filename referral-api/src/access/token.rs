//! The token itself: an `at+jwt` of our issuer for us (RFC 9068 §4), still valid, and whose it is.

use std::sync::Arc;

use jsonwebtoken::{Validation, decode, decode_header};
use serde::{Deserialize, Deserializer};
use shared::ids::UserId;
use shared::platform::seldom;
use shared::problem::Problem;
use shared::revocations::Kind;

use super::challenge::Refusal;
use super::details::Details;
use super::presented::Scheme;
use super::verified::Known;
use crate::jwks::{ALGORITHMS, NoKey};
use crate::state::AppState;

/// Clocks differ; seconds.
pub const LEEWAY: i64 = 5;
/// Longer than any token of ours, far below what costs anything to look at.
const LONGEST: usize = 8192;

/// A valid access token.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The person it speaks for; absent for a client that speaks for itself (client_credentials).
    pub user: Option<UserId>,
    known: Arc<Known>,
    /// How it came, for what may still be said of it.
    pub(super) scheme: Scheme,
}

impl AccessToken {
    pub(super) fn new(known: Arc<Known>, user: Option<UserId>, scheme: Scheme) -> Self {
        Self { user, known, scheme }
    }

    fn claims(&self) -> &Claims {
        &self.known.claims
    }

    pub fn subject(&self) -> &str {
        &self.claims().sub
    }

    pub fn client_id(&self) -> &str {
        &self.claims().client_id
    }

    /// Does its `sub` name the person for one sector only (OpenID Connect Core §8.1)?
    pub fn is_pairwise(&self) -> bool {
        self.user.is_some() && self.known.whose == Whose::Pairwise
    }

    /// When the person signed in; seconds since the epoch.
    pub fn auth_time(&self) -> Option<i64> {
        self.claims().auth_time
    }

    /// How (OpenID Connect Core §2).
    pub fn acr(&self) -> Option<&str> {
        self.claims().acr.as_deref()
    }

    /// What it allows on the person's own referral codes, where it says more than a scope can (RFC 9396).
    pub(super) fn details(&self) -> Option<&Details> {
        self.claims().details.as_ref()
    }

    pub fn has_scope(&self, scope: &str) -> bool {
        self.claims().scope.split(' ').any(|one| one == scope)
    }

    /// Does a path that says `id` mean the person it speaks for? `me`, or the `sub`. Who knows them by a pairwise `sub` is
    /// not told whether another id is theirs, or two clients could find out whom they both know (OpenID Connect Core
    /// §8.1).
    pub fn names(&self, id: &str) -> bool {
        match (self.user, self.is_pairwise()) {
            (None, _) => false,
            _ if id == "me" => true,
            (_, true) => id == self.subject(),
            (Some(user), false) => id.parse().is_ok_and(|id: UserId| id == user),
        }
    }

    /// The caller's name among all others: a person is one person, by however many pairwise names.
    pub fn caller(&self) -> String {
        self.user.map_or_else(|| self.subject().to_owned(), |user| user.to_string())
    }

    /// The same for counting.
    pub fn counted_as(&self) -> &[u8] {
        self.user.as_ref().map_or_else(|| self.subject().as_bytes(), |user| user.0.as_bytes())
    }
}

/// The claims that are looked at (RFC 9068 §2.2).
#[derive(Debug, Deserialize)]
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
    #[serde(default, rename = "authorization_details", deserialize_with = "details")]
    details: Option<Details>,
    pub cnf: Option<Confirmation>,
}

/// Whose the token is, by the key they hold (RFC 7800 §3.1). A way of confirming that is not known here makes the token
/// useless, not free for all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The thumbprint of a DPoP key (RFC 9449 §6.1).
    pub jkt: Option<String>,
    /// The thumbprint of a client certificate (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256")]
    pub x5t_s256: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

fn details<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Details>, D::Error> {
    Vec::deserialize(deserializer).map(|claim: Vec<serde_json::Value>| Details::of(&claim))
}

/// Whom a token speaks for, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A client, for itself.
    Client,
    Person(UserId),
    /// A person who is known to the client by a name of their own (OpenID Connect Core §8.1).
    Pairwise,
}

impl Claims {
    /// Client ids are never UUIDs, so a client that speaks for itself can't be taken for a person (RFC 9068 §5); what is
    /// neither is pairwise.
    pub(super) fn whose(&self) -> Whose {
        if self.sub == self.client_id {
            return Whose::Client;
        }
        self.sub.parse().map_or(Whose::Pairwise, Whose::Person)
    }

    pub(super) fn has_ended(&self, now: i64) -> bool {
        now >= self.exp.saturating_add(LEEWAY)
    }
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
pub async fn validate(token: &str, state: &AppState) -> Result<Arc<Known>, Refusal> {
    if token.len() > LONGEST {
        return Err(INVALID);
    }
    let known = match state.verified().get(token, state.keys()) {
        Some(known) => known,
        None => seldom(verify(token, state)).await?,
    };
    check(&known.claims, state)?;
    Ok(known)
}

/// Header and signature, the costly part: what they say of a token does not change while the key is there.
async fn verify(token: &str, state: &AppState) -> Result<Arc<Known>, Refusal> {
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
    // One that is of no use here is refused before it is kept: it would take the place of one that is.
    check(&claims, state)?;
    Ok(state.verified().keep(token, id, &key, claims))
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
    if claims.has_ended(now) {
        return Err(Refusal::Invalid("the access token has expired"));
    }
    let latest_start = now.saturating_add(LEEWAY);
    if claims.nbf.is_some_and(|nbf| nbf > latest_start) || claims.iat > latest_start {
        return Err(Refusal::Invalid("the access token is not valid yet"));
    }
    Ok(())
}

/// The person a token speaks for.
pub async fn user(known: &Known, state: &AppState) -> Result<Option<UserId>, Refusal> {
    match known.whose {
        Whose::Client => Ok(None),
        Whose::Person(user) => Ok(Some(user)),
        Whose::Pairwise => match seldom(state.pairwise_subject(&known.claims.sub)).await {
            Ok(Some(user)) => Ok(Some(user)),
            // Its row goes with the account.
            Ok(None) => Err(Refusal::Invalid("the account is gone")),
            Err(error) => Err(Refusal::Problem(error.into())),
        },
    }
}

/// How long an account that was found is taken to exist, in microseconds. Its deletion lists it as revoked, which takes
/// effect within a second; this is for tokens of accounts that are gone for other reasons (a database put back).
const EXISTS_FOR: i64 = 5_000_000;

/// Is there still such an account?
pub async fn refuse_gone(known: &Known, user: UserId, state: &AppState) -> Result<(), Refusal> {
    let now = state.platform().clock.micros();
    if known.exists(now, EXISTS_FOR) {
        return Ok(());
    }
    match seldom(state.user_exists(user)).await {
        Ok(true) => {
            known.exists_until(now.saturating_add(EXISTS_FOR));
            Ok(())
        }
        Ok(false) => Err(Refusal::Invalid("the account is gone")),
        Err(error) => Err(Refusal::Problem(error.into())),
    }
}

/// Was the token ended before its time? People are listed by their account's id, and by every `sub` they have. The list
/// is looked through once for each version of it: whose a token is never changes.
pub fn refuse_revoked(known: &Known, user: Option<UserId>, state: &AppState) -> Result<(), Refusal> {
    let revocations = &state.platform().revocations;
    // Before it is looked through: what is added meanwhile is looked at the next time.
    let version = revocations.version();
    if known.is_unrevoked_in(version) {
        return Ok(());
    }
    let claims = &known.claims;
    let user = user.map(|user| user.to_string());
    let named = [
        Some((Kind::User, claims.sub.as_str())),
        user.as_deref().filter(|id| *id != claims.sub).map(|id| (Kind::User, id)),
        Some((Kind::Token, claims.jti.as_str())),
        claims.grant_id.as_deref().map(|id| (Kind::Grant, id)),
        claims.sid.as_deref().map(|id| (Kind::Session, id)),
    ];
    if revocations.contains(named.into_iter().flatten()) || revocations.ended(&claims.client_id, claims.iat) {
        return Err(Refusal::Invalid("the access token has been revoked"));
    }
    known.unrevoked_in(version);
    Ok(())
}
