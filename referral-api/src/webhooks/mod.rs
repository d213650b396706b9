//! `/v1/webhook-endpoints`: telling other systems of referrals and rewards, as Standard Webhooks 1.0.0 says
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>, whose headings are
//! quoted where they are followed).
//!
//! [`shared::webhooks`] writes messages in the transactions of both services; here they are put down for each endpoint
//! that wants them and delivered ([`courier`]).

pub mod courier;
pub mod deliveries;
pub mod endpoints;
pub mod events;
mod keys;
mod once;
mod places;
mod sending;
mod store;

use std::time::Duration;

use shared::problem::Problem;

use crate::access::{ChangeWebhooks, Webhooks};
use crate::state::AppState;

pub(crate) use events::described;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts a write that makes work for others: registrations, tests, replays.
async fn count_write(state: &AppState, caller: &Webhooks<ChangeWebhooks>) -> Result<(), Problem> {
    let platform = state.platform();
    let max = platform.config.webhooks.writes_per_minute;
    Ok(platform.limits.check("webhook-writes", caller.named().as_bytes(), max, MINUTE).await?)
}

/// 404: absent, or somebody else's.
fn no_such_endpoint() -> Problem {
    Problem::not_found().with_detail("there is no such endpoint among yours")
}

/// 409: nothing is sent to an endpoint that is disabled.
fn endpoint_disabled() -> Problem {
    Problem::conflict("endpoint-disabled", "the endpoint is disabled; enable it first")
}
