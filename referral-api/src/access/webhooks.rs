//! Who may set up webhooks: a client that speaks for itself and has the scope, on its own endpoints; an administrator
//! whose token has it too, on all of them.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use shared::ids::{ClientId, UserId};
use shared::problem::Problem;

use super::programme::{FOR_MANAGERS, administrator};
use super::{ADMIN_SCOPE, Caller, Scope};
use crate::state::AppState;

/// To look.
#[derive(Clone, Copy, Debug)]
pub struct SeeWebhooks;

/// To change something: what leaves through a webhook has left.
#[derive(Clone, Copy, Debug)]
pub struct ChangeWebhooks;

impl Scope for SeeWebhooks {
    const NAME: &'static str = "webhooks:manage";
    const WRITES: bool = false;
}

impl Scope for ChangeWebhooks {
    const NAME: &'static str = SeeWebhooks::NAME;
    const WRITES: bool = true;
}

/// A caller who may set up webhooks.
#[derive(Clone, Debug)]
pub struct Webhooks<S> {
    /// The client of the token: whose the endpoints are that are made with it.
    pub client: ClientId,
    /// The administrator that the token speaks for.
    pub administrator: Option<UserId>,
    scope: PhantomData<S>,
}

impl<S> Webhooks<S> {
    /// Whose endpoints are seen; `None`: everybody's.
    pub fn sees(&self) -> Option<&str> {
        match self.administrator {
            Some(_) => None,
            None => Some(self.client.as_str()),
        }
    }

    /// Names the caller among all others: administrators of one app are not one caller.
    pub fn named(&self) -> String {
        match self.administrator {
            Some(user) => format!("user:{user}"),
            None => format!("client:{}", self.client),
        }
    }
}

impl<S: Scope> FromRequestParts<AppState> for Webhooks<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Caller { token, .. } = <Caller<S> as FromRequestParts<AppState>>::from_request_parts(parts, state).await?;
        if let Some(user) = token.user {
            if !token.has_scope(ADMIN_SCOPE) || token.is_pairwise() {
                return Err(Problem::forbidden().with_detail(FOR_MANAGERS));
            }
            administrator(state, user).await?;
        }
        Ok(Self { administrator: token.user, client: ClientId(token.client_id().to_owned()), scope: PhantomData })
    }
}
