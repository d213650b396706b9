//! Mutual TLS (RFC 8705): clients that are known by their certificate, and tokens that are bound to it. That the client
//! holds the certificate's key was proved by the handshake.

use std::net::IpAddr;

use shared::http::ClientCertificate;
use shared::http::distinguished_name::DistinguishedName;

use crate::clients::keys::has_key;
use crate::clients::{Client, ClientMetadata, SELF_SIGNED, TLS_CLIENT_AUTH};
use crate::protocol::binding::Confirmation;
use crate::protocol::error::OAuthError;
use crate::state::AppState;

/// The methods of this file.
pub const METHODS: [&str; 2] = [TLS_CLIENT_AUTH, SELF_SIGNED];

/// Does the connection's certificate say that this is `client`?
pub async fn proves(state: &AppState, client: &Client, certificate: Option<&ClientCertificate>) -> bool {
    let Some(certificate) = certificate else { return false };
    let now = state.platform.clock.now();
    match client.metadata.token_endpoint_auth_method.as_str() {
        TLS_CLIENT_AUTH => {
            let authorities = state.client_authorities.as_ref();
            authorities.is_some_and(|authorities| certificate.is_issued_by(authorities, now))
                && names(certificate, &client.metadata)
        }
        // No chain is looked at; when its owner says that it has expired, it has.
        SELF_SIGNED if certificate.is_valid_at(now) => match certificate.key_thumbprint() {
            // Is its key among those that the client registered (§2.2.2)?
            Some(shown) => has_key(&state.client_keys, client, shown).await,
            None => false,
        },
        _ => false,
    }
}

/// Is it about the one subject that was registered (§2.1.2)?
fn names(certificate: &ClientCertificate, metadata: &ClientMetadata) -> bool {
    let ClientMetadata {
        tls_client_auth_subject_dn: subject,
        tls_client_auth_san_dns: dns,
        tls_client_auth_san_uri: uri,
        tls_client_auth_san_ip: ip,
        tls_client_auth_san_email: email,
        ..
    } = metadata;
    match (subject, dns, uri, ip, email) {
        (Some(subject), None, None, None, None) => {
            subject.parse::<DistinguishedName>().is_ok_and(|subject| certificate.subject().matches(&subject))
        }
        (None, Some(dns), None, None, None) => {
            certificate.dns_names().iter().any(|name| name.eq_ignore_ascii_case(dns))
        }
        (None, None, Some(uri), None, None) => certificate.uris().contains(uri),
        (None, None, None, Some(ip), None) => ip.parse::<IpAddr>().is_ok_and(|ip| certificate.ips().contains(&ip)),
        (None, None, None, None, Some(email)) => certificate.emails().iter().any(|name| same_mailbox(name, email)),
        _ => false,
    }
}

/// RFC 5280 §7.5: the part before the `@` is compared exactly.
fn same_mailbox(one: &str, other: &str) -> bool {
    match (one.rsplit_once('@'), other.rsplit_once('@')) {
        (Some((local, domain)), Some((other_local, other_domain))) => {
            local == other_local && domain.eq_ignore_ascii_case(other_domain)
        }
        _ => false,
    }
}

/// What the tokens of a request are bound to, for clients that registered
/// `tls_client_certificate_bound_access_tokens` (§3.4): the certificate of this very connection.
///
/// # Errors
/// `invalid_request` when there is none: a token that anybody may use is not what the client asked for.
pub fn binding(client: &Client, certificate: Option<&ClientCertificate>) -> Result<Option<Confirmation>, OAuthError> {
    if !client.metadata.tls_client_certificate_bound_access_tokens {
        return Ok(None);
    }
    let certificate = certificate.ok_or_else(|| {
        OAuthError::invalid_request("the tokens of this client are bound to its certificate; show it over mutual TLS")
    })?;
    Ok(Some(Confirmation::certificate(certificate.thumbprint())))
}

/// Does whoever presents a token bound to `thumbprint` show that certificate (§3)?
pub fn confirms(thumbprint: &str, certificate: Option<&ClientCertificate>) -> bool {
    // Both are public: nothing is learnt from the time that comparing takes.
    certificate.is_some_and(|certificate| certificate.thumbprint() == thumbprint)
}
