//! `GET, POST /oauth/authorize`: the authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3.1.2).
//!
//! Until client and redirect URI are known to belong together, errors are shown on a page of ours; from then on they go
//! to the client.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::Method;
use axum::response::Response;
use oxide_auth::code_grant::extensions::Pkce;
use oxide_auth::primitives::grant::Extensions;
use serde::Deserialize;
use shared::http::ClientIp;
use shared::ids::{AuthorizationRequestId, ClientId};
use tower_sessions::Session;

use crate::clients::Client;
use crate::locales::Locale;
use crate::pages::error as page;
use crate::pages::layout::Page;
use crate::protocol::authorization_request::{self as pending, Loaded, Next, Pending, ValidatedRequest, redirect};
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::scope_list;
use crate::protocol::machines::{self, AuthorizationFailure};
use crate::protocol::registrar::{RequestRegistrar, matches_registered};
use crate::protocol::request::Parameters;
use crate::protocol::tokens::check_resource;
use crate::sessions::{self, SignedIn};
use crate::state::AppState;

/// The longest `state` and `nonce`, in bytes: both are stored and given back.
const MAX_OPAQUE: usize = 2048;

/// A request that can't be answered at the client: shown to the person.
enum Refusal {
    Page(OAuthError),
    Client(Response),
}

pub async fn authorize(
    State(state): State<AppState>,
    method: Method,
    ip: ClientIp,
    page: Page,
    session: Session,
    parameters: Result<Parameters, OAuthError>,
) -> Response {
    let per_minute = state.platform.config.limits.authorizations_per_minute;
    let window = Duration::from_secs(60);
    if let Err(limited) = state.platform.limits.check("authorize", &ip.bucket(), per_minute, window).await {
        return page::oauth(&page, &OAuthError::too_many_requests(limited.retry_after));
    }
    let parameters = match parameters {
        Ok(parameters) => parameters,
        Err(error) => return page::oauth(&page, &error),
    };
    let (client, request) = match validate(&state, &parameters).await {
        Ok(validated) => validated,
        Err(Refusal::Page(error)) => return page::oauth(&page, &error),
        Err(Refusal::Client(response)) => return response,
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
    let gone = || OAuthError::invalid_request("this request is unknown or long gone; start again from the app");
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
    let now = state.platform.clock.now();
    let since = kept.as_ref().map_or(now, |pending| pending.created_at);
    let next = match pending::next(state, &client, &request, since, signed_in.as_ref()).await {
        Ok(next) => next,
        Err(error) => return page::oauth(page, &error.into()),
    };
    if let (Next::Issue, Some(signed_in)) = (&next, &signed_in) {
        return match pending::issue(state, &client, &request, kept.as_ref(), signed_in).await {
            Ok(response) => response,
            Err(error) => page::oauth(page, &error),
        };
    }
    // The client asked that nobody be asked anything (OpenID Connect Core §3.1.2.6).
    if request.prompt.iter().any(|p| p == "none") {
        let error = match next {
            Next::SignIn | Next::SignUp => OAuthError::new(Code::LoginRequired, "nobody is signed in"),
            Next::Consent => OAuthError::new(Code::ConsentRequired, "the person has not consented yet"),
            Next::Issue => OAuthError::new(Code::InteractionRequired, "the person must be asked"),
        };
        return redirect(&pending::error_url(state, &request.redirect_uri, request.state.as_deref(), &error));
    }
    let pending = match kept {
        Some(pending) => pending,
        None => match pending::persist(state, client, request).await {
            Ok(pending) => pending,
            Err(error) => return page::oauth(page, &error.into()),
        },
    };
    redirect(&match next {
        Next::SignUp => format!("/signup?request={}", pending.id),
        Next::Consent => format!("/consent?request={}", pending.id),
        Next::SignIn | Next::Issue => format!("/login?request={}", pending.id),
    })
}

/// Checks the whole request.
async fn validate(state: &AppState, parameters: &Parameters) -> Result<(Arc<Client>, ValidatedRequest), Refusal> {
    let client_id = parameters.require("client_id").map_err(Refusal::Page)?;
    let client = state.clients.get(&ClientId(client_id.into_owned())).await.map_err(|e| Refusal::Page(e.into()))?;
    let client = client
        .filter(|client| client.may_use("authorization_code"))
        .ok_or_else(|| Refusal::Page(OAuthError::invalid_request("client_id names no client that may do this")))?;

    let redirect_uri = match (parameters.get("redirect_uri"), client.metadata.redirect_uris.as_slice()) {
        (Some(uri), _) if matches_registered(&client, &uri) => uri.into_owned(),
        (Some(_), _) => {
            let reason = "redirect_uri is not registered for this client; it must match character by character";
            return Err(Refusal::Page(OAuthError::invalid_request(reason)));
        }
        (None, [only]) => only.clone(),
        (None, _) => return Err(Refusal::Page(OAuthError::invalid_request("the parameter redirect_uri is missing"))),
    };

    // From here on, errors belong to the client.
    let client_state = parameters.get("state").map(Cow::into_owned);
    let kept_state = client_state.clone().filter(|s| s.len() <= MAX_OPAQUE);
    let to_client = |error: OAuthError| {
        Refusal::Client(redirect(&pending::error_url(state, &redirect_uri, kept_state.as_deref(), &error)))
    };
    if client_state.is_some() && kept_state.is_none() {
        return Err(to_client(OAuthError::invalid_request("state is longer than 2048 bytes")));
    }

    let registrar = RequestRegistrar { client: client.clone() };
    let validated = machines::authorize(&registrar, parameters, || pkce(&client, parameters)).await.map_err(
        |failure| match failure {
            AuthorizationFailure::Binding => {
                Refusal::Page(OAuthError::invalid_request("redirect_uri is not a URL that can be answered at"))
            }
            AuthorizationFailure::ResponseType => to_client(match parameters.get("response_type") {
                None => OAuthError::invalid_request("the parameter response_type is missing"),
                Some(_) => OAuthError::new(Code::UnsupportedResponseType, "response_type must be code"),
            }),
            AuthorizationFailure::Scope => to_client(OAuthError::new(
                Code::InvalidScope,
                "the scope is malformed or goes beyond what the client registered",
            )),
            AuthorizationFailure::Extension(error) => to_client(error),
            AuthorizationFailure::Broken => {
                to_client(OAuthError::new(Code::ServerError, "the request can't be handled"))
            }
        },
    )?;

    let openid = openid(parameters).map_err(&to_client)?;
    let resource = check_resource(state, &parameters.resource, &[]).map_err(&to_client)?;
    let scope = scope_list(&validated.pre_grant.scope);
    if scope.is_empty() {
        return Err(to_client(OAuthError::new(Code::InvalidScope, "the scope is empty")));
    }
    let request = ValidatedRequest {
        redirect_uri_given: parameters.get("redirect_uri").is_some(),
        scope,
        state: validated.state,
        pkce: stored_pkce(&validated.extensions),
        resource,
        redirect_uri,
        ..openid
    };
    Ok((client, request))
}

/// The code challenge (RFC 7636 §4.3): required of most clients, enforced whenever it is sent, never `plain`.
fn pkce(client: &Client, parameters: &Parameters) -> Result<Extensions, OAuthError> {
    let mut extensions = Extensions::new();
    let challenge = parameters.get("code_challenge");
    let method = parameters.get("code_challenge_method");
    match &challenge {
        None if method.is_some() => {
            return Err(OAuthError::invalid_request("code_challenge_method is there without a code_challenge"));
        }
        None if client.requires_pkce() => {
            return Err(OAuthError::invalid_request("code_challenge is missing: this client must use PKCE (RFC 7636)"));
        }
        None => return Ok(extensions),
        // SHA-256 in base64url has 43 characters.
        Some(c) if c.len() != 43 || !c.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') => {
            return Err(OAuthError::invalid_request(
                "code_challenge must be 43 characters of base64url (RFC 7636 §4.2)",
            ));
        }
        Some(_) => {}
    }
    let encoded = Pkce::required()
        .challenge(method, challenge)
        .map_err(|()| OAuthError::invalid_request("code_challenge_method must be S256"))?;
    if let Some(value) = encoded {
        extensions.set(&Pkce::required(), value);
    }
    Ok(extensions)
}

