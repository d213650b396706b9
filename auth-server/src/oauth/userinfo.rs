//! `GET, POST /oauth/userinfo`: claims about the person (OpenID Connect Core §5.3), as JSON or, for clients that
//! registered `userinfo_signed_response_alg`, as a signed JWT.

use axum::body::to_bytes;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use shared::db::DbError;
use shared::http::Json;
use shared::ids::{ClientId, GrantId};
use shared::problem::Problem;
use shared::users::User;
use shared::{fetch_optional, users};
use sqlx::types::Json as Column;
use tracing::error;
use url::form_urlencoded;

use crate::keys::Algorithm;
use crate::protocol::bearer::{Caller, Challenge};
use crate::protocol::claims;
use crate::protocol::grants::GrantDetails;
use crate::state::AppState;

/// The longest form that is read, in bytes.
const MAX_FORM: usize = 64 * 1024;

pub async fn userinfo(State(state): State<AppState>, request: Request) -> Result<Response, Response> {
    let caller = caller(&state, request).await.map_err(IntoResponse::into_response)?;
    caller.require("openid").map_err(IntoResponse::into_response)?;
    let failed = |error: DbError| Problem::from(error).into_response();
    let client = state.clients.get(&caller.client_id).await.map_err(failed)?;
    let client = client.ok_or_else(|| Challenge::Invalid.into_response())?;
    let (user, named) = read(&state, &caller).await.map_err(failed)?;
    let user = user.ok_or_else(|| Challenge::Invalid.into_response())?;
    let mut claims = claims::about(&user, &caller.scope, &claims::registered(&named, &client));
    claims.insert("sub".into(), caller.sub.clone().into());
    let algorithm = client.metadata.userinfo_signed_response_alg.as_deref().and_then(Algorithm::named);
    match algorithm {
        None => Ok(([(header::CACHE_CONTROL, "no-store")], Json(claims)).into_response()),
        Some(algorithm) => signed(&state, algorithm, &caller.client_id, claims).map_err(IntoResponse::into_response),
    }
}

/// Who calls. The token is in the `Authorization` header or, of a POST, in the form (RFC 6750 §2.1, §2.2), and not in
/// both.
async fn caller(state: &AppState, request: Request) -> Result<Caller, Challenge> {
    let (mut parts, body) = request.into_parts();
    let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if parts.method == Method::POST && media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let form = to_bytes(body, MAX_FORM).await.map_err(|_| Challenge::Malformed)?;
        let mut tokens = form_urlencoded::parse(&form).filter(|(name, _)| name == "access_token");
        if let Some((_, token)) = tokens.next() {
            if tokens.next().is_some() || parts.headers.contains_key(header::AUTHORIZATION) {
                return Err(Challenge::Malformed);
            }
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| Challenge::Malformed)?;
            value.set_sensitive(true);
            parts.headers.insert(header::AUTHORIZATION, value);
        }
    }
    Caller::from_request_parts(&mut parts, state).await
}

/// The account, and the claims that the caller asked for by name when the grant was made. A token that came of another
/// client's by exchange belongs to the same grant, and what that client asked for is not this one's to read.
async fn read(state: &AppState, caller: &Caller) -> Result<(Option<User>, Vec<String>), DbError> {
    let mut conn = state.platform.db.read().await?;
    let user = users::by_id(&mut conn, caller.user_id).await?;
    let Some(grant) = caller.grant_id else { return Ok((user, vec![])) };
    let details = details(&mut conn, grant, &caller.client_id).await?;
    Ok((user, details.and_then(|details| details.claims).map(|claims| claims.userinfo).unwrap_or_default()))
}

async fn details(
    conn: &mut shared::db::Conn,
    grant: GrantId,
    client: &ClientId,
) -> Result<Option<GrantDetails>, DbError> {
    let row: Option<(Column<GrantDetails>,)> = fetch_optional!(
        conn,
        (Column<GrantDetails>,),
        "SELECT details FROM grants WHERE id = $1 AND client_id = $2",
        grant,
        client
    )?;
    Ok(row.map(|(Column(details),)| details))
}

/// The claims as a JWT (OpenID Connect Core §5.3.2): with issuer and audience.
fn signed(
    state: &AppState,
    algorithm: Algorithm,
    client: &ClientId,
    mut claims: Map<String, Value>,
) -> Result<Response, Problem> {
    claims.insert("iss".into(), state.issuer().into());
    claims.insert("aud".into(), client.as_str().into());
    let key = state.keys.signing(algorithm, state.platform.clock.now());
    let token = key.sign_jwt("JWT", &claims).map_err(|error| {
        error!(%error, "a userinfo response can't be signed");
        Problem::internal()
    })?;
    Ok(([(header::CONTENT_TYPE, "application/jwt"), (header::CACHE_CONTROL, "no-store")], token).into_response())
}
