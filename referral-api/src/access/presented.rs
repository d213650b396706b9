//! The token in the one `Authorization` header. Tokens in the query or the body are not looked at (RFC 6750 §2.2, §2.3
//! leave both to the server, and either ends up in logs).

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::challenge::Refusal;

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

/// The token and its scheme; with a refusal, the scheme as far as it is known.
pub fn presented(headers: &HeaderMap) -> Result<Presented<'_>, (Option<Scheme>, Refusal)> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
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
