//! How many requests a caller has left, told with each answer (draft-ietf-httpapi-ratelimit-headers-10). One budget for
//! everything; a few endpoints have limits of their own besides, which only their 429 tells of.

use std::fmt::Write;

use axum::http::{HeaderName, HeaderValue};
use shared::budget::Budget;
use shared::http::send_along;
use shared::problem::Problem;

use super::challenge::Refusal;
use super::token::AccessToken;
use crate::state::AppState;

pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What each budget is (§3.1).
pub fn policy(max: u64, window: std::time::Duration) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("\"api\";q={max};w={}", window.as_secs())).ok()
}

/// What is left of one (§4.1).
fn left(budget: &Budget) -> Option<HeaderValue> {
    // Whole seconds, rounded up, so that who comes back then is not refused again.
    let seconds = budget.renewed_in.as_micros().div_ceil(1_000_000);
    let mut text = String::with_capacity(48);
    write!(text, "\"api\";r={};t={seconds}", budget.remaining).ok()?;
    HeaderValue::try_from(text).ok()
}

/// Takes this request off the caller's budget.
pub async fn spend(token: &AccessToken, state: &AppState) -> Result<(), Refusal> {
    if !state.platform().config.limits.enabled {
        return Ok(());
    }
    let budget = state.budgets().spend(token.counted_as()).await;
    for (name, value) in [(RATE_LIMIT, left(&budget)), (RATE_LIMIT_POLICY, state.budget_policy().cloned())] {
        if let Some(value) = value {
            send_along(name, value);
        }
    }
    if budget.is_overdrawn {
        metrics::counter!("limited_total", "limit" => "api-requests").increment(1);
        return Err(Refusal::Problem(Problem::too_many_requests(budget.renewed_in)));
    }
    Ok(())
}
