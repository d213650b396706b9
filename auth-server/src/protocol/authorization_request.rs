//! An authorization request that has been validated and waits, under an id, for the person to sign in and consent.
//! Everything between happens on that id, so two tabs never disturb each other, and an expired one still knows the way
//! back to its client.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use oxide_auth_async::primitives::Authorizer;
use serde::{Deserialize, Serialize};
use shared::db::{Conn, DbError, Tx};
use shared::ids::{AuthorizationRequestId, ClientId, UserId};
use shared::{execute, fetch_optional};
use sqlx::types::Json;
use url::{Url, form_urlencoded};

use super::error::{Code, OAuthError};
use super::grants::{self, CodeRequest, Codes, GrantDetails, Parts};
use crate::clients::{Client, is_loopback};
use crate::sessions::SignedIn;
use crate::state::AppState;

/// How long a person may take to sign in and decide.
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// What a client asked for, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatedRequest {
    pub redirect_uri: String,
    pub redirect_uri_given: bool,
    pub scope: Vec<String>,
    pub state: Option<String>,
    pub nonce: Option<String>,
    pub pkce: Option<String>,
    pub resource: Vec<String>,
    pub prompt: Vec<String>,
    /// Seconds (OpenID Connect Core §3.1.2.1).
    pub max_age: Option<u64>,
    pub login_hint: Option<String>,
    pub ui_locales: Vec<String>,
}

impl ValidatedRequest {
    fn prompts(&self, what: &str) -> bool {
        self.prompt.iter().any(|p| p == what)
    }
}

/// A request that waits.
#[derive(Clone, Debug)]
pub struct Pending {
    pub id: AuthorizationRequestId,
    pub client: Arc<Client>,
    pub request: ValidatedRequest,
    pub created_at: DateTime<Utc>,
}

/// What became of a request.
pub enum Loaded {
    Live(Pending),
    /// Too late, or decided already: lead the person back to the client.
    Expired(Pending),
    /// Never was, or long gone.
    Gone,
}

/// What a request needs next.
pub enum Next {
    SignIn,
    SignUp,
    Consent,
    /// Nothing: the code can be issued.
    Issue,
}

/// Where a person goes on after signing in or up.
pub fn continue_url(id: AuthorizationRequestId) -> String {
    format!("/oauth/authorize/continue?request={id}")
}

/// Keeps a validated request.
pub async fn persist(state: &AppState, client: Arc<Client>, request: ValidatedRequest) -> Result<Pending, DbError> {
    let platform = &state.platform;
    // Random, not time-ordered: knowing one id must not help to guess another.
    let id = AuthorizationRequestId(platform.random.uuid_v4());
    let now = platform.clock.now();
    let mut tx = platform.db.begin().await?;
    execute!(
        &mut tx,
        "INSERT INTO authorization_requests (id, client_id, request, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5)",
        id,
        &client.client_id,
        Json(&request),
        now,
        now + LIFETIME
    )?;
    tx.commit().await?;
    Ok(Pending { id, client, request, created_at: now })
}

/// Reads a request back.
pub async fn load(state: &AppState, id: AuthorizationRequestId) -> Result<Loaded, DbError> {
    let mut conn = state.platform.db.read().await?;
    let row = fetch_optional!(
        &mut conn,
        (ClientId, Json<ValidatedRequest>, DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>),
        "SELECT client_id, request, created_at, expires_at, consumed_at FROM authorization_requests WHERE id = $1",
        id
    )?;
    drop(conn);
    let Some((client_id, Json(request), created_at, expires_at, consumed_at)) = row else { return Ok(Loaded::Gone) };
    let Some(client) = state.clients.get(&client_id).await? else { return Ok(Loaded::Gone) };
    let pending = Pending { id, client, request, created_at };
    let live = consumed_at.is_none() && expires_at > state.platform.clock.now();
    Ok(if live { Loaded::Live(pending) } else { Loaded::Expired(pending) })
}

