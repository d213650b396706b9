//! `GET, POST /oauth/logout`: the end session endpoint (OpenID Connect RP-Initiated Logout 1.0).
//!
//! An ID token that names the session here proves that the client knows it: the person is signed out without a word.
//! Anybody else's request is a link that anyone may have laid out, so the person is asked.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use shared::http::ClientIp;
use tower_sessions::Session;

use crate::pages::layout::Page;
use crate::pages::{error as page, logout as pages};
use crate::protocol::authorization::redirect;
use crate::protocol::error::OAuthError;
use crate::protocol::logout_request::LogoutRequest;
use crate::protocol::request::Parameters;
use crate::sessions;
use crate::state::AppState;

/// Where a request that was posted goes on.
pub const CONTINUE: &str = "/oauth/logout/continue";

pub async fn logout(
    State(state): State<AppState>,
    method: Method,
    ip: ClientIp,
    page: Page,
    session: Session,
    parameters: Result<Parameters, OAuthError>,
) -> Response {
    let per_minute = state.platform.config.limits.authorizations_per_minute;
    let limited = state.platform.limits.check("logout", &ip.bucket(), per_minute, Duration::from_secs(60)).await;
    if let Err(limited) = limited {
        return page::oauth(&page, &OAuthError::too_many_requests(limited.retry_after));
    }
    let read = match parameters {
        Ok(parameters) => LogoutRequest::read(&state, &parameters).await,
        Err(error) => Err(error),
    };
    let request = match read {
        Ok(request) => request,
        Err(error) => return page::oauth(&page, &error),
    };
    // A POST from the client's site comes without our SameSite cookie: go on with a GET, which has it. The hint, which
    // was posted to keep it out of addresses, goes along sealed.
    if method == Method::POST {
        return redirect(&format!("{CONTINUE}?request={}", request.seal(&state)));
    }
    proceed(&state, page, session, &request).await
}

#[derive(Deserialize)]
pub struct Resume {
    #[serde(default)]
    request: String,
}

/// `GET /oauth/logout/continue?request=…`. A request that can't be read, or is too old, is taken for none: the person is
/// asked, and stays here.
pub async fn resume(
    State(state): State<AppState>,
    page: Page,
    session: Session,
    Query(Resume { request }): Query<Resume>,
) -> Response {
    let request = LogoutRequest::open(&state, &request).unwrap_or_default();
    proceed(&state, page, session, &request).await
}

async fn proceed(state: &AppState, mut page: Page, session: Session, request: &LogoutRequest) -> Response {
    page.prefer(&request.ui_locales);
    let decide = async {
        let Some(signed_in) = sessions::current(&session, state).await? else { return Ok((None, false)) };
        let certain = request.names(state, &signed_in).await?;
        Ok(((!certain).then_some(signed_in), certain))
    };
    match decide.await {
        Ok((None, certain)) => pages::leave(state, &page, &session, request, certain).await,
        Ok((Some(signed_in), _)) => pages::ask(state, page, &signed_in, request).await,
        Err(error) => page::database(&page, &error),
    }
}
