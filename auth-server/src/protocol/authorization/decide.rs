//! What becomes of a request: a code, or a refusal. It is used up either way.

use std::sync::Arc;

use chrono::TimeDelta;
use oxide_auth_async::primitives::Authorizer;
use shared::db::{DbError, Tx};
use shared::execute;
use shared::ids::AuthorizationRequestId;
use sqlx::types::Json;

use super::ValidatedRequest;
use super::next::{Ask, consent_of, showed_for, signed_in_enough, still_has_consent};
use super::pending::{Pending, check_standing, consume, persist};
use super::response::Delivery;
use crate::accounts::terms;
use crate::clients::Client;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::{self, CodeRequest, Codes, GrantDetails, Parts};
use crate::protocol::proofs;
use crate::sessions::{self, SignedIn};
use crate::state::AppState;

/// The person allows the request: remembers the consent, issues a code and sends the browser to the client.
///
/// # Errors
/// As [`OAuthError`]; a request that was decided in another tab a moment ago leads back to the client as well.
pub async fn allow(state: &AppState, pending: Pending, signed_in: &SignedIn) -> Result<Delivery, OAuthError> {
    let platform = &state.platform;
    let Pending { client, request, .. } = &pending;
    // The page can be opened by hand, past the sign-in that was asked for.
    let showed = showed_for(state, request, signed_in).await?;
    if !signed_in_enough(request, signed_in, showed, Some(pending.created_at), platform.clock.now()) {
        return Ok(sign_in_page(pending.id));
    }
    // And past the terms.
    if terms::are_wanted(state, signed_in.user_id).await? {
        return Ok(Delivery::Redirect(format!("{}?request={}", Ask::Terms.page(), pending.id)));
    }
    let Some(mut tx) = begin(state, signed_in).await? else {
        return signed_out(state, client, request, Some(&pending)).await;
    };
    if !consume(&mut tx, state, &pending).await? {
        return pending.expired(state);
    }
    let mut consent = consent_of(&mut tx, signed_in.user_id, client).await?;
    consent.add(request);
    execute!(
        &mut tx,
        "INSERT INTO consents (user_id, client_id, consent, granted_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (user_id, client_id) DO UPDATE SET consent = $3, granted_at = $4",
        signed_in.user_id,
        &client.client_id,
        Json(consent),
        platform.clock.now()
    )?;
    answer(state, tx, client, request, Some(&pending), signed_in).await
}

/// Issues the code without asking: the consent was given before.
pub async fn issue(
    state: &AppState,
    client: &Arc<Client>,
    request: &ValidatedRequest,
    pending: Option<&Pending>,
    signed_in: &SignedIn,
) -> Result<Delivery, OAuthError> {
    let Some(mut tx) = begin(state, signed_in).await? else {
        return signed_out(state, client, request, pending).await;
    };
    match pending {
        None => check_standing(&mut tx, &client.client_id, request).await?,
        Some(pending) if !consume(&mut tx, state, pending).await? => return pending.expired(state),
        Some(_) => {}
    }
    if !still_has_consent(&mut tx, client, request, signed_in.user_id).await? {
        drop(tx);
        let error = OAuthError::new(Code::ConsentRequired, "what the person allowed was taken back a moment ago");
        return ask_again(state, client, request, pending, Ask::Consent, error).await;
    }
    answer(state, tx, client, request, pending, signed_in).await
}

/// The person refuses (RFC 6749 §4.1.2.1: `access_denied`).
pub async fn deny(state: &AppState, pending: Pending) -> Result<Delivery, OAuthError> {
    let error = OAuthError::new(Code::AccessDenied, "the person refused");
    refuse(state, &pending.client, &pending.request, Some(&pending), &error).await
}

/// Answers a request, which may have been stored, with an error.
pub async fn refuse(
    state: &AppState,
    client: &Client,
    request: &ValidatedRequest,
    pending: Option<&Pending>,
    error: &OAuthError,
) -> Result<Delivery, OAuthError> {
    let answer = request.return_address().refuse(state, client, error)?;
    if let Some(pending) = pending {
        let mut tx = state.platform.db.begin().await?;
        consume(&mut tx, state, pending).await?;
        tx.commit().await?;
    }
    Ok(answer)
}

/// Begins the transaction of a decision in a session that does not end meanwhile; `None` when it has ended.
async fn begin(state: &AppState, signed_in: &SignedIn) -> Result<Option<Tx>, DbError> {
    let mut tx = state.platform.db.begin().await?;
    Ok(sessions::hold(&mut tx, &state.platform, signed_in.sid).await?.then_some(tx))
}

/// The session ended a moment ago, in another tab or by the operator's hand: it answers for nobody any more.
async fn signed_out(
    state: &AppState,
    client: &Arc<Client>,
    request: &ValidatedRequest,
    pending: Option<&Pending>,
) -> Result<Delivery, OAuthError> {
    let error = OAuthError::new(Code::LoginRequired, "the session has just ended");
    ask_again(state, client, request, pending, Ask::SignIn, error).await
}

/// What held a moment ago holds no more: the person is asked for it, or a client that wants nobody asked is told `error`.
async fn ask_again(
    state: &AppState,
    client: &Arc<Client>,
    request: &ValidatedRequest,
    pending: Option<&Pending>,
    ask: Ask,
    error: OAuthError,
) -> Result<Delivery, OAuthError> {
    if request.is_silent() {
        return refuse(state, client, request, pending, &error).await;
    }
    let id = match pending {
        Some(pending) => pending.id,
        None => persist(state, client.clone(), request.clone()).await?.id,
    };
    Ok(Delivery::Redirect(format!("{}?request={id}", ask.page())))
}

fn sign_in_page(id: AuthorizationRequestId) -> Delivery {
    Delivery::Redirect(format!("/login?request={id}"))
}

/// Hands the code over, in the decision's transaction.
async fn answer(
    state: &AppState,
    mut tx: Tx,
    client: &Client,
    request: &ValidatedRequest,
    pending: Option<&Pending>,
    signed_in: &SignedIn,
) -> Result<Delivery, OAuthError> {
    if let Some(object) = &request.object {
        match proofs::consume(&mut tx, &[object.proof(client)]).await {
            Ok(()) => {}
            // One signature, one code: who has seen the request in a browser's history gets no second.
            Err(error) if error.code == Code::InvalidRequestObject => {
                drop(tx);
                return refuse(state, client, request, pending, &error).await;
            }
            Err(error) => return Err(error),
        }
    }
    let code = issue_code(state, &mut tx, client, request, signed_in).await?;
    let answer = request.return_address().grant(state, client, code)?;
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
            acr: request.told_acr(signed_in),
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
