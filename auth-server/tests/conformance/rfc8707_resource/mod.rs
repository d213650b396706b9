//! RFC 8707: Resource Indicators for OAuth 2.0.

mod authorization_request;
mod token_request;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::harness::Server;

/// The claims of a token of ours, unverified.
pub fn claims(token: &Value) -> Value {
    let payload = token.as_str().expect("a token").split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

/// The two resources there are: this server, and the referral API.
pub fn resources(server: &Server) -> (String, String) {
    (server.state.issuer().to_owned(), server.state.platform.config.api.public_url.as_str().to_owned())
}
