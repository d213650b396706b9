//! `POST /oauth/revoke`: token revocation (RFC 7009).

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shared::ids::{ClientId, GrantId};
use shared::revocations::{self, Kind};
use shared::secret::PlainToken;
use shared::{audit, fetch_optional};

use crate::protocol::error::OAuthError;
use crate::protocol::request::Parameters;
use crate::protocol::{bearer, client_auth, grants};
use crate::state::AppState;

/// A token that is unknown, or another client's, is answered like one that was revoked (RFC 7009 §2.2): the caller
/// learns nothing of tokens that are not its own.
pub async fn revoke(
    State(state): State<AppState>,
    parameters: Result<Parameters, OAuthError>,
) -> Result<Response, OAuthError> {
    let parameters = parameters?;
    let client = client_auth::authenticate(&state, &parameters).await?;
    let token = PlainToken::presented(parameters.require("token")?);
    // `token_type_hint` is only a hint: an access token of ours is a JWT, a refresh token never.
    if token.reveal().contains('.') {
        revoke_access_token(&state, &client.client_id, &token).await?;
    } else {
        revoke_refresh_token(&state, &client.client_id, &token).await?;
    }
    Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response())
}

/// Ends the grant: the refresh token's whole family and its access tokens (RFC 7009 §2.1).
async fn revoke_refresh_token(state: &AppState, client: &ClientId, token: &PlainToken) -> Result<(), OAuthError> {
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    let grant: Option<(GrantId,)> = fetch_optional!(
        &mut tx,
        (GrantId,),
        "SELECT grant_id FROM refresh_tokens WHERE token_hash = $1 AND client_id = $2",
        token.hash(),
        client
    )?;
    if let Some((grant,)) = grant {
        grants::end_grant(&mut tx, platform, grant).await?;
        audit::record(&mut tx, platform, "grant.revoked", None, Some(client), json!({ "grant": grant })).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Lists the access token until it would have expired.
async fn revoke_access_token(state: &AppState, client: &ClientId, token: &PlainToken) -> Result<(), OAuthError> {
    let claims = bearer::verify(state, token.reveal()).filter(|claims| claims.client_id == client.as_str());
    if let Some(claims) = claims {
        // Every process holds the whole list in memory: one client must not be able to fill it.
        let window = std::time::Duration::from_secs(60);
        let limited = state.platform.limits.check("revoke", client.as_str().as_bytes(), 600, window).await;
        limited.map_err(|limited| OAuthError::too_many_requests(limited.retry_after))?;
        let mut tx = state.platform.db.begin().await?;
        revocations::revoke(&mut tx, &state.platform, Kind::Token, &claims.jti).await?;
        tx.commit().await?;
    }
    Ok(())
}
