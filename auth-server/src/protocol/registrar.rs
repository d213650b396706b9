//! oxide-auth's registrar over our clients: which redirect URI, and which scope.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use oxide_auth::primitives::registrar::{BoundClient, ClientUrl, ExactUrl, PreGrant, RegisteredUrl, RegistrarError};
use oxide_auth::primitives::scope::Scope;
use oxide_auth_async::primitives::Registrar;
use url::Url;

use super::error::{Code, OAuthError};
use crate::clients::{Client, is_loopback};

/// The registrar of one request: its client has been looked up (and, at the token endpoint, has authenticated).
pub struct RequestRegistrar {
    pub client: Arc<Client>,
}

/// Where service clients would be redirected to, if they ever were: oxide-auth's grants want a URI. Parsed once.
static NOWHERE: LazyLock<Option<Url>> = LazyLock::new(|| Url::parse("urn:referris:no-redirect").ok());

#[async_trait]
impl Registrar for RequestRegistrar {
    async fn bound_redirect<'a>(&self, bound: ClientUrl<'a>) -> Result<BoundClient<'a>, RegistrarError> {
        if bound.client_id != self.client.client_id.as_str() {
            return Err(RegistrarError::Unspecified);
        }
        let registered = &self.client.metadata.redirect_uris;
        let chosen = match (&bound.redirect_uri, registered.as_slice()) {
            (Some(uri), _) if matches_registered(&self.client, uri.as_str()) => uri.as_str(),
            (Some(_), _) => return Err(RegistrarError::Unspecified),
            // Left out: fine when there is only one (RFC 6749 §3.1.2.3).
            (None, [only]) => only,
            (None, _) if self.client.may_use("client_credentials") => {
                let nowhere = NOWHERE.clone().ok_or(RegistrarError::PrimitiveError)?;
                let redirect_uri = Cow::Owned(RegisteredUrl::Semantic(nowhere));
                return Ok(BoundClient { client_id: bound.client_id, redirect_uri });
            }
            (None, _) => return Err(RegistrarError::Unspecified),
        };
        let exact = ExactUrl::new(chosen.to_owned()).map_err(|_| RegistrarError::PrimitiveError)?;
        Ok(BoundClient { client_id: bound.client_id, redirect_uri: Cow::Owned(RegisteredUrl::Exact(exact)) })
    }

    /// The scope asked for, which must be within the registered one; the whole registered one when none is asked for.
    async fn negotiate<'a>(&self, client: BoundClient<'a>, scope: Option<Scope>) -> Result<PreGrant, RegistrarError> {
        let scope = match scope {
            Some(scope) if self.client.registered(&scope) => scope,
            Some(_) => return Err(RegistrarError::Unspecified),
            None => self.client.metadata.scopes.join(" ").parse().map_err(|_| RegistrarError::PrimitiveError)?,
        };
        Ok(PreGrant { client_id: client.client_id.into_owned(), redirect_uri: client.redirect_uri.into_owned(), scope })
    }

    /// Clients authenticate before any machine runs ([`super::client_auth`]).
    async fn check(&self, client_id: &str, _passphrase: Option<&[u8]>) -> Result<(), RegistrarError> {
        if client_id == self.client.client_id.as_str() { Ok(()) } else { Err(RegistrarError::Unspecified) }
    }
}

/// The scope that was asked for is not the client's: what of it is not, is named.
pub fn not_registered(client: &Client, asked: Option<&str>) -> OAuthError {
    let asked = asked.and_then(|text| text.parse::<Scope>().ok());
    let known = |token: &&str| client.metadata.scopes.iter().any(|scope| scope == token);
    let mut missing: Vec<&str> = asked.iter().flat_map(Scope::iter).filter(|token| !known(token)).collect();
    missing.sort_unstable();
    // Names as scopes have them, and nothing that would be something else where it is shown.
    let is_plain = |token: &&str| token.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/-".contains(&b));
    if !missing.iter().all(is_plain) {
        missing.clear();
    }
    // As much as tells what it is: it goes back in a URL.
    let missing: Vec<String> = missing.iter().take(5).map(|token| token.chars().take(60).collect()).collect();
    let description = match missing.join(" ") {
        none if none.is_empty() => "the scope is malformed or goes beyond what the client registered".to_owned(),
        missing => format!("the client has not registered the scope {missing}"),
    };
    OAuthError::new(Code::InvalidScope, description)
}

/// Is `uri` one of the client's? Character by character (RFC 9700 §2.1); only the port of a public client's loopback
/// URI may differ, since a native app can't choose it beforehand (RFC 8252 §7.3).
pub fn matches_registered(client: &Client, uri: &str) -> bool {
    client
        .metadata
        .redirect_uris
        .iter()
        .any(|registered| registered == uri || (client.is_public() && same_but_for_loopback_port(registered, uri)))
}

