//! How a caller presents themself: the token in the one `Authorization` header. Tokens in the query or the body are not looked at (RFC 6750 §2.2, §2.3
//! leave both to the server, and either ends up in logs).

use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use shared::dpop::{DPOP, DPOP_NONCE};
use shared::http::send_along;

use super::challenge::Refusal;
use crate::state::AppState;

/// How a token is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449 §7.1.
    Dpop,
}

/// What a request presents.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    pub scheme: Scheme,
    pub token: &'a str,
}

/// The token and its scheme; with a refusal, the scheme as far as it is known. Whoever shows a proof is sent the current
/// nonce, whatever the answer (RFC 9449 §8.2, §9), so that who takes it up is not sent back for it.
pub fn presented<'a>(parts: &'a Parts, state: &AppState) -> Result<Presented<'a>, (Option<Scheme>, Refusal)> {
    if parts.headers.contains_key(DPOP) && state.platform().config.dpop.require_nonce {
        let nonce = state.nonces().issue(state.platform().clock.timestamp());
        if let Ok(nonce) = HeaderValue::try_from(nonce) {
            send_along(DPOP_NONCE, nonce);
        }
    }
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or((None, Refusal::NoToken))?;
    if values.next().is_some() {
        return Err((None, Refusal::Malformed("more than one Authorization header")));
    }
    let text = value.to_str().map_err(|_| (None, Refusal::Malformed("the Authorization header is not ASCII")))?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    let scheme = if scheme.eq_ignore_ascii_case("bearer") {
        Scheme::Bearer
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Scheme::Dpop
    } else {
        // Another scheme is no attempt at these.
        return Err((None, Refusal::NoToken));
    };
    let token = token.trim_start_matches(' ');
    if token.is_empty() {
        return Err((Some(scheme), Refusal::Malformed("the Authorization header has no token")));
    }
    Ok(Presented { scheme, token })
}
