//! DPoP at the authorization server (RFC 9449): the proof of a token request, which binds tokens and codes to its key, and
//! the proof of a request for one of our own resources. What a proof is, [`shared::dpop`] knows.

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use chrono::DateTime;
use shared::dpop::{self, DPOP, DPOP_NONCE, MAX_AGE, Proof, ProofError};

use super::error::{Code, OAuthError};
use super::proofs::UsedProof;
use super::request::Parameters;
use crate::state::AppState;

/// A key that a request proved to hold.
#[derive(Clone, Debug)]
pub struct ProvedKey {
    /// Its thumbprint.
    pub jkt: String,
    /// The proof, to be written down in the request's transaction: it serves once (§11.1).
    pub proof: UsedProof,
}

/// The key that a client's request to one of our endpoints proves (§5); `None` for one without a proof.
///
/// # Errors
/// `invalid_dpop_proof`, and `use_dpop_nonce` with the nonce for the next one (§8).
pub fn proved_key(state: &AppState, parameters: &Parameters) -> Result<Option<ProvedKey>, OAuthError> {
    let shown = match parameters.dpop.as_slice() {
        [] => return Ok(None),
        [shown] => shown,
        _ => return Err(refused(&ProofError::Header)),
    };
    let now = state.platform.clock.timestamp();
    let method = parameters.method.as_str();
    let proof = at_any_address(state, &parameters.path, |url| dpop::verify(shown, method, url, now, None));
    let proof = proof.map_err(|error| refused(&error))?;
    if !nonce_serves(state, &proof, now) {
        let error = OAuthError::new(Code::UseDpopNonce, "the DPoP proof needs the nonce from the DPoP-Nonce header");
        return Err(error.with_dpop_nonce(state.nonces.issue(now)));
    }
    let until =
        DateTime::from_timestamp(proof.iat + MAX_AGE + 1, 0).ok_or_else(|| refused(&ProofError::FromTheFuture))?;
    let used =
        OAuthError::new(Code::InvalidDpopProof, "this DPoP proof was used before; make a new one for each request");
    // In the context of the URL (§11.1): who counts its proofs by endpoint may write the same `jti` for another one.
    let context = format!("{}\n{}", proof.jkt, proof.url);
    Ok(Some(ProvedKey { proof: UsedProof::new("dpop", &context, &proof.jti, until, used), jkt: proof.jkt }))
}

fn refused(error: &ProofError) -> OAuthError {
    OAuthError::new(Code::InvalidDpopProof, error.to_string())
}

/// `path` by each address that it is reached at: the public one, and the one for mutual TLS (RFC 8705 §5).
fn at_any_address(
    state: &AppState,
    path: &str,
    verify: impl Fn(&str) -> Result<Proof, ProofError>,
) -> Result<Proof, ProofError> {
    let auth = &state.platform.config.auth;
    match (verify(&auth.public_url.join(path)), &auth.mtls_public_url) {
        (Err(ProofError::Url), Some(alias)) => verify(&alias.join(path)),
        (verified, _) => verified,
    }
}

/// Does it carry a recent nonce of ours, where one is wanted (§8, §9)?
fn nonce_serves(state: &AppState, proof: &Proof, now: i64) -> bool {
    !state.platform.config.dpop.require_nonce
        || proof.nonce.as_deref().is_some_and(|nonce| state.nonces.accepts(nonce, now))
}

/// Why a request for a resource does not prove what its token is bound to (§7.1, §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotProved {
    /// `invalid_dpop_proof`
    Proof,
    /// `use_dpop_nonce`
    Nonce,
    /// `invalid_token`: the proof is good, and of another key.
    Key,
}

/// Checks that the request for a resource of ours is made by whoever holds the key of thumbprint `jkt`, to which `token`
/// is bound (§7.1).
pub async fn check_possession(state: &AppState, parts: &Parts, token: &str, jkt: &str) -> Result<(), NotProved> {
    let now = state.platform.clock.timestamp();
    let verified = match dpop::from_headers(&parts.headers) {
        Ok(None) => return Err(NotProved::Proof),
        Ok(Some(shown)) => at_any_address(state, parts.uri.path(), |url| {
            dpop::verify(shown, parts.method.as_str(), url, now, Some(token))
        }),
        Err(error) => Err(error),
    };
    let proof = verified.map_err(|error| {
        tracing::debug!(%error, "a DPoP proof is refused");
        NotProved::Proof
    })?;
    // Both are public.
    if proof.jkt != jkt {
        return Err(NotProved::Key);
    }
    if !nonce_serves(state, &proof, now) {
        return Err(NotProved::Nonce);
    }
    // Last: asking uses it up.
    if proof.is_first_use(&state.platform).await { Ok(()) } else { Err(NotProved::Proof) }
}

/// [`with_nonce`] as a layer.
pub async fn hand_out_nonce(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let shown = request.headers().contains_key(DPOP);
    let response = next.run(request).await;
    with_nonce(&state, shown, response)
}

/// Hands the current nonce to whoever showed a proof, with whatever answer (§8.2, §9): who takes it up is not sent back
/// for it when the old one no longer serves.
pub fn with_nonce(state: &AppState, shown: bool, mut response: Response) -> Response {
    let wanted = shown && state.platform.config.dpop.require_nonce;
    if wanted && let Ok(nonce) = HeaderValue::try_from(state.nonces.issue(state.platform.clock.timestamp())) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}
