//! The authorization code grant (RFC 6749 §4.1.3) with PKCE (RFC 7636 §4.6).

use std::sync::Arc;

use oxide_auth::code_grant::extensions::Pkce;
use oxide_auth::primitives::grant::Value;
use oxide_auth_async::primitives::Issuer;
use serde_json::json;
use shared::audit;
use shared::ids::UserId;
use shared::secret::PlainToken;

use crate::clients::Client;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::{self, CodeRequest, Codes, Parts, RefreshTokens};
use crate::protocol::machines::{self, TokenFailure};
use crate::protocol::request::{Authenticated, Parameters};
use crate::protocol::tokens::{self, Subject, TokenResponse};
use crate::state::AppState;

/// One answer for every code that does not serve, so that nothing is learnt from it.
fn refused() -> OAuthError {
    OAuthError::invalid_grant(
        "the code is unknown, expired, used, or was issued for another client, redirect URI or verifier",
    )
}

fn broken() -> OAuthError {
    OAuthError::new(Code::ServerError, "the code can't be exchanged")
}

pub async fn exchange(
    state: &AppState,
    client: &Arc<Client>,
    parameters: &Parameters,
) -> Result<TokenResponse, OAuthError> {
    let platform = &state.platform;
    let code = PlainToken::presented(parameters.require("code")?);
    let mut tx = platform.db.begin().await?;
    let Some(stored) = grants::peek_code(&mut tx, client, &code).await? else { return Err(refused()) };
    let redirect_uri = redirect_uri(parameters, &stored)?;

    let request = Authenticated { parameters, client_id: client.client_id.as_str(), redirect_uri: Some(&redirect_uri) };
    let mut codes = Codes::new(&mut tx, platform, client, None);
    let outcome = machines::exchange_code(&mut codes, &request, |extensions| {
        verify_pkce(parameters, &stored).map(|()| extensions)
    })
    .await;
    let (failure, replayed) = (codes.failure.take(), codes.replayed.take());
    let grant = match outcome {
        Ok(grant) => grant,
        Err(TokenFailure::Extension(error)) => return Err(error),
        Err(TokenFailure::Store) => return Err(failure.map_or_else(broken, OAuthError::from)),
        Err(_) => {
            // A second use means that someone else may have had the code: what the first use gave ends
            // (RFC 6749 §4.1.2).
            if let Some(grant) = replayed {
                grants::end_grant(&mut tx, platform, grant).await?;
                let details = json!({ "grant": grant });
                audit::record(&mut tx, platform, "authorization_code.reused", None, Some(&client.client_id), details)
                    .await?;
                tx.commit().await?;
            }
            return Err(refused());
        }
    };

    let parts = Parts::of(&grant.extensions).ok_or_else(broken)?;
    let reference = parts.reference.ok_or_else(broken)?;
    let user: UserId = grant.owner_id.parse().map_err(|_| broken())?;
    let resource = tokens::check_resource(state, &parameters.resource, &parts.details.resource)?;
    let mut refresh_tokens = RefreshTokens::new(&mut tx, platform, client);
    let issued = match refresh_tokens.issue(grant).await {
        Ok(issued) => issued,
        Err(()) => return Err(refresh_tokens.failure.take().map_or_else(broken, OAuthError::from)),
    };
    tx.commit().await?;

    let details = &parts.details;
    let subject = Subject::User { id: user, grant: reference.id, sid: reference.sid, details };
    let access_token =
        tokens::access_token(state, client, &subject, &details.scope, &resource, issued.token, issued.until)?;
    let id_token = if details.scope.iter().any(|s| s == "openid") {
        let nonce = parts.code.as_ref().and_then(|code| code.nonce.as_deref());
        Some(tokens::id_token(state, client, user, reference.sid, details, nonce, &access_token)?)
    } else {
        None
    };
    Ok(TokenResponse {
        access_token,
        token_type: "Bearer",
        expires_in: platform.config.tokens.access_token_seconds,
        scope: details.scope.join(" "),
        refresh_token: issued.refresh,
        id_token,
    })
}

/// The redirect URI must be repeated exactly if the authorization request named it (RFC 6749 §4.1.3). oxide-auth's
/// machine compares normalised URLs, so the text is compared here.
fn redirect_uri(parameters: &Parameters, stored: &CodeRequest) -> Result<String, OAuthError> {
    match parameters.get("redirect_uri") {
        Some(uri) if uri == stored.redirect_uri => Ok(uri.into_owned()),
        Some(_) => Err(refused()),
        None if stored.redirect_uri_given => Err(OAuthError::invalid_request("the parameter redirect_uri is missing")),
        None => Ok(stored.redirect_uri.clone()),
    }
}

fn verify_pkce(parameters: &Parameters, stored: &CodeRequest) -> Result<(), OAuthError> {
    let verifier = parameters.get("code_verifier");
    match (&stored.pkce, &verifier) {
        (None, None) => Ok(()),
        // A verifier for a request without a challenge: the challenge was stripped on the way (RFC 9700 §4.8).
        (None, Some(_)) => Err(refused()),
        (Some(_), None) => Err(OAuthError::invalid_grant("the parameter code_verifier is missing")),
        (Some(pkce), Some(text)) => {
            let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            if !(43..=128).contains(&text.len()) || !text.bytes().all(unreserved) {
                return Err(OAuthError::invalid_grant("code_verifier must have 43 to 128 unreserved characters"));
            }
            Pkce::required().verify(Some(Value::private(Some(pkce.clone()))), verifier).map_err(|()| refused())
        }
    }
}