/// Does the session answer what the request asks of it (`prompt=login`, `max_age`)? `since` is when the request came.
fn signed_in_enough(
    request: &ValidatedRequest,
    signed_in: &SignedIn,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> bool {
    let fresh = signed_in.auth_time >= since;
    if (request.prompts("login") || request.prompts("select_account") || request.prompts("create")) && !fresh {
        return false;
    }
    match request.max_age.and_then(|s| i64::try_from(s).ok()).and_then(TimeDelta::try_seconds) {
        // Signing in for this very request is enough, even where max_age is 0.
        Some(age) => fresh || now - signed_in.auth_time <= age,
        None => true,
    }
}

/// What the request needs next, for this session.
pub async fn next(
    state: &AppState,
    client: &Client,
    request: &ValidatedRequest,
    since: DateTime<Utc>,
    signed_in: Option<&SignedIn>,
) -> Result<Next, DbError> {
    let Some(signed_in) = signed_in.filter(|s| signed_in_enough(request, s, since, state.platform.clock.now())) else {
        return Ok(if request.prompts("create") { Next::SignUp } else { Next::SignIn });
    };
    if request.prompts("consent") {
        return Ok(Next::Consent);
    }
    if client.first_party && !impersonable(client, request) {
        return Ok(Next::Issue);
    }
    // Whoever listens on a loopback port or registered a private scheme can pose as a public client: ask each time
    // (RFC 8252 §8.6).
    if impersonable(client, request) {
        return Ok(Next::Consent);
    }
    let mut conn = state.platform.db.read().await?;
    let consented = consented_scope(&mut conn, signed_in.user_id, client).await?;
    let covered = request.scope.iter().all(|scope| consented.contains(scope));
    Ok(if covered { Next::Issue } else { Next::Consent })
}

fn impersonable(client: &Client, request: &ValidatedRequest) -> bool {
    client.is_public()
        && Url::parse(&request.redirect_uri).is_ok_and(|uri| uri.scheme() != "https" || is_loopback(&uri))
}

#[derive(Serialize, Deserialize)]
struct Consent {
    scope: Vec<String>,
}

async fn consented_scope(conn: &mut Conn, user: UserId, client: &Client) -> Result<Vec<String>, DbError> {
    let row: Option<(Json<Consent>,)> = fetch_optional!(
        conn,
        (Json<Consent>,),
        "SELECT consent FROM consents WHERE user_id = $1 AND client_id = $2",
        user,
        &client.client_id
    )?;
    Ok(row.map(|(Json(consent),)| consent.scope).unwrap_or_default())
}

/// The person allows the request: remembers the consent, issues a code and sends the browser to the client. The
/// request is used up.
///
/// # Errors
/// As [`OAuthError`]; a request that was decided in another tab a moment ago leads back to the client as well.
pub async fn allow(state: &AppState, pending: Pending, signed_in: &SignedIn) -> Result<Response, OAuthError> {
    let platform = &state.platform;
    // The page can be opened by hand, past the sign-in that was asked for.
    if !signed_in_enough(&pending.request, signed_in, pending.created_at, platform.clock.now()) {
        return Ok(redirect(&format!("/login?request={}", pending.id)));
    }
    let mut tx = platform.db.begin().await?;
    if !consume(&mut tx, state, &pending).await? {
        return Ok(redirect(&return_to_client(state, &pending)));
    }
    let mut scope = consented_scope(&mut tx, signed_in.user_id, &pending.client).await?;
    for token in &pending.request.scope {
        if !scope.contains(token) {
            scope.push(token.clone());
        }
    }
    execute!(
        &mut tx,
        "INSERT INTO consents (user_id, client_id, consent, granted_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (user_id, client_id) DO UPDATE SET consent = $3, granted_at = $4",
        signed_in.user_id,
        &pending.client.client_id,
        Json(Consent { scope }),
        platform.clock.now()
    )?;
    let location = issue_code(state, &mut tx, &pending.client, &pending.request, signed_in).await?;
    tx.commit().await?;
    Ok(redirect(&location))
}

/// Issues the code without asking: the consent was given before. Uses up the request where it was kept.
pub async fn issue(
    state: &AppState,
    client: &Client,
    request: &ValidatedRequest,
    pending: Option<&Pending>,
    signed_in: &SignedIn,
) -> Result<Response, OAuthError> {
    let mut tx = state.platform.db.begin().await?;
    if let Some(pending) = pending
        && !consume(&mut tx, state, pending).await?
    {
        return Ok(redirect(&return_to_client(state, pending)));
    }
    let location = issue_code(state, &mut tx, client, request, signed_in).await?;
    tx.commit().await?;
    Ok(redirect(&location))
}

/// The person refuses (RFC 6749 §4.1.2.1: `access_denied`). The request is used up.
pub async fn deny(state: &AppState, pending: Pending) -> Result<Response, OAuthError> {
    let mut tx = state.platform.db.begin().await?;
    consume(&mut tx, state, &pending).await?;
    tx.commit().await?;
    let error = OAuthError::new(Code::AccessDenied, "the person refused");
    Ok(redirect(&error_url(state, &pending.request.redirect_uri, pending.request.state.as_deref(), &error)))
}

async fn consume(tx: &mut Tx, state: &AppState, pending: &Pending) -> Result<bool, DbError> {
    let consumed = execute!(
        tx,
        "UPDATE authorization_requests SET consumed_at = $2 \
         WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2",
        pending.id,
        state.platform.clock.now()
    )?;
    Ok(consumed == 1)
}

async fn issue_code(
    state: &AppState,
    tx: &mut Tx,
    client: &Client,
    request: &ValidatedRequest,
    signed_in: &SignedIn,
) -> Result<String, OAuthError> {
    let platform = &state.platform;
    let seconds = i64::try_from(platform.config.tokens.code_seconds).unwrap_or(60);
    let parts = Parts {
        details: GrantDetails {
            scope: request.scope.clone(),
            resource: request.resource.clone(),
            auth_time: signed_in.auth_time,
            acr: signed_in.acr.clone(),
            amr: signed_in.amr.clone(),
        },
        code: Some(CodeRequest {
            redirect_uri: request.redirect_uri.clone(),
            redirect_uri_given: request.redirect_uri_given,
            nonce: request.nonce.clone(),
            pkce: request.pkce.clone(),
        }),
        reference: None,
    };
    let broken = || OAuthError::new(Code::ServerError, "the code can't be issued");
    let redirect_uri = request.redirect_uri.parse().map_err(|_| broken())?;
    let until = platform.clock.now() + TimeDelta::seconds(seconds);
    let grant = grants::to_oxide(signed_in.user_id, client, redirect_uri, until, parts).ok_or_else(broken)?;
    let mut codes = Codes::new(tx, platform, client, Some(signed_in.sid));
    let code = match codes.authorize(grant).await {
        Ok(code) => code,
        Err(()) => return Err(codes.failure.take().map_or_else(broken, OAuthError::from)),
    };
    let mut answer = vec![("code", code.as_str())];
    answer.extend(request.state.as_deref().map(|s| ("state", s)));
    answer.push(("iss", state.issuer()));
    Ok(with_query(&request.redirect_uri, &answer))
}

/// The client's URL with an error for it (RFC 6749 §4.1.2.1, RFC 9207 §2).
pub fn error_url(state: &AppState, redirect_uri: &str, client_state: Option<&str>, error: &OAuthError) -> String {
    let mut answer = vec![("error", error.code.as_str()), ("error_description", error.description.as_str())];
    answer.extend(client_state.map(|s| ("state", s)));
    answer.push(("iss", state.issuer()));
    with_query(redirect_uri, &answer)
}

/// Where an expired request's page leads: to the client, which can start anew.
pub fn return_to_client(state: &AppState, pending: &Pending) -> String {
    let error = OAuthError::new(Code::AccessDenied, "the request expired or was decided already; start again");
    error_url(state, &pending.request.redirect_uri, pending.request.state.as_deref(), &error)
}

/// Adds parameters to a redirect URI, leaving what is written there as it is.
fn with_query(uri: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let separator = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, query)) if query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{separator}{query}")
}

/// 303, so that a browser that posted comes with a GET, and nothing is posted on (RFC 9700 §4.12).
pub fn redirect(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => {
            let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            (StatusCode::SEE_OTHER, [(header::LOCATION, location), no_store]).into_response()
        }
        Err(_) => OAuthError::new(Code::ServerError, "the redirect URI can't be written in a header").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_added_to_a_redirect_uri_as_it_was_registered__rfc6749_3_1_2() {
        for (uri, expected) in [
            ("https://a.example/cb", "https://a.example/cb?code=x+y"),
            ("https://a.example/cb?t=1", "https://a.example/cb?t=1&code=x+y"),
            ("https://a.example/cb?", "https://a.example/cb?code=x+y"),
            ("com.example.app:/cb", "com.example.app:/cb?code=x+y"),
        ] {
            assert_eq!(with_query(uri, &[("code", "x y")]), expected);
        }
    }
}
