//! The authorization response and the ways it can take: in the query (RFC 6749 §4.1.2), in the fragment (OAuth 2.0
//! Multiple Response Type Encoding Practices §2.1), as a form (Form Post Response Mode 1.0), and each of them signed
//! (JARM: JWT Secured Authorization Response Mode for OAuth 2.0).
//!
//! It is the same way for a code and for every error, whenever it happens.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use tracing::error;
use url::form_urlencoded;

use crate::clients::Client;
pub use crate::clients::ResponseMode;
use crate::protocol::error::{Code, OAuthError};
use crate::state::AppState;

/// How long a signed response is good for, in seconds (JARM §2.1 recommends at most ten minutes).
const SIGNED_SECONDS: i64 = 600;

/// Where and how a client wants to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnAddress {
    pub redirect_uri: String,
    pub mode: ResponseMode,
    pub state: Option<String>,
}

/// An answer on its way: what the browser is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    Redirect(String),
    /// Post these fields there, from a page (Form Post Response Mode §2).
    FormPost {
        action: String,
        fields: Vec<(&'static str, String)>,
    },
}

impl ReturnAddress {
    /// Hands over the code (RFC 6749 §4.1.2).
    ///
    /// # Errors
    /// When the response has to be signed and can't be: it is never sent unsigned instead.
    pub fn grant(self, state: &AppState, client: &Client, code: String) -> Result<Delivery, OAuthError> {
        self.answer(state, client, vec![("code", code)])
    }

    /// Tells the client of an error (RFC 6749 §4.1.2.1).
    ///
    /// # Errors
    /// As [`ReturnAddress::grant`].
    pub fn refuse(self, state: &AppState, client: &Client, error: &OAuthError) -> Result<Delivery, OAuthError> {
        let told = vec![("error", error.code.as_str().to_owned()), ("error_description", error.description.clone())];
        self.answer(state, client, told)
    }

    fn answer(
        self,
        state: &AppState,
        client: &Client,
        mut parameters: Vec<(&'static str, String)>,
    ) -> Result<Delivery, OAuthError> {
        // Also the refusal of a request that asked otherwise, and of one that could not be read: who takes only signed
        // answers for the server's has no use for another, and may be fooled by one.
        let mode = if client.requires_signed_response() { self.mode.signed() } else { self.mode };
        parameters.extend(self.state.map(|s| ("state", s)));
        // RFC 9207 §2; a signed response carries it as the claim it is anyway.
        parameters.push(("iss", state.issuer().to_owned()));
        if mode.is_signed() {
            parameters = vec![("response", sign(state, client, parameters)?)];
        }
        let action = self.redirect_uri;
        Ok(match mode {
            ResponseMode::Query | ResponseMode::QueryJwt => Delivery::Redirect(with_query(&action, &parameters)),
            // Registered redirect URIs have no fragment of their own.
            ResponseMode::Fragment | ResponseMode::FragmentJwt => {
                Delivery::Redirect(format!("{action}#{}", encode(&parameters)))
            }
            ResponseMode::FormPost | ResponseMode::FormPostJwt => Delivery::FormPost { action, fields: parameters },
        })
    }
}

/// The response as a JWT (JARM §2.1): issuer, audience, expiry and the parameters as claims.
fn sign(state: &AppState, client: &Client, parameters: Vec<(&'static str, String)>) -> Result<String, OAuthError> {
    let now = state.platform.clock.now();
    let mut claims: Map<String, Value> =
        parameters.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    claims.insert("aud".into(), client.client_id.as_str().into());
    claims.insert("exp".into(), (now.timestamp() + SIGNED_SECONDS).into());
    let algorithm = client.response_algorithm(client.metadata.authorization_signed_response_alg.as_deref());
    state.keys.signing(algorithm, now).sign_jwt("JWT", &claims).map_err(|error| {
        error!(%error, "an authorization response can't be signed");
        OAuthError::new(Code::ServerError, "the response can't be signed")
    })
}

fn encode(parameters: &[(&'static str, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// Adds parameters to a redirect URI, leaving what is written there as it is.
pub fn with_query(uri: &str, parameters: &[(&'static str, String)]) -> String {
    let separator = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, query)) if query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{separator}{}", encode(parameters))
}

/// 303, so that a browser that posted comes with a GET, and nothing is posted on (RFC 9700 §4.12).
pub fn redirect(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => {
            let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            (StatusCode::SEE_OTHER, [(header::LOCATION, location), no_store]).into_response()
        }
        Err(_) => OAuthError::new(Code::ServerError, "the redirect URI can't be written in a header").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_added_to_a_redirect_uri_as_it_was_registered__rfc6749_3_1_2() {
        for (uri, expected) in [
            ("https://a.example/cb", "https://a.example/cb?code=x+y"),
            ("https://a.example/cb?t=1", "https://a.example/cb?t=1&code=x+y"),
            ("https://a.example/cb?", "https://a.example/cb?code=x+y"),
            ("com.example.app:/cb", "com.example.app:/cb?code=x+y"),
        ] {
            assert_eq!(with_query(uri, &[("code", "x y".into())]), expected);
        }
    }

    #[test]
    fn every_mode_that_is_announced_is_known__jarm_2_3() {
        for name in ResponseMode::NAMES {
            let mode = ResponseMode::named(name).unwrap();
            assert_eq!(mode.is_signed(), name.ends_with("jwt"));
            assert!(name == "jwt" || serde_json::to_value(mode).unwrap() == name);
        }
        assert_eq!(ResponseMode::named("Query"), None);
    }
}
