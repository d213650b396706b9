//! The code challenge (RFC 7636 §4.3): required of most clients, enforced whenever it is sent, never `plain`.

use oxide_auth::code_grant::extensions::Pkce;
use oxide_auth::primitives::grant::Extensions;

use crate::clients::Client;
use crate::protocol::error::OAuthError;
use crate::protocol::request::Parameters;

pub(crate) fn check(client: &Client, parameters: &Parameters) -> Result<Extensions, OAuthError> {
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

/// The challenge as it is kept with the request.
pub(crate) fn stored(extensions: &Extensions) -> Option<String> {
    extensions.private().find(|(name, _)| *name == "pkce").and_then(|(_, value)| value.map(str::to_owned))
}
