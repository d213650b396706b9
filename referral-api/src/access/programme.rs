//! Who runs the programme: [`Manager`], an app of the operator's own that speaks for itself, or an administrator. And
//! [`Reader`], who reads about a referrer: the referrer, or one of those.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use shared::ids::UserId;
use shared::problem::Problem;
use shared::referrals::life::Actor;
use shared::users;

use super::challenge::{Refusal, answer};
use super::presented::presented;
use super::{ADMIN_SCOPE, AccessToken, Manage, ReadReferrals, Scope, authenticate, step_up};
use crate::state::AppState;

/// An app that speaks for itself with the scope `S`, or a person with the role of an administrator whose token has
/// `referrals:admin`.
#[derive(Clone, Debug)]
pub struct Manager<S> {
    pub token: AccessToken,
    scope: PhantomData<S>,
}

impl<S> Manager<S> {
    /// Who it is, for the events of a referral.
    pub fn actor(&self) -> Actor {
        match self.token.user {
            Some(user) => Actor::User(user),
            None => Actor::Client(self.token.client_id().to_owned()),
        }
    }

    /// The administrator; `None` for an app, which sees addresses masked.
    pub fn admin(&self) -> Option<UserId> {
        self.token.user
    }
}

impl<S: Scope> FromRequestParts<AppState> for Manager<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let token = with_any_scope(parts, state, &[S::NAME, ADMIN_SCOPE], S::WRITES).await?;
        match token.user {
            None if token.has_scope(S::NAME) => {}
            // Who knows people by pairwise names is not told the ids of others (OpenID Connect Core §8.1).
            Some(user) if token.has_scope(ADMIN_SCOPE) && !token.is_pairwise() => administrator(state, user).await?,
            _ => return Err(Problem::forbidden().with_detail(FOR_MANAGERS)),
        }
        Ok(Self { token, scope: PhantomData })
    }
}

pub(super) const FOR_MANAGERS: &str =
    "this is for administrators, and for apps of the operator's own that speak for themselves (client_credentials)";

/// The scope says what the client may do, the role what the person may: read anew, for it may have been taken away.
pub(super) async fn administrator(state: &AppState, user: UserId) -> Result<(), Problem> {
    let mut conn = state.platform().db.read().await?;
    let is_admin = users::by_id(&mut conn, user).await?.is_some_and(|user| user.is_admin());
    if is_admin { Ok(()) } else { Err(Problem::forbidden().with_detail(FOR_MANAGERS)) }
}

/// Who reads about a referrer.
#[derive(Clone, Debug)]
pub struct Reader {
    pub token: AccessToken,
}

/// About whom, and how much of others they may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    pub referrer: UserId,
    /// The administrator who asks about somebody else: sees addresses in full, and it is recorded.
    pub admin: Option<UserId>,
}

impl FromRequestParts<AppState> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let token = with_any_scope(parts, state, &[ReadReferrals::NAME, Manage::NAME], false).await?;
        if token.user.is_none() && !token.has_scope(Manage::NAME) {
            return Err(Problem::forbidden().with_detail("this needs a token that speaks for a person"));
        }
        if token.user.is_some() && !token.has_scope(ReadReferrals::NAME) {
            let refusal = Refusal::Scope(ReadReferrals::NAME);
            return Err(answer(refusal, Some(token.scheme), state));
        }
        Ok(Self { token })
    }
}

impl Reader {
    /// Whom a path that says `id` means, if the caller may read about them. Who may not is not told whether there is such
    /// an account.
    pub async fn about(&self, state: &AppState, id: &str) -> Result<About, Problem> {
        let forbidden = || Problem::forbidden().with_detail("these are another person's referrals");
        if let Some(user) = self.token.user {
            if self.token.names(id) {
                return Ok(About { referrer: user, admin: None });
            }
            let _: UserId = id.parse().map_err(|_| Problem::not_found())?;
            if !self.token.has_scope(ADMIN_SCOPE) {
                return Err(forbidden());
            }
            administrator(state, user).await.map_err(|problem| match problem.status().as_u16() {
                403 => forbidden(),
                _ => problem,
            })?;
        }
        let referrer: UserId = id.parse().map_err(|_| Problem::not_found())?;
        let mut conn = state.platform().db.read().await?;
        users::by_id(&mut conn, referrer).await?.ok_or_else(Problem::not_found)?;
        Ok(About { referrer, admin: self.token.user })
    }
}

/// The token of the request, which has at least one of these scopes.
async fn with_any_scope(
    parts: &Parts,
    state: &AppState,
    scopes: &[&'static str],
    writes: bool,
) -> Result<AccessToken, Problem> {
    let presented = presented(parts, state).map_err(|(scheme, refusal)| answer(refusal, scheme, state))?;
    let refused = |refusal| answer(refusal, Some(presented.scheme), state);
    let token = authenticate(&presented, parts, state).await.map_err(refused)?;
    if !scopes.iter().any(|scope| token.has_scope(scope)) {
        return Err(refused(Refusal::Scope(scopes[0])));
    }
    if writes && token.user.is_some() {
        step_up::check(&token, state).map_err(refused)?;
    }
    Ok(token)
}
