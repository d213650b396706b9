use axum::http::{HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oxide_auth::code_grant::{accesstoken, client_credentials, refresh};
use shared::untrusted::split_line;
use url::form_urlencoded;

use super::{client, details_hold, each_was_read_once, form, is_within, parameters};
use crate::protocol::client_auth::{self, Presented};
use crate::protocol::request::{Authenticated, Parameters};
use crate::protocol::token_request::requested_scope;

/// A request to the token endpoint (RFC 6749 §3.2): the first line is its `Authorization` header, or nothing; the rest is
/// its body.
pub fn token_request(data: &[u8]) -> bool {
    let (authorization, body) = split_line(data);
    let mut request = form("/oauth/token");
    if !authorization.is_empty() {
        let Ok(value) = HeaderValue::from_bytes(authorization) else { return false };
        request = request.header(header::AUTHORIZATION, value);
    }
    let Ok(parameters) = parameters(request, body) else { return false };
    each_was_read_once(&parameters, body);
    let Ok(presented) = client_auth::read(&parameters) else { return false };
    authenticates_in_one_way(&parameters, &presented);

    let client = client("client_secret_basic");
    let scope = requested_scope(&client, &parameters);
    assert!(scope.as_ref().is_ok_and(|scope| is_within(scope, &client)) || scope.is_err(), "{scope:?}");
    the_machines_see_the_client_that_authenticated(&parameters);
    details_hold(&parameters) && scope.is_ok() && parameters.get("grant_type").is_some()
}

/// RFC 6749 §2.3: "The client MUST NOT use more than one authentication method in each request", and the one it uses
/// speaks for the client that the request names.
fn authenticates_in_one_way(parameters: &Parameters, presented: &Presented) {
    let header = parameters.authorization_header();
    let secret = parameters.get("client_secret");
    let assertion = parameters.get("client_assertion");
    let used = [header.is_some(), secret.is_some(), assertion.is_some()].iter().filter(|used| **used).count();
    assert!(used < 2, "two ways at once");
    let named = parameters.get("client_id");
    match presented {
        Presented::Basic { client_id, secret } => {
            assert!(named.is_none_or(|named| named == *client_id));
            let header = header.expect("the header");
            assert!(header.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic ")));
            // Written again as RFC 6749 §2.3.1 says, it is read the same.
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let credentials = format!("{}:{}", encode(client_id), encode(secret.reveal()));
            let again =
                form("/oauth/token").header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(credentials)));
            let again = client_auth::read(&super::parameters(again, b"").expect("a request"));
            let Ok(Presented::Basic { client_id: id, secret: same }) = again else {
                panic!("{client_id:?} is not read again")
            };
            assert_eq!((&id, same.reveal()), (client_id, secret.reveal()));
        }
        Presented::Post { client_id, secret: shown } => {
            assert_eq!(named.as_deref(), Some(client_id.as_str()));
            assert_eq!(secret.as_deref(), Some(shown.reveal()));
        }
        Presented::None { client_id } => {
            assert_eq!(used, 0);
            assert_eq!(named.as_deref(), Some(client_id.as_str()));
        }
        Presented::Assertion(presented) => {
            let (id, claims) = (presented.client_id.as_str(), presented.token.claims());
            assert!(named.is_none_or(|named| named == id));
            assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some(id), Some(id)));
        }
    }
}

/// Whatever else the request says of clients and secrets.
fn the_machines_see_the_client_that_authenticated(parameters: &Parameters) {
    let redirect_uri = parameters.get("redirect_uri");
    let request = Authenticated { parameters, client_id: "app", redirect_uri: redirect_uri.as_deref() };
    if let accesstoken::Output::Authenticate { client, passdata } =
        accesstoken::AccessToken::new(&request).advance(accesstoken::Input::None)
    {
        assert_eq!((client, passdata), ("app", None));
    }
    if let refresh::Output::Unauthenticated { client, pass } =
        refresh::Refresh::new(&request).advance(refresh::Input::None)
    {
        assert_eq!((client, pass), ("app", Some(&[][..])));
    }
    if let client_credentials::Output::Authenticate { client, passdata } =
        client_credentials::ClientCredentials::new(&request).advance(client_credentials::Input::None)
    {
        assert_eq!((client, passdata), ("app", &[][..]));
    }
}
