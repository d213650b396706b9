//! `POST /webhooks/clearbit`: what Clearbit found out about somebody whom it had to look for first. The signature is all
//! that is believed; whoever signs learns nothing from the answer, which is the same whether we know the id or not.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use shared::http::ClientIp;
use shared::problem::Problem;

use crate::AppState;
use crate::outside::callbacks::CallbackError;

/// The largest answer that is fetched, in its envelope. Real ones are a fifth of it.
pub(super) const MAX_BODY: usize = 64 * 1024 + 1024;

const SIGNATURE: HeaderName = HeaderName::from_static("x-request-signature");

const MINUTE: Duration = Duration::from_secs(60);

/// Calls with a wrong signature that one address may make a minute, after which none of its calls is looked at.
const FORGERIES: u64 = 60;

/// Takes a webhook: 204 for every one that is signed, 401 for the others.
pub(super) async fn called(
    State(state): State<AppState>,
    ip: ClientIp,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let limits = &state.platform.limits;
    let most = state.platform.config.enrichment.webhooks_per_minute;
    limits.check("webhook", &ip.bucket(), most, MINUTE).await?;
    limits.is_reached("webhook-forged", &ip.bucket(), FORGERIES).await?;
    let signature = headers.get(SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !state.outside.is_signed(signature, &body) {
        limits.count("webhook-forged", &ip.bucket(), MINUTE).await;
        tracing::warn!("a webhook with a wrong signature; is enrichment.webhook_secret the key of Clearbit's?");
        return Err(Problem::unauthorized());
    }
    match state.outside.called_back(&body).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(CallbackError::Unreadable(error)) => Err(Problem::malformed(error.to_string())),
        Err(CallbackError::Db(error)) => Err(error.into()),
    }
}
