//! FAPI 2.0 Security Profile §5.3 and Message Signing: what a client of `profile = "fapi2"` must be.

use shared::jose;

use super::Fault;
use super::grants::known;
use crate::clients::{ClientMetadata, Profile, ResponseMode};

/// FAPI 2.0 Security Profile §5.3.2.1: private_key_jwt or mutual TLS.
const AUTH_METHODS: &[&str] = &["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"];

pub(super) fn check(metadata: &ClientMetadata) -> Result<(), Fault> {
    if metadata.profile != Some(Profile::Fapi2) {
        return Ok(());
    }
    if !AUTH_METHODS.contains(&metadata.token_endpoint_auth_method.as_str()) {
        let reason = format!("fapi2 clients authenticate by {} (§5.3.2.1)", AUTH_METHODS.join(", "));
        return Err(Fault::new("token_endpoint_auth_method", reason));
    }
    if metadata.grant_types.iter().any(|grant| grant == "password") {
        return Err(Fault::new("grant_types", "fapi2 has no password grant (§5.3.2.1)"));
    }
    if !metadata.dpop_bound_access_tokens && !metadata.tls_client_certificate_bound_access_tokens {
        let reason = "fapi2 binds tokens to a key: register dpop_bound_access_tokens or \
                      tls_client_certificate_bound_access_tokens (§5.3.2.1)";
        return Err(Fault::new("dpop_bound_access_tokens", reason));
    }
    if let Some(uri) = metadata.redirect_uris.iter().find(|uri| !uri.starts_with("https://")) {
        return Err(Fault::new("redirect_uris", format!("fapi2 takes https redirect URIs only, not {uri} (§5.3.2.2)")));
    }
    // Its requests are signed ones (Message Signing §5.3.1): without keys, none could ever be verified.
    let has_keys = metadata.jwks.is_some() || metadata.jwks_uri.is_some();
    if !has_keys && metadata.grant_types.iter().any(|grant| grant == "authorization_code") {
        let reason = "fapi2 clients sign their authorization requests: register jwks or jwks_uri, the keys to verify \
                      them with (Message Signing §5.3.1)";
        return Err(Fault::new("jwks", reason));
    }
    let unsigned = |name: &&String| ResponseMode::named(name).is_some_and(|mode| !mode.is_signed());
    if let Some(mode) = metadata.response_modes.iter().find(unsigned) {
        let reason =
            format!("fapi2 clients are answered with signed responses only, not by {mode} (Message Signing §5.4.1)");
        return Err(Fault::new("response_modes", reason));
    }
    let allowed: Vec<&str> = jose::FAPI.iter().map(|alg| jose::name_of(*alg)).collect();
    let one = |member, alg: &str| known(member, "FAPI algorithm", &[alg.to_owned()], &allowed);
    one("id_token_signed_response_alg", &metadata.id_token_signed_response_alg)?;
    for (member, alg) in [
        ("token_endpoint_auth_signing_alg", &metadata.token_endpoint_auth_signing_alg),
        ("userinfo_signed_response_alg", &metadata.userinfo_signed_response_alg),
        ("request_object_signing_alg", &metadata.request_object_signing_alg),
        ("authorization_signed_response_alg", &metadata.authorization_signed_response_alg),
        ("introspection_signed_response_alg", &metadata.introspection_signed_response_alg),
    ] {
        if let Some(alg) = alg {
            one(member, alg)?;
        }
    }
    Ok(())
}
