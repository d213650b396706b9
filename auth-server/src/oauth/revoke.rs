//! `POST /oauth/revoke`: token revocation (RFC 7009).

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shared::http::ClientIp;
use shared::ids::{ClientId, GrantId};
use shared::limits::Limited;
use shared::revocations::{self, Kind};
use shared::secret::PlainToken;
use shared::{audit, fetch_optional};

use crate::clients::{Client, Origin};
use crate::protocol::error::OAuthError;
use crate::protocol::request::Parameters;
use crate::protocol::{bearer, client_auth, grants};
use crate::state::AppState;

const MINUTE: Duration = Duration::from_secs(60);

/// Access tokens that a client may revoke in a minute, that those of clients which nobody vouched for may have revoked
/// from one address, and that all such clients may together. Every process holds the whole list in memory: neither
/// one client may fill it, nor somebody who registers many.
const PER_CLIENT: u64 = 600;
const PER_ADDRESS: u64 = 120;
const OF_STRANGERS: u64 = 3000;

/// A token that is unknown, or another client's, is answered like one that was revoked (RFC 7009 §2.2): the caller
/// learns nothing of tokens that are not its own. (§2.1 would have a token of another client refused with an error;
/// that error would tell that the token is somebody's.)
pub async fn revoke(
    State(state): State<AppState>,
    ip: ClientIp,
    parameters: Result<Parameters, OAuthError>,
) -> Result<Response, OAuthError> {
    let parameters = parameters?;
    let client = client_auth::authenticate(&state, &parameters).await?;
    let token = PlainToken::presented(parameters.require("token")?);
    // `token_type_hint` is only a hint: an access token of ours is a JWT, a refresh token never.
    if token.reveal().contains('.') {
        revoke_access_token(&state, &client, &ip, &token).await?;
    } else {
        revoke_refresh_token(&state, &client.client_id, &token).await?;
    }
    Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response())
}

/// Ends the grant: the refresh token's whole family and its access tokens (RFC 7009 §2.1).
async fn revoke_refresh_token(state: &AppState, client: &ClientId, token: &PlainToken) -> Result<(), OAuthError> {
    let platform = &state.platform;
    let grant: Option<(GrantId,)> = fetch_optional!(
        &mut platform.db.read().await?,
        (GrantId,),
        "SELECT grant_id FROM refresh_tokens WHERE token_hash = $1 AND client_id = $2",
        token.hash(),
        client
    )?;
    let Some((grant,)) = grant else { return Ok(()) };
    let mut tx = platform.db.begin().await?;
    if grants::end_grant(&mut tx, platform, grant).await? {
        audit::record(&mut tx, platform, "grant.revoked", None, Some(client), json!({ "grant": grant })).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Lists the access token until it would have expired. (What was exchanged for it is another token, and ends with the
/// grant.)
async fn revoke_access_token(
    state: &AppState,
    client: &Client,
    ip: &ClientIp,
    token: &PlainToken,
) -> Result<(), OAuthError> {
    let claims = bearer::verify(state, token.reveal()).filter(|claims| claims.client_id == client.client_id.as_str());
    if let Some(claims) = claims {
        limit(state, client, ip).await.map_err(|limited| OAuthError::too_many_requests(limited.retry_after))?;
        let mut tx = state.platform.db.begin().await?;
        revocations::revoke(&mut tx, &state.platform, Kind::Token, &claims.jti).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn limit(state: &AppState, client: &Client, ip: &ClientIp) -> Result<(), Limited> {
    let limits = &state.platform.limits;
    limits.check("revoke", client.client_id.as_str().as_bytes(), PER_CLIENT, MINUTE).await?;
    if client.origin != Origin::Operator {
        limits.check("revoke-address", &ip.bucket(), PER_ADDRESS, MINUTE).await?;
        limits.check("revoke-strangers", b"", OF_STRANGERS, MINUTE).await?;
    }
    Ok(())
}
