//! `POST /oauth/par`: the pushed authorization request endpoint (RFC 9126). The client proves who it is and hands in its
//! authorization request, which is checked as a whole before any browser sees it.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::http::ClientIp;

use crate::clients::Client;
use crate::protocol::authorization::{Channel, Refusal, validate};
use crate::protocol::client_auth::{self, Proved};
use crate::protocol::dpop;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::proofs::{self, UsedProof};
use crate::protocol::pushed_requests::{self, LIFETIME};
use crate::protocol::request::Parameters;
use crate::state::AppState;

/// The longest request, in bytes: what fits the authorization endpoint.
const MAX_LENGTH: usize = 64 * 1024;

/// What proves who the client is, and is no part of its authorization request.
const AUTHENTICATION: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];

/// The answer (RFC 9126 §2.2).
#[derive(Serialize)]
pub struct Pushed {
    request_uri: String,
    /// Seconds.
    expires_in: i64,
}

impl IntoResponse for Pushed {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::CREATED, Json(self)).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
        response
    }
}

pub async fn par(State(state): State<AppState>, ip: ClientIp, request: Request) -> Response {
    let parameters = match read(request).await {
        Ok(parameters) => parameters,
        Err(error) => return error.into_response(),
    };
    let answer = answer(&state, &ip, &parameters).await.into_response();
    dpop::with_nonce(&state, !parameters.dpop.is_empty(), answer)
}

async fn answer(state: &AppState, ip: &ClientIp, parameters: &Parameters) -> Result<Pushed, OAuthError> {
    client_auth::meet(state, ip, parameters).await?;
    let Proved { client, proofs: shown } = client_auth::verify(state, parameters).await?;
    let mut used = shown.clone();
    let pushed = match limit(state, &client, ip).await {
        Ok(()) => push(state, &client, parameters, &mut used).await,
        Err(limited) => Err(limited),
    };
    if pushed.is_err() {
        proofs::spend(&state.platform, &shown).await?;
    }
    pushed
}

/// Each request is a row. A confidential client speaks for all its people, a public one for one person.
async fn limit(state: &AppState, client: &Client, ip: &ClientIp) -> Result<(), OAuthError> {
    let platform = &state.platform;
    let per_minute = platform.config.limits.authorizations_per_minute;
    let (who, most) = match client.is_public() {
        true => (ip.bucket().to_vec(), per_minute),
        false => (client.client_id.as_str().into(), per_minute.saturating_mul(10)),
    };
    let checked = platform.limits.check("par", &who, most, Duration::from_secs(60)).await;
    checked.map_err(|limited| OAuthError::too_many_requests(limited.retry_after))
}

/// The parameters. What is too long or of another type is told by its status (RFC 9126 §2.3).
async fn read(request: Request) -> Result<Parameters, OAuthError> {
    let (parts, body) = request.into_parts();
    let form = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let form = form.split(';').next().unwrap_or_default().trim();
    if !form.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let error = OAuthError::invalid_request("send the parameters as application/x-www-form-urlencoded");
        return Err(error.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let body = to_bytes(body, MAX_LENGTH).await.map_err(|_| {
        let error = OAuthError::invalid_request("the body is longer than 64 KiB or was cut off");
        error.with_status(StatusCode::PAYLOAD_TOO_LARGE)
    })?;
    Parameters::from_request(Request::from_parts(parts, Body::from(body)), &()).await
}

async fn push(
    state: &AppState,
    client: &Client,
    parameters: &Parameters,
    used: &mut Vec<UsedProof>,
) -> Result<Pushed, OAuthError> {
    if !client.may_use("authorization_code") {
        return Err(OAuthError::new(Code::UnauthorizedClient, "this client has not registered authorization_code"));
    }
    if parameters.get("request_uri").is_some() {
        return Err(OAuthError::invalid_request("request_uri can't be pushed (RFC 9126 section 2.1)"));
    }
    let proved = dpop::proved_key(state, parameters)?;
    let proved_key = proved.map(|proved| {
        used.push(proved.proof);
        proved.jkt
    });
    let inner = without_authentication(parameters, client.client_id.as_str())?;
    let (client, mut request) = validate(state, &inner, Channel::Pushed).await.map_err(Refusal::into_error)?;
    // RFC 9449 §10.1: the header says as much as the parameter.
    if let Some(jkt) = proved_key {
        if request.dpop_jkt.as_ref().is_some_and(|asked| *asked != jkt) {
            return Err(OAuthError::invalid_request("dpop_jkt is not the key of the DPoP proof"));
        }
        request.dpop_jkt = Some(jkt);
    }
    // Pushed once: what is kept needs its object no more.
    let object = request.object.take().map(|object| object.proof(&client));
    let mut tx = state.platform.db.begin().await?;
    proofs::consume(&mut tx, used).await?;
    proofs::consume(&mut tx, object.as_slice()).await?;
    let request_uri = pushed_requests::push(&mut tx, state, &client, &request).await?;
    tx.commit().await?;
    Ok(Pushed { request_uri, expires_in: LIFETIME })
}

/// The authorization request alone, of the client that authenticated.
fn without_authentication(parameters: &Parameters, client_id: &str) -> Result<Parameters, OAuthError> {
    let value = |name: &str| parameters.get(name).map(|value| (name.to_owned(), value.into_owned()));
    let names = parameters.names().filter(|name| *name != "client_id" && !AUTHENTICATION.contains(name));
    let mut pairs: Vec<(String, String)> = names.filter_map(value).collect();
    pairs.push(("client_id".to_owned(), client_id.to_owned()));
    pairs.extend(parameters.resource.iter().map(|resource| ("resource".to_owned(), resource.clone())));
    parameters.with_parameters(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}
