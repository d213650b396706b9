//! `POST /oauth/device_authorization`: the device authorization endpoint (RFC 8628 §3.1).

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shared::http::ClientIp;

use crate::clients::DEVICE_CODE;
use crate::protocol::device::{self, DeviceRequest};
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::request::Parameters;
use crate::protocol::token_request::requested_scope;
use crate::protocol::tokens::check_resource;
use crate::protocol::{authorization_details, client_auth};
use crate::state::AppState;

pub async fn device_authorization(
    State(state): State<AppState>,
    ip: ClientIp,
    parameters: Result<Parameters, OAuthError>,
) -> Result<Response, OAuthError> {
    let platform = &state.platform;
    let per_minute = platform.config.limits.authorizations_per_minute;
    let limited =
        platform.limits.check("device_authorization", &ip.bucket(), per_minute, Duration::from_secs(60)).await;
    limited.map_err(|limited| OAuthError::too_many_requests(limited.retry_after))?;
    let parameters = parameters?;
    client_auth::meet(&state, &ip, &parameters).await?;
    let client = client_auth::authenticate(&state, &parameters).await?;
    if !client.may_use(DEVICE_CODE) {
        return Err(OAuthError::new(Code::UnauthorizedClient, "this client has not registered the device grant"));
    }
    authorization_details::refuse(&parameters)?;
    let scope = requested_scope(&client, &parameters)?;
    if scope.is_empty() {
        return Err(OAuthError::new(Code::InvalidScope, "the scope is empty"));
    }
    check_resource(&state, &parameters.resource, &[])?;
    let request = DeviceRequest { scope, resource: parameters.resource.clone() };
    let (device_code, user_code) = device::begin(platform, &client.client_id, &request).await?;
    let page = platform.config.auth.public_url.join("/device");
    let answer = json!({
        "device_code": device_code.reveal(),
        "user_code": user_code.to_string(),
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": platform.config.device.expires_in_seconds,
        "interval": platform.config.device.interval_seconds,
    });
    Ok(([(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], Json(answer)).into_response())
}
