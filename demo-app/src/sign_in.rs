//! `/sign-in`, `/callback`, `/sign-out`.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Redirect;
use tower_sessions::Session;
use tracing::warn;

use crate::Kopi;
use crate::page::Failure;
use crate::provider::{Callback, ProviderError};
use crate::session::{self, SignedIn};

/// Sends the browser to the authorization server.
pub(crate) async fn begin(State(kopi): State<Kopi>, session: Session) -> Result<Redirect, Failure> {
    let (url, attempt) = kopi.provider.begin().await?;
    session::remember(&session, attempt).await?;
    Ok(Redirect::to(url.as_str()))
}

/// Where the authorization server sends the browser back to.
pub(crate) async fn callback(
    State(kopi): State<Kopi>,
    session: Session,
    Query(response): Query<Callback>,
) -> Result<Redirect, Failure> {
    // An answer to nothing this browser asked is somebody else's: it must neither sign in nor tell its story
    // (login CSRF, RFC 6749 §10.12). Taken out of the session here, so a state serves once.
    let attempt = match response.state.as_deref() {
        Some(state) => session::recall(&session, state).await?,
        None => None,
    };
    let Some(attempt) = attempt else {
        return Err(stale());
    };
    // Before the code or the error is looked at: an error too must come from the server that was asked.
    kopi.provider.check_issuer(response.iss.as_deref()).await?;
    if let Some(error) = response.error {
        return Err(told(&error));
    }
    let code = response.code.ok_or_else(stale)?;
    let (person, tokens) = kopi.provider.finish(code, attempt).await?;
    session::sign_in(&session, &SignedIn { person, tokens }).await?;
    Ok(Redirect::to("/"))
}

/// Forgets this browser and gives the grant back. The person stays signed in at the authorization server.
pub(crate) async fn sign_out(State(kopi): State<Kopi>, session: Session) -> Result<Redirect, Failure> {
    let signed_in = session::signed_in(&session).await?;
    session::forget(&session).await?;
    if let Some(SignedIn { tokens, .. }) = signed_in {
        tokio::spawn(async move { kopi.provider.revoke(&tokens).await });
    }
    Ok(Redirect::to("/"))
}

fn stale() -> Failure {
    Failure::new(
        StatusCode::BAD_REQUEST,
        "This sign-in has gone cold",
        "It was finished already, took too long, or began in another browser. Please start over.",
    )
    .with_sign_in()
}

/// The authorization server's errors (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6), kindly.
fn told(error: &str) -> Failure {
    // It is the response's, so it may hold anything.
    warn!(error = %error.escape_debug(), "the authorization server sent the browser back with an error");
    match error {
        "access_denied" => Failure::new(
            StatusCode::FORBIDDEN,
            "No hard feelings",
            "You chose not to share anything with Kopi, so nothing was shared. The coffee is just as good without.",
        ),
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => Failure::new(
            StatusCode::UNAUTHORIZED,
            "Nearly there",
            "The sign-in page has something to ask you first. Please go through it once more.",
        ),
        "server_error" | "temporarily_unavailable" => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The sign-in is taking a break",
            "The authorization server can't help just now. Please try again in a minute.",
        ),
        _ => Failure::new(
            StatusCode::BAD_GATEWAY,
            "The sign-in did not work",
            "The authorization server did not accept our request. That is for us to mend, and not your fault.",
        ),
    }
    .with_sign_in()
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        warn!(%error, "a sign-in came to nothing");
        match error {
            ProviderError::Ended => stale(),
            ProviderError::Unreachable(_) => Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Nobody answers the bell",
                "The authorization server can't be reached just now. Please try again in a minute.",
            )
            .with_sign_in(),
            ProviderError::Answered(_) => Failure::new(
                StatusCode::BAD_GATEWAY,
                "The sign-in did not work",
                "The authorization server gave an answer we can't use. Please try again.",
            )
            .with_sign_in(),
            ProviderError::WrongIssuer | ProviderError::Untrusted(_) => Failure::new(
                StatusCode::BAD_REQUEST,
                "We don't trust this one",
                "The answer did not come from the authorization server that was asked, so nobody was signed in.",
            )
            .with_sign_in(),
        }
    }
}
