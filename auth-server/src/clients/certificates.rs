//! What a client may register for mutual TLS (RFC 8705 §2.1.2, §2.2.2, §3.4).

use std::net::IpAddr;

use shared::config::Config;
use shared::http::distinguished_name::DistinguishedName;
use shared::jose::jwk::KeySet;

use super::metadata::ClientMetadata;
use crate::protocol::client_auth::mtls::{SELF_SIGNED, TLS_CLIENT_AUTH};

/// The client authentication methods that the configuration makes possible.
pub fn mtls_auth_methods(config: &Config) -> Vec<&'static str> {
    match (config.auth_sees_client_certificates(), &config.auth.client_ca_file) {
        (true, Some(_)) => vec![TLS_CLIENT_AUTH, SELF_SIGNED],
        (true, None) => vec![SELF_SIGNED],
        (false, _) => vec![],
    }
}

/// The reason why this can't be registered.
pub(super) fn check(metadata: &ClientMetadata, config: &Config) -> Result<(), String> {
    let ClientMetadata { tls_client_auth_subject_dn: subject, tls_client_auth_san_ip: ip, .. } = metadata;
    let named = [
        subject,
        &metadata.tls_client_auth_san_dns,
        &metadata.tls_client_auth_san_uri,
        ip,
        &metadata.tls_client_auth_san_email,
    ];
    let method = metadata.token_endpoint_auth_method.as_str();
    match named.iter().filter(|name| name.is_some()).count() {
        1 if method == TLS_CLIENT_AUTH => {}
        _ if method == TLS_CLIENT_AUTH => {
            return Err("tls_client_auth needs exactly one of tls_client_auth_subject_dn, tls_client_auth_san_dns, \
                        tls_client_auth_san_uri, tls_client_auth_san_ip, tls_client_auth_san_email (RFC 8705 2.1.2)"
                .into());
        }
        0 => {}
        _ => return Err("tls_client_auth_subject_dn and its like go with tls_client_auth only".into()),
    }
    if named.into_iter().flatten().any(String::is_empty) {
        return Err("the subject of the client's certificate is empty".into());
    }
    if let Some(Err(error)) = subject.as_deref().map(str::parse::<DistinguishedName>) {
        return Err(format!("tls_client_auth_subject_dn {error}"));
    }
    if ip.as_ref().is_some_and(|ip| ip.parse::<IpAddr>().is_err()) {
        return Err("tls_client_auth_san_ip is not an IP address".into());
    }
    if method == SELF_SIGNED {
        let jwks = metadata.jwks.as_ref().ok_or("self_signed_tls_client_auth needs the certificate's key in jwks")?;
        let keys = KeySet::parse(jwks).map_err(|error| format!("jwks: {error}"))?;
        if keys.is_empty() {
            return Err("jwks holds no key that could be a certificate's".into());
        }
    }
    if metadata.tls_client_certificate_bound_access_tokens && !config.auth_sees_client_certificates() {
        return Err("no client certificate arrives here, so tokens can't be bound to one".into());
    }
    Ok(())
}
