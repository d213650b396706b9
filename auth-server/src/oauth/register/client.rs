//! `GET, PUT, DELETE /oauth/register/{client_id}`: a client manages its own registration (RFC 7592), with the token it
//! was given when it registered. The token stays the same until the client is deleted: were it exchanged with each
//! change, a client whose answer is lost on the way could never manage itself again.

use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use shared::http::ClientIp;
use shared::ids::ClientId;
use shared::secret::PlainToken;

use super::{Refusal, answer, bearer, body, limit, requested};
use crate::clients::{Client, Fault, registration};
use crate::protocol::error::OAuthError;
use crate::state::AppState;

/// What only the server says (RFC 7592 §2.2: "MUST NOT include").
const NOT_THE_CLIENTS: [&str; 4] =
    ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"];

/// How often an update is tried against others that change the same registration.
const TRIES: usize = 3;

/// Who asks. The answer is the same for an unknown client and for a wrong token (RFC 7592 §2).
async fn authenticate(
    state: &AppState,
    ip: &ClientIp,
    client_id: String,
    headers: &HeaderMap,
) -> Result<(Client, PlainToken), Refusal> {
    limit(state, ip).await?;
    let token = bearer(headers)?;
    let client = registration::authenticate(&state.platform, &ClientId(client_id), &token).await?;
    Ok((client.ok_or(Refusal::Token { sent: true })?, token))
}

pub async fn read(
    State(state): State<AppState>,
    ip: ClientIp,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (client, token) = authenticate(&state, &ip, client_id, &headers).await?;
    Ok(answer(StatusCode::OK, &state, &client, None, &token))
}

pub async fn update(
    State(state): State<AppState>,
    ip: ClientIp,
    Path(client_id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (mut current, token) = authenticate(&state, &ip, client_id, request.headers()).await?;
    let members = body(request).await?;
    for _ in 0..TRIES {
        let told = own_credentials(&current, &members)?;
        // Whether it must use PKCE is for the operator to say, and stays.
        let (name, mut metadata) = requested(&members, current.metadata.require_pkce)?;
        metadata.profile = current.metadata.profile;
        // So is how our pages look in its flow.
        metadata = metadata.styled_as(&current.metadata);
        let name = name.unwrap_or_else(|| current.client_id.to_string());
        let replaced = registration::replace(&state.platform, &current, &token, name, metadata, told.as_ref()).await?;
        state.clients.forget(&current.client_id).await;
        if let Some((client, fresh)) = replaced {
            return Ok(answer(StatusCode::OK, &state, &client, fresh.as_ref(), &token));
        }
        // Somebody changed it meanwhile, or it is gone: look again, and at what the request says about its secret too.
        let now = registration::authenticate(&state.platform, &current.client_id, &token).await?;
        current = now.ok_or(Refusal::Token { sent: true })?;
    }
    let reason = "the registration is being changed by others; send the request again";
    Err(OAuthError::temporarily_unavailable(reason, Duration::from_secs(1)).into())
}

/// RFC 7592 §2.2: the request names its client, and a secret in it is the client's own.
fn own_credentials(client: &Client, members: &Map<String, Value>) -> Result<Option<PlainToken>, Refusal> {
    if let Some(member) = NOT_THE_CLIENTS.iter().find(|member| members.contains_key(**member)) {
        return Err(Fault::new(member, format!("{member} is not the client's to say; leave it out")).into());
    }
    if members.get("client_id").and_then(Value::as_str) != Some(client.client_id.as_str()) {
        return Err(Fault::new("client_id", "client_id must be there and be the client's own").into());
    }
    match members.get("client_secret") {
        None => Ok(None),
        Some(Value::String(secret)) => {
            let secret = PlainToken::presented(secret.as_str());
            match &client.secret_hash {
                Some(hash) if hash.matches(&secret) => Ok(Some(secret)),
                _ => Err(Fault::new("client_secret", "client_secret is not the client's own").into()),
            }
        }
        Some(_) => Err(Fault::new("client_secret", "client_secret must be a string").into()),
    }
}

pub async fn delete(
    State(state): State<AppState>,
    ip: ClientIp,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (client, token) = authenticate(&state, &ip, client_id, &headers).await?;
    let deleted = registration::delete(&state.platform, &client.client_id, &token).await?;
    state.clients.forget(&client.client_id).await;
    if !deleted {
        return Err(Refusal::Token { sent: true });
    }
    Ok((StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")]).into_response())
}
