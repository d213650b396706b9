//! Authorization requests that were pushed (RFC 9126): checked already, kept under a `request_uri` until a browser
//! brings it.

use std::sync::Arc;

use chrono::TimeDelta;
use shared::db::{DbError, Tx};
use shared::ids::AuthorizationRequestId;
use shared::secret::PlainToken;
use shared::{execute, fetch_optional};
use sqlx::types::Json;

use super::authorization::{self as pending, ValidatedRequest};
use super::error::{Code, OAuthError};
use crate::clients::Client;
use crate::state::AppState;

/// What a `request_uri` begins with (RFC 9126 §2.2); 256 random bits follow.
pub const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// How long a `request_uri` serves, in seconds.
pub const LIFETIME: i64 = 90;

/// Keeps a request and gives its `request_uri`.
pub async fn push(
    tx: &mut Tx,
    state: &AppState,
    client: &Client,
    request: &ValidatedRequest,
) -> Result<String, DbError> {
    let platform = &state.platform;
    let reference = PlainToken::new(&platform.random);
    let now = platform.clock.now();
    execute!(
        tx,
        "INSERT INTO pushed_requests (uri_hash, client_id, request, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5)",
        reference.hash(),
        &client.client_id,
        Json(request),
        now,
        now + TimeDelta::seconds(LIFETIME)
    )?;
    Ok(format!("{PREFIX}{}", reference.reveal()))
}

/// Takes a pushed request up: from here on it is an authorization request like any other, under the id that is given.
/// It is taken up once. Who comes again with the same `request_uri` (a reload, a browser that loads ahead) is led to the
/// same authorization request for as long as nobody has decided it, so that one answer at most comes of it (RFC 9126
/// §4, FAPI 2.0 Security Profile §5.3.2.2).
///
/// # Errors
/// `invalid_request_uri` alike for one that never was, has expired, was used or is another client's, and
/// `request_uri_not_supported` for what did not come from here.
pub async fn take_up(state: &AppState, client: &Arc<Client>, uri: &str) -> Result<AuthorizationRequestId, OAuthError> {
    let Some(reference) = uri.strip_prefix(PREFIX) else {
        let reason = "only a request_uri of the pushed authorization request endpoint is supported (RFC 9126)";
        return Err(OAuthError::new(Code::RequestUriNotSupported, reason));
    };
    let platform = &state.platform;
    let hash = PlainToken::presented(reference).hash();
    let now = platform.clock.now();
    let id = AuthorizationRequestId(platform.random.uuid_v4());
    let mut tx = platform.db.begin().await?;
    let taken = fetch_optional!(
        &mut tx,
        (Json<ValidatedRequest>,),
        "UPDATE pushed_requests SET consumed_at = $3, authorization_request_id = $4 \
         WHERE uri_hash = $1 AND client_id = $2 AND consumed_at IS NULL AND expires_at > $3 RETURNING request",
        hash.clone(),
        &client.client_id,
        now,
        id
    )?;
    if let Some((Json(request),)) = taken {
        pending::insert(&mut tx, state, id, client, &request).await?;
        tx.commit().await?;
        return Ok(id);
    }
    let undecided = fetch_optional!(
        &mut tx,
        (AuthorizationRequestId,),
        "SELECT a.id FROM pushed_requests p JOIN authorization_requests a ON a.id = p.authorization_request_id \
         WHERE p.uri_hash = $1 AND p.client_id = $2 AND p.expires_at > $3 AND a.consumed_at IS NULL",
        hash,
        &client.client_id,
        now
    )?;
    let (id,) = undecided.ok_or_else(|| {
        OAuthError::new(Code::InvalidRequestUri, "this request_uri is unknown, expired, used or another client's")
    })?;
    Ok(id)
}
