//! What becomes of a request: a code, or a refusal. It is used up either way.

use chrono::TimeDelta;
use oxide_auth_async::primitives::Authorizer;
use shared::db::Tx;
use shared::execute;
use sqlx::types::Json;

use super::ValidatedRequest;
use super::next::{consent_of, impersonable, signed_in_enough};
use super::pending::{Pending, check_standing, consume};
use super::response::Delivery;
use crate::clients::Client;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::{self, CodeRequest, Codes, GrantDetails, Parts};
use crate::sessions::SignedIn;
use crate::state::AppState;

/// The person allows the request: remembers the consent, issues a code and sends the browser to the client.
///
/// # Errors
/// As [`OAuthError`]; a request that was decided in another tab a moment ago leads back to the client as well.
pub async fn allow(state: &AppState, pending: Pending, signed_in: &SignedIn) -> Result<Delivery, OAuthError> {
    let platform = &state.platform;
    // The page can be opened by hand, past the sign-in that was asked for.
    if !signed_in_enough(&pending.request, signed_in, Some(pending.created_at), platform.clock.now()) {
        return Ok(Delivery::Redirect(format!("/login?request={}", pending.id)));
    }
    let mut tx = platform.db.begin().await?;
    if !consume(&mut tx, state, &pending).await? {
        return pending.expired(state);
    }
    // Whoever could be somebody else is asked each time: there is nothing to remember.
    if !impersonable(&pending.client, &pending.request) {
        let mut consent = consent_of(&mut tx, signed_in.user_id, &pending.client).await?;
        consent.add(&pending.request);
        execute!(
            &mut tx,
            "INSERT INTO consents (user_id, client_id, consent, granted_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (user_id, client_id) DO UPDATE SET consent = $3, granted_at = $4",
            signed_in.user_id,
            &pending.client.client_id,
            Json(consent),
            platform.clock.now()
        )?;
    }
    let code = issue_code(state, &mut tx, &pending.client, &pending.request, signed_in).await?;
    let answer = pending.request.return_address().grant(state, &pending.client, code)?;
    tx.commit().await?;
    Ok(answer)
}

/// Issues the code without asking: the consent was given before.
pub async fn issue(
    state: &AppState,
    client: &Client,
    request: &ValidatedRequest,
    pending: Option<&Pending>,
    signed_in: &SignedIn,
) -> Result<Delivery, OAuthError> {
    let mut tx = state.platform.db.begin().await?;
    match pending {
        None => check_standing(&mut tx, &client.client_id, request).await?,
        Some(pending) if !consume(&mut tx, state, pending).await? => return pending.expired(state),
        Some(_) => {}
    }
    let code = issue_code(state, &mut tx, client, request, signed_in).await?;
    let answer = request.return_address().grant(state, client, code)?;
    tx.commit().await?;
    Ok(answer)
}

/// The person refuses (RFC 6749 §4.1.2.1: `access_denied`).
pub async fn deny(state: &AppState, pending: Pending) -> Result<Delivery, OAuthError> {
    refuse(state, pending, &OAuthError::new(Code::AccessDenied, "the person refused")).await
}

/// Answers a stored request with an error.
pub async fn refuse(state: &AppState, pending: Pending, error: &OAuthError) -> Result<Delivery, OAuthError> {
    let answer = pending.request.return_address().refuse(state, &pending.client, error)?;
    let mut tx = state.platform.db.begin().await?;
    consume(&mut tx, state, &pending).await?;
    tx.commit().await?;
    Ok(answer)
}

async fn issue_code(
    state: &AppState,
    tx: &mut Tx,
    client: &Client,
    request: &ValidatedRequest,
    signed_in: &SignedIn,
) -> Result<String, OAuthError> {
    let platform = &state.platform;
    let seconds = i64::try_from(platform.config.tokens.code_seconds).unwrap_or(60).min(client.longest_code());
    let parts = Parts {
        details: GrantDetails {
            scope: request.scope.clone(),
            resource: request.resource.clone(),
            auth_time: signed_in.auth_time,
            acr: signed_in.acr.clone(),
            amr: signed_in.amr.clone(),
            claims: Some(request.claims.clone()).filter(|claims| !claims.is_empty()),
            authorization_details: request.authorization_details.clone(),
            ..GrantDetails::default()
        },
        code: Some(CodeRequest {
            redirect_uri: request.redirect_uri.clone(),
            redirect_uri_given: request.redirect_uri_given,
            nonce: request.nonce.clone(),
            pkce: request.pkce.clone(),
            dpop_jkt: request.dpop_jkt.clone(),
        }),
        reference: None,
    };
    let broken = || OAuthError::new(Code::ServerError, "the code can't be issued");
    let redirect_uri = request.redirect_uri.parse().map_err(|_| broken())?;
    let until = platform.clock.now() + TimeDelta::seconds(seconds);
    let grant = grants::to_oxide(signed_in.user_id, client, redirect_uri, until, parts).ok_or_else(broken)?;
    let mut codes = Codes::new(tx, platform, client, Some(signed_in.sid));
    match codes.authorize(grant).await {
        Ok(code) => Ok(code),
        Err(()) => Err(codes.failure.take().map_or_else(broken, OAuthError::from)),
    }
}
