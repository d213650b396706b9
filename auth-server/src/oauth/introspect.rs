//! `POST /oauth/introspect`: token introspection (RFC 7662), for confidential clients.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::fetch_optional;
use shared::http::Json;
use shared::ids::UserId;
use shared::secret::PlainToken;
use sqlx::types::Json as Column;

use crate::clients::Client;
use crate::protocol::error::OAuthError;
use crate::protocol::grants::GrantDetails;
use crate::protocol::request::Parameters;
use crate::protocol::{bearer, client_auth};
use crate::state::AppState;

/// A client may ask about its own tokens; a first-party client (a resource server of ours) about any access token.
/// Whatever is wrong with a token, the answer is `{"active": false}` and no more (RFC 7662 §2.2).
pub async fn introspect(
    State(state): State<AppState>,
    parameters: Result<Parameters, OAuthError>,
) -> Result<Response, OAuthError> {
    let parameters = parameters?;
    let client = client_auth::authenticate(&state, &parameters).await?;
    if client.is_public() {
        return Err(OAuthError::invalid_client(false));
    }
    let token = PlainToken::presented(parameters.require("token")?);
    let answer = if token.reveal().contains('.') {
        access_token(&state, &client, &token)
    } else {
        refresh_token(&state, &client, &token).await?
    };
    let answer = answer.unwrap_or_else(|| json!({ "active": false }));
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

fn access_token(state: &AppState, client: &Client, token: &PlainToken) -> Option<Value> {
    let claims = bearer::verify(state, token.reveal())?;
    if claims.client_id != client.client_id.as_str() && !client.first_party {
        return None;
    }
    let mut answer = serde_json::to_value(claims).ok()?;
    answer["active"] = json!(true);
    answer["token_type"] = json!("Bearer");
    Some(answer)
}

async fn refresh_token(state: &AppState, client: &Client, token: &PlainToken) -> Result<Option<Value>, OAuthError> {
    let mut conn = state.platform.db.read().await?;
    let row = fetch_optional!(
        &mut conn,
        (UserId, Column<GrantDetails>, DateTime<Utc>, DateTime<Utc>),
        "SELECT g.user_id, g.details, t.created_at, t.expires_at \
         FROM refresh_tokens t JOIN grants g ON g.id = t.grant_id \
         WHERE t.token_hash = $1 AND t.client_id = $2 AND t.consumed_at IS NULL AND t.expires_at > $3 \
           AND g.revoked_at IS NULL AND g.expires_at > $3",
        token.hash(),
        &client.client_id,
        state.platform.clock.now()
    )?;
    Ok(row.map(|(user, Column(details), created_at, expires_at)| {
        json!({
            "active": true,
            "client_id": client.client_id,
            "sub": user,
            "iss": state.issuer(),
            "scope": details.scope.join(" "),
            "iat": created_at.timestamp(),
            "exp": expires_at.timestamp(),
        })
    }))
}
