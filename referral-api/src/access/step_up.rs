//! Is the sign-in behind a token recent and strong enough to change something (RFC 9470)?

use super::challenge::Refusal;
use super::token::{AccessToken, LEEWAY};
use crate::state::AppState;

/// Checks the token's `auth_time` and `acr` against `api.step_up_max_age_seconds` and `api.step_up_acr`. A token that does
/// not say when or how its person signed in is not enough.
pub fn check(token: &AccessToken, state: &AppState) -> Result<(), Refusal> {
    let config = &state.platform().config.api;
    let now = state.platform().clock.timestamp();
    let recent = config.step_up_max_age_seconds.is_none_or(|max_age| {
        let max_age = i64::try_from(max_age).unwrap_or(i64::MAX).saturating_add(LEEWAY);
        token.auth_time().is_some_and(|auth_time| now.saturating_sub(auth_time) <= max_age)
    });
    let strong =
        config.step_up_acr.as_deref().is_none_or(|values| values.split(' ').any(|value| token.acr() == Some(value)));
    if recent && strong { Ok(()) } else { Err(Refusal::Authentication) }
}
