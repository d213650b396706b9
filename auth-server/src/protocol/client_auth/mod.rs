//! Client authentication (RFC 6749 §2.3): exactly the method the client registered, before anything else is looked at.

pub mod assertion;
pub mod mtls;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::http::ClientIp;
use shared::ids::ClientId;
use shared::secret::{PlainToken, TokenHash};
use url::form_urlencoded;

use super::error::OAuthError;
use super::proofs::{self, UsedProof};
use super::request::Parameters;
use crate::clients::{Client, NotNow};
use crate::state::AppState;

/// What a request shows for its client.
pub(crate) enum Presented {
    Basic { client_id: String, secret: PlainToken },
    Post { client_id: String, secret: PlainToken },
    None { client_id: String },
    Assertion(Box<assertion::Presented>),
}

/// A client that proved who it is.
pub struct Proved {
    pub client: Arc<Client>,
    /// What it proved it with and may not prove it with again: for the request's own transaction.
    pub proofs: Vec<UsedProof>,
}

/// The client of a request that needs no transaction of its own.
///
/// # Errors
/// As [`verify`].
pub async fn authenticate(state: &AppState, parameters: &Parameters) -> Result<Arc<Client>, OAuthError> {
    let Proved { client, proofs } = verify(state, parameters).await?;
    proofs::consume_alone(&state.platform, &proofs).await?;
    Ok(client)
}

/// The client of a request; what it showed is left to the caller to write down.
///
/// # Errors
/// `invalid_client` alike for an unknown client, a wrong secret or assertion and a method other than the registered one;
/// `invalid_request` when more than one method is used (RFC 6749 §2.3).
pub async fn verify(state: &AppState, parameters: &Parameters) -> Result<Proved, OAuthError> {
    let presented = read(parameters)?;
    let (client_id, challenge) = match &presented {
        Presented::Basic { client_id, .. } => (client_id, true),
        Presented::Post { client_id, .. } | Presented::None { client_id } => (client_id, false),
        Presented::Assertion(presented) => return Box::pin(assertion::verify(state, parameters, presented)).await,
    };
    let client = state.clients.get(&ClientId(client_id.clone())).await?;
    let method = client.as_ref().map(|c| c.metadata.token_endpoint_auth_method.as_str());
    let stored = client.as_ref().and_then(|c| c.secret_hash.as_ref());
    let proved = match &presented {
        Presented::Basic { secret, .. } => secret_matches(stored, secret) & (method == Some("client_secret_basic")),
        Presented::Post { secret, .. } => secret_matches(stored, secret) & (method == Some("client_secret_post")),
        Presented::None { .. } => match (&client, method) {
            (Some(client), Some(method)) if mtls::METHODS.contains(&method) => {
                Box::pin(mtls::proves(state, client, parameters.certificate.as_ref())).await
            }
            _ => method == Some("none"),
        },
        Presented::Assertion(_) => false,
    };
    let client = client.filter(|_| proved).ok_or_else(|| OAuthError::invalid_client(challenge))?;
    Ok(Proved { client, proofs: vec![] })
}

/// Meets the client of a request with which a flow begins: one that is known by its document is looked for here, and
/// nowhere else for the first time. Whether it is who it says is for [`verify`] to find out.
///
/// # Errors
/// When the caller, or everybody together, brings too many that nobody has met.
pub async fn meet(state: &AppState, caller: &ClientIp, parameters: &Parameters) -> Result<(), OAuthError> {
    if !state.platform.config.registration.metadata_documents {
        return Ok(());
    }
    // What can't be read is refused in a moment.
    let Ok(presented) = read(parameters) else { return Ok(()) };
    let id = match &presented {
        Presented::Basic { client_id, .. } | Presented::Post { client_id, .. } | Presented::None { client_id } => {
            &ClientId(client_id.clone())
        }
        Presented::Assertion(presented) => presented.client_id(),
    };
    state.clients.meet(id, caller).await.map_err(|not_now| match not_now {
        NotNow::Limited(limited) => OAuthError::too_many_requests(limited.retry_after),
        NotNow::Database(error) => error.into(),
    })
}

/// Compares in constant time, and does so too when there is nothing to compare with.
fn secret_matches(stored: Option<&TokenHash>, secret: &PlainToken) -> bool {
    match stored {
        Some(hash) => hash.matches(secret),
        None => {
            let _ = PlainToken::presented("no such client").hash().matches(secret);
            false
        }
    }
}

/// What the request shows, as far as it can be told without knowing the client.
pub(crate) fn read(parameters: &Parameters) -> Result<Presented, OAuthError> {
    let body_id = parameters.get("client_id");
    let body_secret = parameters.get("client_secret");
    if let Some(presented) = assertion::read(parameters)? {
        if parameters.authorization_header().is_some() || body_secret.is_some() {
            return Err(OAuthError::invalid_request("the client authenticates in two ways; use one"));
        }
        return Ok(Presented::Assertion(Box::new(presented)));
    }
    match parameters.authorization_header() {
        Some(header) => {
            let (client_id, secret) = parse_basic(header).ok_or_else(|| OAuthError::invalid_client(true))?;
            if body_secret.is_some() {
                return Err(OAuthError::invalid_request("the client authenticates in two ways; use one"));
            }
            if body_id.is_some_and(|id| id != client_id) {
                return Err(OAuthError::invalid_request("client_id differs from the client that authenticates"));
            }
            Ok(Presented::Basic { client_id, secret })
        }
        None => {
            let client_id = body_id.ok_or_else(|| OAuthError::invalid_client(false))?.into_owned();
            Ok(match body_secret {
                Some(secret) => Presented::Post { client_id, secret: PlainToken::presented(secret) },
                None => Presented::None { client_id },
            })
        }
    }
}

/// `Basic`: the scheme in any case (RFC 9110 §11.1), id and secret each form-urlencoded (RFC 6749 §2.3.1).
fn parse_basic(header: &str) -> Option<(String, PlainToken)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decoded(id)?, PlainToken::presented(form_decoded(secret)?)))
}

fn form_decoded(text: &str) -> Option<String> {
    // Read as the value of a form with one nameless field; an ampersand would start another.
    if text.contains('&') {
        return None;
    }
    // Most say what they mean: nothing is to be decoded in what we draw ourselves.
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let form = format!("v={text}");
    form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_percent_decoded_and_the_scheme_is_case_insensitive__rfc6749_2_3_1() {
        let header = format!("bAsIc {}", STANDARD.encode("my%2Dapp:a%3Ab+c%25"));
        let (id, secret) = parse_basic(&header).unwrap();
        assert_eq!((id.as_str(), secret.reveal()), ("my-app", "a:b c%"));
        for bad in ["Basic", "Basic !!!", "Bearer abc", "Basic YWJj"] {
            assert!(parse_basic(bad).is_none(), "{bad}");
        }
    }
}