fn stored_pkce(extensions: &Extensions) -> Option<String> {
    extensions.private().find(|(name, _)| *name == "pkce").and_then(|(_, value)| value.map(str::to_owned))
}

/// What OpenID Connect adds (Core §3.1.2.1). Unknown parameters are ignored (RFC 6749 §3.1).
fn openid(parameters: &Parameters) -> Result<ValidatedRequest, OAuthError> {
    if parameters.get("request").is_some() {
        return Err(OAuthError::new(Code::RequestNotSupported, "request objects are not supported"));
    }
    if parameters.get("request_uri").is_some() {
        return Err(OAuthError::new(Code::RequestUriNotSupported, "request_uri is not supported"));
    }
    if parameters.get("registration").is_some() {
        return Err(OAuthError::new(Code::RegistrationNotSupported, "the registration parameter is not supported"));
    }
    if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(OAuthError::invalid_request("response_mode must be query"));
    }
    let nonce = parameters.get("nonce").map(Cow::into_owned);
    if nonce.as_ref().is_some_and(|n| n.len() > MAX_OPAQUE) {
        return Err(OAuthError::invalid_request("nonce is longer than 2048 bytes"));
    }
    let words = |name: &str| -> Vec<String> {
        parameters.get(name).map(|v| v.split_ascii_whitespace().map(str::to_owned).collect()).unwrap_or_default()
    };
    let mut prompt = words("prompt");
    prompt.sort();
    prompt.dedup();
    if let Some(unknown) =
        prompt.iter().find(|p| !["none", "login", "consent", "select_account", "create"].contains(&p.as_str()))
    {
        return Err(OAuthError::invalid_request(format!("there is no prompt {unknown}")));
    }
    if prompt.len() > 1 && prompt.iter().any(|p| p == "none") {
        return Err(OAuthError::invalid_request("prompt none goes with no other value"));
    }
    let max_age = match parameters.get("max_age") {
        None => None,
        Some(text) => {
            Some(text.parse::<u64>().map_err(|_| OAuthError::invalid_request("max_age must be a number of seconds"))?)
        }
    };
    let login_hint = parameters.get("login_hint").map(Cow::into_owned).filter(|hint| hint.len() <= 254);
    Ok(ValidatedRequest {
        redirect_uri: String::new(),
        redirect_uri_given: false,
        scope: vec![],
        state: None,
        nonce,
        pkce: None,
        resource: vec![],
        prompt,
        max_age,
        login_hint,
        // Only what we have texts in is kept: the rest is a stranger's choice of what we store.
        ui_locales: words("ui_locales")
            .iter()
            .filter_map(|tag| Locale::from_tag(tag))
            .take(2)
            .map(|l| l.tag().to_owned())
            .collect(),
    })
}
