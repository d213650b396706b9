//! What a client may register for mutual TLS (RFC 8705 §2.1.2, §2.2.2, §3.4).

use std::net::IpAddr;

use shared::config::Config;
use shared::http::distinguished_name::DistinguishedName;

use super::Fault;
use crate::clients::metadata::{ClientMetadata, SELF_SIGNED, TLS_CLIENT_AUTH};

/// The client authentication methods that the configuration makes possible.
pub fn mtls_auth_methods(config: &Config) -> Vec<&'static str> {
    match (config.auth_sees_client_certificates(), &config.auth.client_ca_file) {
        (true, Some(_)) => vec![TLS_CLIENT_AUTH, SELF_SIGNED],
        (true, None) => vec![SELF_SIGNED],
        (false, _) => vec![],
    }
}

pub(super) fn check(metadata: &ClientMetadata, config: &Config) -> Result<(), Fault> {
    let named = [
        ("tls_client_auth_subject_dn", &metadata.tls_client_auth_subject_dn),
        ("tls_client_auth_san_dns", &metadata.tls_client_auth_san_dns),
        ("tls_client_auth_san_uri", &metadata.tls_client_auth_san_uri),
        ("tls_client_auth_san_ip", &metadata.tls_client_auth_san_ip),
        ("tls_client_auth_san_email", &metadata.tls_client_auth_san_email),
    ];
    let named: Vec<_> = named.into_iter().filter_map(|(member, name)| Some((member, name.as_deref()?))).collect();
    let method = metadata.token_endpoint_auth_method.as_str();
    let fault = |member, reason: &str| Err(Fault::new(member, reason));
    match (method, named.as_slice()) {
        (TLS_CLIENT_AUTH, [_]) => {}
        (TLS_CLIENT_AUTH, _) => {
            let reason = "tls_client_auth needs exactly one of tls_client_auth_subject_dn, tls_client_auth_san_dns, \
                          tls_client_auth_san_uri, tls_client_auth_san_ip, tls_client_auth_san_email (RFC 8705 2.1.2)";
            return fault("token_endpoint_auth_method", reason);
        }
        (_, []) => {}
        (_, [(member, _), ..]) => {
            return fault(member, "tls_client_auth_subject_dn and its like go with tls_client_auth only");
        }
    }
    for (member, name) in named {
        if name.is_empty() {
            return fault(member, "the subject of the client's certificate is empty");
        }
        if member == "tls_client_auth_subject_dn"
            && let Err(error) = name.parse::<DistinguishedName>()
        {
            return fault(member, &format!("{member} {error}"));
        }
        if member == "tls_client_auth_san_ip" && name.parse::<IpAddr>().is_err() {
            return fault(member, "tls_client_auth_san_ip is not an IP address");
        }
    }
    if method == SELF_SIGNED && metadata.jwks.is_none() && metadata.jwks_uri.is_none() {
        return fault("jwks", "self_signed_tls_client_auth needs the certificate's key in jwks or at jwks_uri");
    }
    if metadata.tls_client_certificate_bound_access_tokens && !config.auth_sees_client_certificates() {
        let reason = "no client certificate arrives here, so tokens can't be bound to one";
        return fault("tls_client_certificate_bound_access_tokens", reason);
    }
    Ok(())
}
