//! Checks a whole authorization request. Until client and redirect URI are known to belong together, an error is shown
//! on a page of ours; from then on it is the client's (RFC 6749 §4.1.2.1).

use std::borrow::Cow;
use std::sync::Arc;

use super::arrival::{self, Channel};
use super::response::{Delivery, ResponseMode, ReturnAddress};
use super::{ValidatedRequest, openid, pkce};
use crate::clients::{Client, Origin};
use crate::protocol::authorization_details;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::{self, scope_list};
use crate::protocol::machines::{self, AuthorizationFailure};
use crate::protocol::registrar::{RequestRegistrar, matches_registered, not_registered};
use crate::protocol::request::{Parameters, doubled};
use crate::protocol::tokens::check_resource;
use crate::state::AppState;

/// The longest `state` and `nonce`, in bytes: both are stored and given back.
pub(super) const MAX_OPAQUE: usize = 2048;

/// Why a request is refused, and who is told.
#[derive(Debug)]
pub enum Refusal {
    /// The person: there is nobody else who may be.
    Page(OAuthError),
    Client(Box<ToClient>),
}

/// An error for the client.
#[derive(Debug)]
pub struct ToClient {
    client: Arc<Client>,
    to: ReturnAddress,
    error: OAuthError,
}

impl Refusal {
    pub(super) fn to_client(client: &Arc<Client>, to: &ReturnAddress, error: OAuthError) -> Self {
        Self::Client(Box::new(ToClient { client: client.clone(), to: to.clone(), error }))
    }

    /// The error itself, where it is not the browser that asked.
    pub fn into_error(self) -> OAuthError {
        match self {
            Self::Page(error) => error,
            Self::Client(told) => told.error,
        }
    }

    /// The error, when it goes to a client that nobody here vouches for.
    pub fn of_stranger(&self) -> Option<&OAuthError> {
        match self {
            Self::Client(told) if told.client.origin != Origin::Operator => Some(&told.error),
            Self::Client(_) | Self::Page(_) => None,
        }
    }

    /// The answer to the client; in `Err` what the person is shown.
    pub fn deliver(self, state: &AppState) -> Result<Delivery, OAuthError> {
        match self {
            Self::Page(error) => Err(error),
            Self::Client(told) => {
                let ToClient { client, to, error } = *told;
                to.refuse(state, &client, &error)
            }
        }
    }
}

/// Checks the whole request.
pub async fn validate(
    state: &AppState,
    parameters: &Parameters,
    channel: Channel,
) -> Result<(Arc<Client>, ValidatedRequest), Refusal> {
    // Of two clients, redirect URIs or requests, nobody knows which is meant: not even where to answer.
    const WHERE_TO: [&str; 4] = ["client_id", "redirect_uri", "request", "request_uri"];
    let twice = parameters.twice();
    if let Some(name) = twice.filter(|name| WHERE_TO.contains(name)) {
        return Err(Refusal::Page(doubled(name)));
    }
    let client = arrival::client_of(state, parameters).await?;
    let (parameters, object) = arrival::open(state, &client, parameters).await?;
    let parameters = &*parameters;

    // OpenID Connect Core §3.1.2.1 asks for it; RFC 6749 §3.1.2.3 does not where but one is registered.
    let asks_for_openid = parameters.get("scope").is_some_and(|scope| scope.split(' ').any(|one| one == "openid"));
    let redirect_uri = match (parameters.get("redirect_uri"), client.metadata.redirect_uris.as_slice()) {
        (Some(uri), _) if matches_registered(&client, &uri) => uri.into_owned(),
        (Some(_), _) => {
            let reason = "redirect_uri is not registered for this client; it must match character by character";
            return Err(Refusal::Page(OAuthError::invalid_request(reason)));
        }
        (None, [only]) if !asks_for_openid => only.clone(),
        (None, _) => return Err(Refusal::Page(OAuthError::invalid_request("the parameter redirect_uri is missing"))),
    };

    // From here on, errors belong to the client.
    let client_state = parameters.get("state").map(Cow::into_owned);
    let named = parameters.get("response_mode");
    let mode = named.as_deref().map_or(Some(ResponseMode::default()), ResponseMode::named);
    let to = ReturnAddress {
        redirect_uri,
        mode: mode.unwrap_or_default(),
        state: client_state.clone().filter(|s| s.len() <= MAX_OPAQUE),
    };
    let to_client = |error: OAuthError| Refusal::to_client(&client, &to, error);
    if client_state != to.state {
        return Err(to_client(OAuthError::invalid_request("state is longer than 2048 bytes")));
    }
    if mode.is_none() {
        let known = ResponseMode::NAMES.join(", ");
        return Err(to_client(OAuthError::invalid_request(format!("response_mode must be one of {known}"))));
    }

    // A `response_mode` or `state` among them has no value here: the answer takes the default way, without a state.
    if let Some(name) = twice {
        return Err(to_client(doubled(name)));
    }
    if !to.mode.is_open_to(&client) {
        let reason = match client.requires_signed_response() && !to.mode.is_signed() {
            true => "response_mode must be jwt or one that ends in .jwt: this client takes signed responses only",
            false => "response_mode must be one of the response_modes that this client registered",
        };
        return Err(to_client(OAuthError::invalid_request(reason)));
    }
    arrival::check(&client, parameters, channel).map_err(&to_client)?;

    let registrar = RequestRegistrar { client: client.clone() };
    let validated =
        machines::authorize(&registrar, parameters, || pkce::check(&client, parameters)).await.map_err(|failure| {
            match failure {
                AuthorizationFailure::Binding => {
                    Refusal::Page(OAuthError::invalid_request("redirect_uri is not a URL that can be answered at"))
                }
                AuthorizationFailure::ResponseType => to_client(match parameters.get("response_type") {
                    None => OAuthError::invalid_request("the parameter response_type is missing"),
                    Some(_) => OAuthError::new(Code::UnsupportedResponseType, "response_type must be code"),
                }),
                AuthorizationFailure::Scope => to_client(not_registered(&client, parameters.get("scope").as_deref())),
                AuthorizationFailure::Extension(error) => to_client(error),
                AuthorizationFailure::Broken => {
                    to_client(OAuthError::new(Code::ServerError, "the request can't be handled"))
                }
            }
        })?;

    let openid = openid::check(state, &client, parameters).await.map_err(&to_client)?;
    let resource = check_resource(state, &parameters.resource, &[]).map_err(&to_client)?;
    let dpop_jkt = arrival::dpop_jkt(parameters).map_err(&to_client)?;
    let authorization_details = authorization_details::requested(state, &client, parameters).map_err(&to_client)?;
    let mut scope = scope_list(&validated.pre_grant.scope);
    grants::ignore_offline_access(&client, &mut scope);
    // Who names details alone means these alone: the default scope would say more than was asked.
    if !authorization_details.is_empty() && parameters.get("scope").is_none() {
        scope.clear();
    } else if scope.is_empty() {
        return Err(to_client(OAuthError::new(Code::InvalidScope, "the scope is empty")));
    }
    let request = ValidatedRequest {
        redirect_uri_given: parameters.get("redirect_uri").is_some(),
        response_mode: to.mode,
        scope,
        state: validated.state,
        pkce: pkce::stored(&validated.extensions),
        resource,
        dpop_jkt,
        authorization_details,
        object,
        redirect_uri: to.redirect_uri,
        ..openid
    };
    Ok((client, request))
}
