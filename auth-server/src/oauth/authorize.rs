//! `GET, POST /oauth/authorize`: the authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3.1.2).
//!
//! Until client and redirect URI are known to belong together, errors are shown on a page of ours; from then on they go
//! to the client.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use shared::http::ClientIp;
use shared::ids::AuthorizationRequestId;
use tower_sessions::Session;

use crate::clients::Client;
use crate::pages::error as page;
use crate::pages::form_post::deliver;
use crate::pages::layout::Page;
use crate::protocol::authorization::{
    self as pending, Channel, Loaded, Next, Pending, Refusal, ValidatedRequest, gone, redirect,
};
use crate::protocol::client_auth;
use crate::protocol::error::OAuthError;
use crate::protocol::request::{AuthorizationParameters, Parameters};
use crate::sessions::{self, SignedIn};
use crate::state::AppState;

pub async fn authorize(
    State(state): State<AppState>,
    method: Method,
    ip: ClientIp,
    page: Page,
    session: Session,
    parameters: Result<AuthorizationParameters, OAuthError>,
) -> Response {
    let per_minute = state.platform.config.limits.authorizations_per_minute;
    let window = Duration::from_secs(60);
    if let Err(limited) = state.platform.limits.check("authorize", &ip.bucket(), per_minute, window).await {
        return page::oauth(&page, &OAuthError::too_many_requests(limited.retry_after));
    }
    let parameters = match parameters {
        Ok(AuthorizationParameters(parameters)) => parameters,
        Err(error) => return page::oauth(&page, &error),
    };
    if let Err(error) = client_auth::meet(&state, &ip, &parameters).await {
        return page::oauth(&page, &error);
    }
    if let Some(uri) = parameters.get("request_uri") {
        return match pending::take_up(&state, &parameters, &uri).await {
            Ok(id) => redirect(&pending::continue_url(id)),
            Err(refusal) => refuse(&state, &page, &session, &parameters, refusal).await,
        };
    }
    // The one place where the parameters as sent give way to those that count.
    let (client, request) = match pending::validate(&state, &parameters, Channel::Browser).await {
        Ok(validated) => validated,
        Err(refusal) => return refuse(&state, &page, &session, &parameters, refusal).await,
    };
    // A POST from the client's site comes without our SameSite cookie: go on with a GET, which has it.
    if method == Method::POST {
        return match pending::persist(&state, client, request).await {
            Ok(pending) => redirect(&pending::continue_url(pending.id)),
            Err(error) => page::oauth(&page, &error.into()),
        };
    }
    match sessions::current(&session, &state).await {
        Ok(signed_in) => proceed(&state, &page, client, request, None, signed_in).await,
        Err(error) => page::oauth(&page, &error.into()),
    }
}

/// Sends a refusal to its client. Where anybody can register, that alone would make this endpoint lead from our name to
/// whatever site they like: a browser in which nobody is signed in is shown where it would go, and goes there by a click
/// (RFC 9700 §4.11.2, which leaves out silent authentication).
async fn refuse(
    state: &AppState,
    page: &Page,
    session: &Session,
    parameters: &Parameters,
    refusal: Refusal,
) -> Response {
    let silent = parameters.get("prompt").is_some_and(|prompt| prompt.split_ascii_whitespace().any(|p| p == "none"));
    let Some(error) = refusal.of_stranger().filter(|_| !silent).cloned() else {
        return deliver(page, refusal.deliver(state));
    };
    match sessions::current(session, state).await {
        Ok(Some(_)) => deliver(page, refusal.deliver(state)),
        Ok(None) => page::of_stranger(page, &error, refusal.deliver(state)),
        Err(error) => page::oauth(page, &error.into()),
    }
}

#[derive(Deserialize)]
pub struct Resume {
    request: AuthorizationRequestId,
}

/// `GET /oauth/authorize/continue?request=…`: where sign-in and sign-up lead back to.
pub async fn resume(
    State(state): State<AppState>,
    page: Page,
    session: Session,
    query: Result<Query<Resume>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(Resume { request })) = query else { return page::oauth(&page, &gone()) };
    let pending = match pending::load(&state, request).await {
        Ok(Loaded::Live(pending)) => pending,
        Ok(Loaded::Expired(pending)) => return page::expired(&page, &state, &pending),
        Ok(Loaded::Gone) => return page::oauth(&page, &gone()),
        Err(error) => return page::oauth(&page, &error.into()),
    };
    match sessions::current(&session, &state).await {
        Ok(signed_in) => {
            proceed(&state, &page, pending.client.clone(), pending.request.clone(), Some(pending), signed_in).await
        }
        Err(error) => page::oauth(&page, &error.into()),
    }
}

async fn proceed(
    state: &AppState,
    page: &Page,
    client: Arc<Client>,
    request: ValidatedRequest,
    kept: Option<Pending>,
    signed_in: Option<SignedIn>,
) -> Response {
    let since = kept.as_ref().map(|pending| pending.created_at);
    let ask = match pending::next(state, &client, &request, since, signed_in.as_ref()).await {
        Ok(Next::Ask(ask)) => ask,
        Ok(Next::Issue(signed_in)) => {
            return deliver(page, pending::issue(state, &client, &request, kept.as_ref(), signed_in).await);
        }
        Ok(Next::Refuse(error)) => {
            return deliver(page, pending::refuse(state, &client, &request, kept.as_ref(), &error).await);
        }
        Err(error) => return page::oauth(page, &error.into()),
    };
    // The client asked that nobody be asked anything.
    if request.is_silent() {
        let error = ask.cannot_be_asked();
        return deliver(page, pending::refuse(state, &client, &request, kept.as_ref(), &error).await);
    }
    let pending = match kept {
        Some(pending) => pending,
        None => match pending::persist(state, client, request).await {
            Ok(pending) => pending,
            Err(error) => return page::oauth(page, &error.into()),
        },
    };
    redirect(&format!("{}?request={}", ask.page(), pending.id))
}
