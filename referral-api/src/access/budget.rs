//! How many requests a caller has left, told with each answer (draft-ietf-httpapi-ratelimit-headers-10). One budget for
//! everything; a few endpoints have limits of their own besides, which only their 429 tells of.

use std::sync::{Arc, OnceLock};

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use shared::budget::Budget;
use shared::problem::Problem;

use super::challenge::Refusal;
use super::token::AccessToken;
use crate::state::AppState;

pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The budget that a request was counted in, for its answer. It is known only within the handler.
#[derive(Clone, Debug, Default)]
pub struct Spent(Arc<OnceLock<Budget>>);

impl Spent {
    /// Writes it into the answer, where there is a caller.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let Some(budget) = self.0.get() else { return };
        // §4.1, §3.1: whole seconds, rounded up, so that who comes back then is not refused again.
        let seconds = budget.renewed_in.as_micros().div_ceil(1_000_000);
        let left = format!("\"api\";r={};t={seconds}", budget.remaining);
        let policy = format!("\"api\";q={};w={}", budget.max, budget.window.as_secs());
        for (name, value) in [(RATE_LIMIT, left), (RATE_LIMIT_POLICY, policy)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

/// Takes this request off the caller's budget.
pub async fn spend(token: &AccessToken, parts: &Parts, state: &AppState) -> Result<(), Refusal> {
    if !state.platform().config.limits.enabled {
        return Ok(());
    }
    let budget = match token.user {
        Some(user) => state.budgets().spend(user.0.as_bytes()).await,
        None => state.budgets().spend(token.subject.as_bytes()).await,
    };
    if let Some(spent) = parts.extensions.get::<Spent>() {
        // Counted once a request.
        let _ = spent.0.set(budget);
    }
    if budget.is_overdrawn {
        metrics::counter!("limited_total", "limit" => "api-requests").increment(1);
        return Err(Refusal::Problem(Problem::too_many_requests(budget.renewed_in)));
    }
    Ok(())
}
