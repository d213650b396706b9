//! `POST /oauth/introspect`: token introspection (RFC 7662), for confidential clients; signed where that is asked for
//! (RFC 9701).

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::fetch_optional;
use shared::http::Json;
use shared::ids::UserId;
use shared::secret::PlainToken;
use sqlx::types::Json as Column;

use crate::clients::Client;
use crate::protocol::binding::Confirmation;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::{GrantDetails, sector_of};
use crate::protocol::request::Parameters;
use crate::protocol::{bearer, client_auth, tokens};
use crate::state::AppState;

/// A client may ask about its own tokens; a first-party client, in the place of a resource server of ours, about access
/// tokens that are for the referral API. Whatever is wrong with a token, the answer is `{"active": false}` and no more
/// (RFC 7662 §2.2).
pub async fn introspect(
    State(state): State<AppState>,
    headers: HeaderMap,
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
    if wants_jwt(&client, &headers) {
        return signed(&state, &client, &answer);
    }
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

const MEDIA_TYPE: &str = "application/token-introspection+jwt";

/// Asked for by `Accept` (RFC 9701 §4); a client that registered an algorithm for it gets it unless it names JSON. Ranges
/// (`*/*`) name neither, and `q=0` names what is not wanted (RFC 9110 §12.4.2).
fn wants_jwt(client: &Client, headers: &HeaderMap) -> bool {
    let registered = client.metadata.introspection_signed_response_alg.is_some();
    match (named(headers, MEDIA_TYPE), named(headers, "application/json")) {
        (Some(jwt), json) => jwt > 0.0 && jwt >= json.unwrap_or(0.0),
        (None, Some(json)) => registered && json <= 0.0,
        (None, None) => registered,
    }
}

/// The weight that `Accept` gives to this very type, where it names it.
fn named(headers: &HeaderMap, wanted: &str) -> Option<f32> {
    let lists = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).find_map(|one| {
        let mut parts = one.split(';').map(str::trim);
        parts.next().filter(|name| name.eq_ignore_ascii_case(wanted))?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        Some(weight.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
    })
}

/// The answer as a JWT for this client alone (RFC 9701 §5): no `sub` and no `exp` of its own, so that nobody takes it
/// for an access token.
fn signed(state: &AppState, client: &Client, answer: &Value) -> Result<Response, OAuthError> {
    let now = state.platform.clock.now();
    let algorithm = client.response_algorithm(client.metadata.introspection_signed_response_alg.as_deref());
    let claims = json!({
        "iss": state.issuer(),
        "aud": client.client_id,
        "iat": now.timestamp(),
        "token_introspection": answer,
    });
    let token = state.keys.signing(algorithm, now).sign_jwt("token-introspection+jwt", &claims).map_err(|error| {
        tracing::error!(%error, "an introspection response can't be signed");
        OAuthError::new(Code::ServerError, "the answer can't be signed")
    })?;
    Ok(([(header::CACHE_CONTROL, "no-store"), (header::CONTENT_TYPE, MEDIA_TYPE)], token).into_response())
}

fn access_token(state: &AppState, client: &Client, token: &PlainToken) -> Option<Value> {
    let claims = bearer::verify(state, token.reveal())?;
    // RFC 9701 §5, RFC 7662 §4: a resource server is told about tokens that are meant for it. The referral API is the only
    // one besides ourselves, who ask nobody: what is for us alone is no client's business but the one's that holds it.
    let serves = client.first_party && claims.aud.contains(state.platform.config.api.public_url.as_str());
    if claims.client_id != client.client_id.as_str() && !serves {
        return None;
    }
    let token_type = Confirmation::token_type(claims.cnf.as_ref());
    let mut answer = serde_json::to_value(claims).ok()?;
    answer["active"] = json!(true);
    answer["token_type"] = json!(token_type);
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
           AND g.revoked_at IS NULL AND g.expires_at > $3 AND COALESCE(g.sector, '') = $4",
        token.hash(),
        &client.client_id,
        state.platform.clock.now(),
        sector_of(client)
    )?;
    Ok(row.map(|(user, Column(details), created_at, expires_at)| {
        let mut answer = json!({
            "active": true,
            "client_id": client.client_id,
            "sub": tokens::subject(state, client, user),
            "iss": state.issuer(),
            "scope": details.scope.join(" "),
            "iat": created_at.timestamp(),
            "exp": expires_at.timestamp(),
        });
        // RFC 9396 §9.2
        if !details.authorization_details.is_empty() {
            answer["authorization_details"] = details.authorization_details.into();
        }
        answer
    }))
}
