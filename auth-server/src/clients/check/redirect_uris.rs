//! Where codes may be sent (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §4.1.3).

use shared::config::{Config, PublicUrl};
use url::Url;

use super::Fault;
use crate::clients::{NewClient, Origin};

/// All that is wrong with them: of each the first thing.
pub(super) fn check(client: &NewClient, config: &Config) -> Vec<Fault> {
    let metadata = &client.metadata;
    let fault = |reason: String| Fault::new("redirect_uris", reason);
    if metadata.redirect_uris.is_empty() && metadata.grant_types.iter().any(|g| g == "authorization_code") {
        return vec![fault("redirect_uris is missing: authorization_code needs a redirect URI to answer at".into())];
    }
    let malformed = metadata.redirect_uris.iter().filter_map(|uri| {
        check_redirect_uri(uri).err().map(|reason| fault(format!("the redirect URI {uri:?} {reason}")))
    });
    let malformed: Vec<Fault> = malformed.collect();
    if !malformed.is_empty() {
        return malformed;
    }
    if client.origin != Origin::Operator {
        let members = [
            ("redirect_uris", &metadata.redirect_uris),
            ("post_logout_redirect_uris", &metadata.post_logout_redirect_uris),
        ];
        let uris = members.into_iter().flat_map(|(member, uris)| uris.iter().map(move |uri| (member, uri)));
        let strange = uris.filter_map(|(member, uri)| {
            check_stranger(uri, config).err().map(|reason| Fault::new(member, format!("{uri:?} {reason}")))
        });
        let strange: Vec<Fault> = strange.collect();
        if !strange.is_empty() {
            return strange;
        }
    }
    match metadata.application_type.as_deref() {
        None | Some("native") => vec![],
        Some("web") => {
            let others =
                metadata.redirect_uris.iter().filter(|uri| !uri.starts_with("https://") || on_this_machine(uri));
            let reason = |uri: &String| {
                format!("the redirect URI {uri:?} is not for application_type web, which takes https only; say native")
            };
            others.map(|uri| fault(reason(uri))).collect()
        }
        Some(_) => vec![Fault::new("application_type", "application_type must be web or native")],
    }
}

/// The `application_type` of a client that did not say. The specification's default, web, fits those whose redirect
/// URIs are all https; others would only be told to say native (OpenID Connect Registration §2).
pub fn inferred_application_type(origin: Origin, redirect_uris: &[String]) -> Option<String> {
    let web = redirect_uris.iter().all(|uri| uri.starts_with("https://") && !on_this_machine(uri));
    (origin != Origin::Operator).then(|| if web { "web" } else { "native" }.to_owned())
}

/// What a client that nobody vouched for may not name, though an operator may.
fn check_stranger(uri: &str, config: &Config) -> Result<(), &'static str> {
    let Ok(url) = Url::parse(uri) else { return Err("is not an absolute URL") };
    // People would read that they are taken to us; and a redirect of ours would carry a fragment with a code in it on to
    // wherever the redirect URI has it lead.
    let ours = [Some(&config.auth.public_url), config.auth.mtls_public_url.as_ref(), Some(&config.api.public_url)];
    let is_ours = |own: &PublicUrl| Url::parse(own.as_str()).is_ok_and(|own| own.origin() == url.origin());
    if ours.into_iter().flatten().any(is_ours) {
        return Err("is an address of this server itself");
    }
    // RFC 8252 §7.1: one slash. What stands after two looks like a host, and nobody's word for it.
    if !matches!(url.scheme(), "https" | "http") && uri[url.scheme().len()..].starts_with("://") {
        return Err("names an authority under a private scheme; write com.example.app:/path (RFC 8252 section 7.1)");
    }
    Ok(())
}

fn on_this_machine(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| is_loopback(&url))
}

/// May codes be sent to `uri`?
pub fn check_redirect_uri(uri: &str) -> Result<(), &'static str> {
    // What can't stand in a Location header, or what browsers read otherwise than we do.
    if uri.contains('*') || !uri.chars().all(|c| c.is_ascii_graphic() && c != '\\') {
        return Err("has a wildcard, white space or a character that is not for URIs; they are compared exactly");
    }
    let Ok(url) = Url::parse(uri) else { return Err("is not an absolute URL") };
    if url.fragment().is_some() || uri.contains('#') {
        return Err("has a fragment (RFC 6749 §3.1.2 forbids one)");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("names a user");
    }
    match url.scheme() {
        "https" if uri.starts_with("https://") && url.host_str().is_some_and(is_plain_host) => Ok(()),
        "http" if uri.starts_with("http://") && is_loopback(&url) => Ok(()),
        "http" => Err("is plain http beyond this machine; use https"),
        "javascript" | "data" | "vbscript" | "file" | "blob" | "about" | "ws" | "wss" | "ftp" => {
            Err("has a scheme that can't receive a code")
        }
        // A private-use scheme is a domain name turned round, so that its owner is known (RFC 8252 §7.1).
        scheme if scheme.contains('.') => Ok(()),
        _ => Err("needs https, http on a loopback address, or a private scheme with a dot such as com.example.app"),
    }
}

/// A host as DNS and RFC 3986 §3.2.2 have it. The URL standard lets more through, `;` among it, which would end a
/// directive where a page lists origins in its policy.
fn is_plain_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b))
}

/// Does this URL stay on the machine it is opened on?
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_to_https_loopback_and_private_schemes_only__rfc8252_7() {
        for uri in ["http://127.0.0.1/cb", "http://[::1]:9/cb", "http://localhost:1/cb", "com.example.app:/cb"] {
            assert_eq!(check_redirect_uri(uri), Ok(()), "{uri}");
        }
        for uri in [
            "",
            "/cb",
            "https:app.example/cb",
            "https://",
            "https://user@app.example/cb",
            "https://app.example\\@evil.example/cb",
            "https://app.example/c b",
            "https://app.example/\u{e9}",
            "https://app.example/cb#",
            "https://*.app.example/cb",
            "https://a;sandbox.example/cb",
            "https://a,b.example/cb",
            "http://app.example/cb",
            "myapp:/cb",
            "javascript:alert(1)",
        ] {
            assert!(check_redirect_uri(uri).is_err(), "{uri}");
        }
    }
}
