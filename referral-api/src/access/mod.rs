//! Who calls: [`Caller`] (anyone with the scope) and [`Person`] (a person with the scope). Each check is a file of its
//! own; [`authorize`] is the order they come in, and [`challenge`] what they answer.

mod budget;
mod challenge;
mod details;
mod possession;
mod presented;
mod programme;
mod step_up;
mod token;
mod verified;
mod webhooks;

use std::marker::PhantomData;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use shared::ids::UserId;
use shared::problem::Problem;

use crate::state::AppState;
use challenge::{Refusal, answer};
use presented::{Presented, presented};

pub(crate) use budget::policy as budget_policy;
pub use budget::{RATE_LIMIT, RATE_LIMIT_POLICY};
pub use details::TYPE as DETAILS_TYPE;
pub use programme::{About, Manager, Reader};
pub use token::AccessToken;
pub use verified::Verified;
pub use webhooks::{ChangeWebhooks, SeeWebhooks, Webhooks};

/// A scope that a route asks for.
pub trait Scope: Send + Sync + 'static {
    const NAME: &'static str;
    /// May the caller change something with it? Then the sign-in behind the token may have to be recent or strong.
    const WRITES: bool;
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $scope:literal, writes: $writes:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Scope for $name {
            const NAME: &'static str = $scope;
            const WRITES: bool = $writes;
        }
    )*};
}

scopes! {
    ReadCodes = "referral-codes:read", writes: false;
    WriteCodes = "referral-codes:write", writes: true;
    ReadReferrals = "referrals:read", writes: false;
    /// Runs the programme: says which referrals qualify, are rejected, are reversed.
    Manage = "referrals:manage", writes: true;
    /// Has mails sent.
    Invite = "referral-codes:read", writes: true;
}

/// Lets an administrator read the referrals of others.
pub const ADMIN_SCOPE: &str = "referrals:admin";

/// A caller whose token has the scope `S`: a person, or a client that speaks for itself. As an `Option` it is `None`
/// for requests without credentials; bad ones are refused all the same.
#[derive(Clone, Debug)]
pub struct Caller<S> {
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

impl<S: Scope> FromRequestParts<AppState> for Caller<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let presented = match presented(parts, state) {
            Ok(presented) => presented,
            Err((scheme, refusal)) => return Err(answer(refusal, scheme, state)),
        };
        match authorize::<S>(&presented, parts, state).await {
            Ok(token) => Ok(Self { token, scope: PhantomData }),
            Err(refusal) => Err(answer(refusal, Some(presented.scheme), state)),
        }
    }
}

impl<S: Scope> OptionalFromRequestParts<AppState> for Caller<S> {
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
        let Caller { token, .. } = <Caller<S> as FromRequestParts<AppState>>::from_request_parts(parts, state).await?;
        let Some(user) = token.user else {
            return Err(Problem::forbidden().with_detail("this needs a token that speaks for a person"));
        };
        Ok(Self { user, token, scope: PhantomData })
    }
}

/// The token, whose it is, and whether the caller may use it.
async fn authenticate(presented: &Presented<'_>, parts: &Parts, state: &AppState) -> Result<AccessToken, Refusal> {
    let known = token::validate(presented.token, state).await?;
    let user = token::user(&known, state).await?;
    token::refuse_revoked(&known, user, state)?;
    possession::check(presented, known.claims.cnf.as_ref(), parts, state).await?;
    if let Some(user) = user {
        token::refuse_gone(&known, user, state).await?;
    }
    let token = AccessToken::new(known, user, presented.scheme);
    budget::spend(&token, state).await?;
    Ok(token)
}

/// The token of a request that has the scope `S`, or details in its place.
async fn authorize<S: Scope>(
    presented: &Presented<'_>,
    parts: &Parts,
    state: &AppState,
) -> Result<AccessToken, Refusal> {
    let token = authenticate(presented, parts, state).await?;
    match (token.details(), details::Target::of(parts)) {
        (Some(details), Some(target)) if !details.allow(&target) => {
            return Err(Refusal::Details("the authorization_details of the token do not allow this"));
        }
        (Some(_), Some(_)) => {}
        _ if !token.has_scope(S::NAME) => return Err(Refusal::Scope(S::NAME)),
        _ => {}
    }
    if S::WRITES && token.user.is_some() {
        step_up::check(&token, state)?;
    }
    Ok(token)
}

/// 401 as for a request without a token, for routes whose token is optional by configuration.
pub fn token_needed(state: &AppState) -> Problem {
    answer(Refusal::NoToken, None, state)
}

/// 401 as for a token that is not valid: its person is gone.
pub fn account_gone(token: &AccessToken, state: &AppState) -> Problem {
    answer(Refusal::Invalid("the account is gone"), Some(token.scheme), state)
}
