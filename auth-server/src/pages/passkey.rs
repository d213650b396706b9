//! Passkeys on the pages of signing in. A script asks the browser for one and puts the answer into a form; what is posted
//! is a form like any other. `/login/passkey/options` tells the script what to ask for, as JSON.

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use serde::Deserialize;
use serde_json::json;
use shared::http::ClientIp;
use shared::secret::PlainToken;
use std::time::Duration;
use tower_sessions::Session;

use super::error;
use super::layout::Page;
use super::login::{Through, passkey_refused};
use super::signing_in::{Proof, conclude};
use crate::AppState;
use crate::accounts::factors::passkeys::{self, PasskeyError, Used};
use crate::accounts::signin::SignInError;
use crate::sessions::{ACR_PHISHING_RESISTANT, AMR_HARDWARE_KEY, AMR_MFA, AMR_PRESENCE, AMR_SOFTWARE_KEY};

const MINUTE: Duration = Duration::from_secs(60);

/// Ceremonies that one address may begin in a minute: each visit of the sign-in page begins one.
const CEREMONIES: u64 = 120;

/// A passkey's answer, as the form carries it.
#[derive(Deserialize)]
pub struct Answer {
    #[serde(default)]
    pub csrf: String,
    /// The key of the ceremony.
    #[serde(default)]
    pub ceremony: String,
    /// What the authenticator said, as JSON.
    #[serde(default)]
    pub credential: String,
    #[serde(flatten)]
    pub through: Through,
}

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    pub csrf: String,
}

/// Options for the script, or why there are none.
pub fn options(result: Result<(serde_json::Value, PlainToken), PasskeyError>) -> Response {
    let mut response = match result {
        Ok((mut options, key)) => {
            options["ceremony"] = json!(key.reveal());
            Json(options).into_response()
        }
        Err(PasskeyError::Refused) => StatusCode::NOT_FOUND.into_response(),
        Err(PasskeyError::TooMany) => StatusCode::CONFLICT.into_response(),
        Err(PasskeyError::Db(error)) => {
            tracing::warn!(%error, "no ceremony of a passkey can begin");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// `POST /login/passkey/options`.
pub async fn begin(
    State(state): State<AppState>,
    page: Page,
    ip: ClientIp,
    sent: Result<Form<Asked>, FormRejection>,
) -> Response {
    let Ok(Form(Asked { csrf })) = sent else { return StatusCode::BAD_REQUEST.into_response() };
    if page.check_form(&csrf, None).is_err() {
        return StatusCode::FORBIDDEN.into_response();
    }
    if let Err(limited) = state.platform.limits.check("passkey-ceremonies", &ip.bucket(), CEREMONIES, MINUTE).await {
        return shared::problem::Problem::from(limited).into_response();
    }
    options(passkeys::begin_sign_in(&state.platform).await)
}

/// `POST /login/passkey`.
pub async fn submit(
    State(state): State<AppState>,
    mut page: Page,
    session: Session,
    ip: ClientIp,
    sent: Result<Form<Answer>, FormRejection>,
) -> Response {
    let Ok(Form(answer)) = sent else { return error::malformed(&page) };
    page.at("/login", &[("request", answer.through.request.as_str())]);
    if let Err(response) = page.check_form(&answer.csrf, None) {
        return response;
    }
    let why = match judge(&state, &ip, &answer).await {
        Ok(used) => match enter(&state, &page, &session, &used, &answer.through.onward()).await {
            Ok(response) => return response,
            Err(why) => why,
        },
        Err(why) => why,
    };
    passkey_refused(&state, page, &answer.through, why).await
}

/// Whose passkey answered?
pub async fn judge(state: &AppState, ip: &ClientIp, answer: &Answer) -> Result<Used, SignInError> {
    let platform = &state.platform;
    platform.limits.check("signin", &ip.bucket(), platform.config.limits.signins_per_minute, MINUTE).await?;
    let key = PlainToken::presented(answer.ceremony.clone());
    match passkeys::finish_sign_in(platform, &key, &answer.credential).await {
        Ok(used) => Ok(used),
        Err(PasskeyError::Db(error)) => Err(error.into()),
        Err(_) => Err(SignInError::Refused),
    }
}

/// Signs the owner of a passkey in. It is two factors by itself: the device, and what opens it.
pub async fn enter(
    state: &AppState,
    page: &Page,
    session: &Session,
    used: &Used,
    onward: &str,
) -> Result<Response, SignInError> {
    let key = if used.synced { AMR_SOFTWARE_KEY } else { AMR_HARDWARE_KEY };
    let amr = [key, AMR_PRESENCE, AMR_MFA];
    conclude(state, page, session, (used.user_id, ACR_PHISHING_RESISTANT, &amr), Proof::Passkey(used), onward).await
}
