use std::sync::Arc;

use axum::extract::Request;
use axum::http::Uri;
use futures::FutureExt;
use shared::untrusted::no_member_twice;

use super::{client, details_hold, each_was_read_once, form, is_within, names, parameters};
use crate::clients::{Client, check_redirect_uri};
use crate::protocol::authorization::openid::{self, PROMPTS};
use crate::protocol::authorization::response::ResponseMode;
use crate::protocol::authorization::{arrival, pkce, requested};
use crate::protocol::claims::scope_of;
use crate::protocol::grants::scope_list;
use crate::protocol::machines;
use crate::protocol::registrar::{RequestRegistrar, matches_registered};
use crate::protocol::request::Parameters;

/// The query of an authorization request (RFC 6749 §4.1.1).
pub fn authorization_request(data: &[u8]) -> bool {
    let posted = parameters(form("/oauth/authorize"), data);
    let uri = [b"/oauth/authorize?", data].concat();
    // Beyond a hash sign stands what browsers keep to themselves.
    if let Some(uri) = Uri::try_from(uri).ok().filter(|uri| uri.query().map(str::as_bytes) == Some(data)) {
        let got = parameters(Request::get(uri), b"");
        match (&got, &posted) {
            (Ok(got), Ok(posted)) => {
                assert_eq!((names(got), &got.resource), (names(posted), &posted.resource));
                assert!(got.names().all(|name| got.get(name) == posted.get(name)), "GET and POST read alike");
            }
            (Err(_), Err(_)) => {}
            _ => panic!("GET and POST refuse alike (OpenID Connect Core §3.1.2.1)"),
        }
    }
    let Ok(parameters) = posted else { return false };
    each_was_read_once(&parameters, data);
    let extras = [claims_hold(&parameters), details_hold(&parameters), openid_holds(&parameters)];
    let accepted = ["none", "client_secret_basic"].map(|method| is_accepted(client(method), &parameters));
    extras.iter().all(|holds| *holds) && accepted.contains(&true)
}

/// Does it pass as `client`'s? What `authorization::validate` asks, short of what is kept in the database.
fn is_accepted(client: Client, parameters: &Parameters) -> bool {
    let client = Arc::new(client);
    let Some(redirect_uri) = parameters.get("redirect_uri").filter(|uri| matches_registered(&client, uri)) else {
        return false;
    };
    assert_eq!(check_redirect_uri(&redirect_uri), Ok(()), "answered at {redirect_uri:?}");
    if parameters.get("response_mode").is_some_and(|mode| ResponseMode::named(&mode).is_none()) {
        return false;
    }
    let registrar = RequestRegistrar { client: client.clone() };
    let validated = machines::authorize(&registrar, parameters, || pkce::check(&client, parameters));
    let Ok(validated) = validated.now_or_never().expect("there is nothing to wait for") else { return false };
    assert_eq!(parameters.get("response_type").as_deref(), Some("code"));
    assert_eq!(parameters.get("client_id").as_deref(), Some("app"));
    assert_eq!(validated.state.as_deref(), parameters.get("state").as_deref());
    assert!(is_within(&scope_list(&validated.pre_grant.scope), &client));
    // RFC 7636 §4.3: a challenge that was sent is kept, and never as `plain`; those who must send one did.
    let challenge = pkce::stored(&validated.extensions);
    assert_eq!(challenge.is_some(), parameters.get("code_challenge").is_some());
    assert!(challenge.is_some() || !client.requires_pkce());
    if challenge.is_some() {
        assert_eq!(parameters.get("code_challenge_method").as_deref(), Some("S256"));
    }
    true
}

/// The claims parameter: nothing is asked for beyond what the client registered (OpenID Connect Core §5.5).
fn claims_hold(parameters: &Parameters) -> bool {
    let Some(text) = parameters.get("claims") else { return true };
    let client = client("none");
    let Ok(asked) = requested::parse(&text, &client) else { return false };
    no_member_twice(text.as_bytes(), &serde_json::from_str(&text).expect("what is accepted is JSON"));
    let registered = |claim| scope_of(claim).is_some_and(|scope| client.metadata.scopes.iter().any(|s| s == scope));
    assert!(asked.claims.names().all(registered), "{asked:?}");
    assert!(asked.subjects.is_none_or(|subjects| subjects.len() <= 10), "each subject is a look-up");
    true
}

/// `prompt`, `max_age` and `dpop_jkt` are what they must be, or refused.
fn openid_holds(parameters: &Parameters) -> bool {
    let (Ok(prompt), Ok(max_age), Ok(jkt)) =
        (openid::prompt(parameters), openid::max_age(&client("none"), parameters), arrival::dpop_jkt(parameters))
    else {
        return false;
    };
    assert!(prompt.iter().all(|one| PROMPTS.contains(&one.as_str())));
    assert!(prompt.len() < 2 || !prompt.iter().any(|one| one == "none"));
    assert_eq!(max_age.is_some(), parameters.get("max_age").is_some());
    assert!(jkt.is_none_or(|jkt| jkt.len() == 43));
    true
}