fn same_but_for_loopback_port(registered: &str, uri: &str) -> bool {
    let (Ok(a), Ok(b)) = (Url::parse(registered), Url::parse(uri)) else { return false };
    if a.scheme() != "http" || b.scheme() != "http" || !is_loopback(&a) || a.host_str() != b.host_str() {
        return false;
    }
    // Compare what was written, less the port, so that no normalisation makes unequal URIs equal.
    without_port(registered).is_some_and(|left| without_port(uri) == Some(left))
}

/// An `http` URI's authority without its port, and the rest as written.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return None;
    }
    let host_end = authority.find(']').map_or(0, |bracket| bracket + 1);
    let host = match authority[host_end..].find(':') {
        Some(colon) if authority[host_end + colon + 1..].bytes().all(|b| b.is_ascii_digit()) => {
            &authority[..host_end + colon]
        }
        Some(_) => return None,
        None => authority,
    };
    Some((host, path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_loopback_port_may_differ__rfc8252_7_3() {
        for (registered, uri, same) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", true),
            ("http://[::1]:1/cb", "http://[::1]:2/cb", true),
            ("http://localhost:3000/cb", "http://localhost/cb", true),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb2", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb?x", false),
            ("http://127.0.0.1/cb", "http://localhost:1/cb", false),
            ("http://127.0.0.1/cb", "https://127.0.0.1:1/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1@evil.example/cb", false),
            ("http://127.0.0.1/cb", "http://user@127.0.0.1/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1\\@evil.example/cb", false),
            ("http://127.0.0.1/a/../cb", "http://127.0.0.1:1/cb", false),
            ("http://app.example/cb", "http://app.example:1/cb", false),
        ] {
            assert_eq!(same_but_for_loopback_port(registered, uri), same, "{registered} {uri}");
        }
    }

    fn client(public: bool, registered: &str) -> Client {
        let method = if public { "none" } else { "client_secret_basic" };
        Client {
            client_id: "app".into(),
            name: "App".into(),
            secret_hash: None,
            sealed_secret: None,
            revision: 0,
            used_at: None,
            origin: crate::clients::Origin::Operator,
            first_party: false,
            metadata: crate::clients::ClientMetadata {
                redirect_uris: vec![registered.into()],
                token_endpoint_auth_method: method.into(),
                ..Default::default()
            },
            created_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    /// URIs that are much alike: what an attacker tries.
    fn uris() -> impl Strategy<Value = String> {
        let scheme = proptest::sample::select(vec!["https", "http", "HTTP", "com.example.app"]);
        let user = proptest::sample::select(vec!["", "", "", "user@", "127.0.0.1@", "127.0.0.1:80\\@"]);
        let host = proptest::sample::select(vec![
            "127.0.0.1",
            "localhost",
            "LOCALHOST",
            "[::1]",
            "[0:0::1]",
            "app.example",
            "127.1",
            "127.0.0.1.evil.example",
        ]);
        let port = proptest::sample::select(vec!["", "", ":", ":1", ":80", ":080", ":65535", ":99999", ":x"]);
        let path =
            proptest::sample::select(vec!["", "/", "/cb", "/cb/", "/a/../cb", "/%63b", "/cb?x", "/cb#x", "\\cb"]);
        (scheme, user, host, port, path).prop_map(|(s, u, h, p, rest)| format!("{s}://{u}{h}{p}{rest}"))
    }

    proptest! {
        #[test]
        fn nothing_matches_but_the_same_characters_and_any_port_on_loopback__rfc9700_2_1(
            registered in uris(), uri in uris(), public in any::<bool>(),
        ) {
            let matches = matches_registered(&client(public, &registered), &uri);
            if registered == uri {
                prop_assert!(matches);
            } else if matches {
                // Then both are the same but for digits behind a loopback host.
                prop_assert!(public);
                let host = ["http://127.0.0.1", "http://localhost", "http://[::1]", "http://[0:0::1]", "http://127.1",
                    "http://LOCALHOST"].into_iter().find(|host| registered.starts_with(*host) && uri.starts_with(*host));
                let host = host.expect("one loopback host, written alike");
                let rest = |text: &str| {
                    let rest = &text[host.len()..];
                    let rest = rest.strip_prefix(':').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
                    rest.to_owned()
                };
                prop_assert_eq!(rest(&registered), rest(&uri));
            }
        }

        #[test]
        fn text_of_any_kind_matches_itself_alone__rfc9700_2_1(uri in ".{0,40}", public in any::<bool>()) {
            let matches = matches_registered(&client(public, "http://127.0.0.1/cb"), &uri);
            let port = uri.strip_prefix("http://127.0.0.1").and_then(|rest| rest.strip_suffix("/cb"));
            let port = port.is_some_and(|port| {
                port.strip_prefix(':').unwrap_or(port).bytes().all(|byte| byte.is_ascii_digit())
            });
            prop_assert_eq!(matches, uri == "http://127.0.0.1/cb" || (public && port));
        }
    }
}
