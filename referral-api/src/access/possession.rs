//! Does the caller hold the key that the token is bound to (RFC 7800)? By a DPoP proof (RFC 9449 §7) or by the client
//! certificate of the connection (RFC 8705 §3).

use axum::http::request::Parts;
use shared::dpop;
use shared::http::ClientCertificate;
use shared::platform::seldom;
use subtle::ConstantTimeEq;

use super::challenge::Refusal;
use super::presented::{Presented, Scheme};
use super::token::Confirmation;
use crate::state::AppState;

/// Checks `cnf`, and that the scheme is the one for it.
pub async fn check(
    presented: &Presented<'_>,
    confirmation: Option<&Confirmation>,
    parts: &Parts,
    state: &AppState,
) -> Result<(), Refusal> {
    let jkt = confirmation.and_then(|confirmation| confirmation.jkt.as_deref());
    let certificate = confirmation.and_then(|confirmation| confirmation.x5t_s256.as_deref());
    if confirmation.is_some() && jkt.is_none() && certificate.is_none() {
        return Err(Refusal::Invalid("the access token is bound in a way that is not known here"));
    }
    if let Some(expected) = certificate {
        certified(expected, parts)?;
    }
    match (presented.scheme, jkt) {
        (Scheme::Dpop, Some(jkt)) => seldom(proved(presented.token, jkt, parts, state)).await,
        (Scheme::Dpop, None) => Err(Refusal::Invalid("the access token is not bound to a DPoP key")),
        // RFC 9449 §7.2: or a stolen token would be good without its key.
        (Scheme::Bearer, Some(_)) => Err(Refusal::Invalid("the access token is bound to a DPoP key; use that scheme")),
        (Scheme::Bearer, None) if state.platform().config.api.require_dpop => {
            Err(Refusal::Invalid("access tokens must be bound to a DPoP key here"))
        }
        (Scheme::Bearer, None) => Ok(()),
    }
}

/// RFC 9449 §4.3, §7.1.
async fn proved(token: &str, jkt: &str, parts: &Parts, state: &AppState) -> Result<(), Refusal> {
    let platform = state.platform();
    let now = platform.clock.timestamp();
    let url = platform.config.api.public_url.join(parts.uri.path());
    let proof = match dpop::from_headers(&parts.headers) {
        Ok(Some(proof)) => dpop::verify(proof, parts.method.as_str(), &url, now, Some(token)),
        Ok(None) => return Err(Refusal::Proof("a DPoP proof is missing")),
        Err(error) => Err(error),
    };
    let proof = proof.map_err(|error| {
        tracing::debug!(%error, "a DPoP proof is refused");
        Refusal::Proof("the DPoP proof is not valid for this request")
    })?;
    if !bool::from(proof.jkt.as_bytes().ct_eq(jkt.as_bytes())) {
        return Err(Refusal::Invalid("the access token is bound to another DPoP key"));
    }
    if platform.config.dpop.require_nonce {
        let recent = proof.nonce.as_deref().is_some_and(|nonce| state.nonces().accepts(nonce, now));
        if !recent {
            return Err(Refusal::Nonce);
        }
    }
    // Last: asking uses it up.
    if !proof.is_first_use(platform).await {
        return Err(Refusal::Proof("the DPoP proof was used before"));
    }
    Ok(())
}

/// RFC 8705 §3.
fn certified(expected: &str, parts: &Parts) -> Result<(), Refusal> {
    let shown = parts.extensions.get::<ClientCertificate>();
    let matches = shown.is_some_and(|shown| bool::from(shown.thumbprint().as_bytes().ct_eq(expected.as_bytes())));
    match matches {
        true => Ok(()),
        false => Err(Refusal::Invalid("the access token is bound to another client certificate")),
    }
}
