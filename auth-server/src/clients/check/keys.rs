//! What keys a client may register, and whether they go with how it authenticates (RFC 7591 §2, OpenID Connect
//! Registration §2).

use shared::jose::jwk::KeySet;
use shared::jose::{ASYMMETRIC, FAPI, algorithm_named, name_of};
use shared::outbound::Guarded;

use super::Fault;
use super::addresses::fetchable;
use crate::clients::{ClientMetadata, Profile};

pub(super) fn check(metadata: &ClientMetadata, guard: &Guarded) -> Result<(), Fault> {
    let fault = |reason: String| Err(Fault::new("jwks", reason));
    if metadata.jwks.is_some() && metadata.jwks_uri.is_some() {
        return fault("jwks and jwks_uri exclude each other; register one of them (RFC 7591 §2)".into());
    }
    if let Some(jwks) = &metadata.jwks {
        let keys = KeySet::parse(jwks).map_err(|error| Fault::new("jwks", format!("jwks is refused: {error}")))?;
        if keys.is_empty() {
            return fault("jwks holds no key that signatures can be verified with".into());
        }
    }
    if let Some(uri) = &metadata.jwks_uri {
        fetchable("jwks_uri", uri, guard)?;
    }
    let has_keys = metadata.jwks.is_some() || metadata.jwks_uri.is_some();
    if metadata.token_endpoint_auth_method == "private_key_jwt" && !has_keys {
        return fault("private_key_jwt needs jwks or jwks_uri: the keys to verify assertions with".into());
    }
    if metadata.require_signed_request_object && !has_keys {
        return fault("signed request objects need jwks or jwks_uri: the keys to verify them with".into());
    }
    assertion_algorithm(metadata).map_err(|reason| Fault::new("token_endpoint_auth_signing_alg", reason))
}

/// `token_endpoint_auth_signing_alg`: one that a client's assertions may have.
fn assertion_algorithm(metadata: &ClientMetadata) -> Result<(), String> {
    let method = metadata.token_endpoint_auth_method.as_str();
    match (metadata.token_endpoint_auth_signing_alg.as_deref(), method) {
        (None, _) | (Some("HS256"), "client_secret_jwt") => Ok(()),
        (Some(name), "private_key_jwt") => {
            let fapi = metadata.profile == Some(Profile::Fapi2);
            let allowed = if fapi { FAPI.as_slice() } else { ASYMMETRIC.as_slice() };
            if algorithm_named(name).is_some_and(|algorithm| allowed.contains(&algorithm)) {
                return Ok(());
            }
            let allowed: Vec<_> = allowed.iter().copied().map(name_of).collect();
            Err(format!("token_endpoint_auth_signing_alg {name:?} can't be used; there are: {}", allowed.join(", ")))
        }
        (Some(name), _) => Err(format!("token_endpoint_auth_signing_alg {name:?} does not go with {method}")),
    }
}
