//! The authorization code grant (RFC 6749 §4.1.3) with PKCE (RFC 7636 §4.6).

use oxide_auth::code_grant::extensions::Pkce;
use oxide_auth::primitives::grant::Value;
use serde_json::json;
use shared::audit;
use shared::ids::UserId;
use shared::secret::PlainToken;

use crate::protocol::authorization_details;
use crate::protocol::error::OAuthError;
use crate::protocol::grants::{self, CodeRequest, Codes, GrantDetails, Parts};
use crate::protocol::machines::{self, TokenFailure};
use crate::protocol::request::Parameters;
use crate::protocol::token_request::{Granted, TokenRequest, broken};
use crate::protocol::tokens::{self, TokenResponse};

/// One answer for every code that does not serve, so that nothing is learnt from it.
fn refused() -> OAuthError {
    OAuthError::invalid_grant(
        "the code is unknown, expired, used, or was issued for another client, redirect URI or verifier",
    )
}

pub async fn exchange(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let TokenRequest { state, client, parameters, .. } = *request;
    let platform = &state.platform;
    let code = PlainToken::presented(parameters.require("code")?);
    let stored = grants::peek_code(&mut platform.db.read().await?, client, &code).await?;
    let stored = stored.ok_or_else(refused)?;
    // RFC 9449 §10. Before the code is looked at: who has it and not the key can't even use it up.
    let shown = request.binding.as_ref().and_then(|binding| binding.jkt.as_ref());
    if stored.dpop_jkt.is_some() && stored.dpop_jkt.as_ref() != shown {
        return Err(OAuthError::invalid_grant("the code is bound to a DPoP key; prove that one"));
    }
    let redirect_uri = redirect_uri(parameters, &stored)?;

    let mut tx = request.begin().await?;
    let mut codes = Codes::new(&mut tx, platform, client, None);
    let input = request.authenticated(Some(&redirect_uri));
    let outcome =
        machines::exchange_code(&mut codes, &input, |extensions| verify_pkce(parameters, &stored).map(|()| extensions))
            .await;
    let (failure, replayed) = (codes.failure.take(), codes.replayed.take());
    let grant = match outcome {
        Ok(grant) => grant,
        Err(TokenFailure::Extension(error)) => return Err(error),
        Err(TokenFailure::Store) => return Err(failure.map_or_else(broken, OAuthError::from)),
        Err(_) => {
            // A second use means that someone else may have had the code: what the first use gave ends
            // (RFC 6749 §4.1.2). Once: who goes on showing the code writes nothing more.
            if let Some(grant) = replayed
                && grants::end_grant(&mut tx, platform, grant).await?
            {
                let details = json!({ "grant": grant });
                audit::record(&mut tx, platform, "authorization_code.reused", None, Some(&client.client_id), details)
                    .await?;
                tx.commit().await?;
            }
            return Err(refused());
        }
    };

    let Parts { details, code, reference } = Parts::of(&grant.extensions).ok_or_else(broken)?;
    let reference = reference.ok_or_else(broken)?;
    let user: UserId = grant.owner_id.parse().map_err(|_| broken())?;
    let resource = tokens::check_resource(state, &parameters.resource, &details.resource)?;
    let narrowed = authorization_details::narrowed(state, &details.authorization_details, parameters)?;
    let issued = request.first_tokens(&mut tx, user, reference, &details).await?;
    let person = tokens::person(&mut tx, user, &details).await?;
    tx.commit().await?;

    let nonce = code.as_ref().and_then(|code| code.nonce.as_deref());
    let details = GrantDetails { authorization_details: narrowed, ..details };
    let scope = &details.scope;
    let granted = Granted { user, reference, details: &details, scope, resource: &resource, nonce, issued };
    request.respond_about(granted, person.as_ref())
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
