//! How an authorization request arrives: in its own parameters, in a request object (RFC 9101), or by reference to what
//! was pushed before (RFC 9126); and what its client's registration asks of that.

use std::borrow::Cow;
use std::sync::Arc;

use shared::ids::{AuthorizationRequestId, ClientId};

use super::response::{ResponseMode, ReturnAddress};
use super::validate::{MAX_OPAQUE, Refusal};
use crate::clients::Client;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::registrar::matches_registered;
use crate::protocol::request::{Parameters, doubled};
use crate::protocol::request_object::{Opened, SingleUse};
use crate::protocol::{pushed_requests, request_object};
use crate::state::AppState;

/// Who brings a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A browser, in its URL or form.
    Browser,
    /// The client itself, which authenticated (RFC 9126).
    Pushed,
}

/// The client that the request names.
pub(super) async fn client_of(state: &AppState, parameters: &Parameters) -> Result<Arc<Client>, Refusal> {
    let client_id = parameters.require("client_id").map_err(Refusal::Page)?;
    let client = state.clients.get(&ClientId(client_id.into_owned())).await.map_err(|e| Refusal::Page(e.into()))?;
    client.ok_or_else(|| Refusal::Page(OAuthError::invalid_request("client_id names no client")))
}

/// The parameters that count: those of the request object, when there is one, and nothing beside it (RFC 9101 §6.3);
/// and the object, where it serves once.
pub(super) async fn open<'p>(
    state: &AppState,
    client: &Arc<Client>,
    parameters: &'p Parameters,
) -> Result<(Cow<'p, Parameters>, Option<SingleUse>), Refusal> {
    match request_object::open(state, client, parameters).await {
        Ok(None) => Ok((Cow::Borrowed(parameters), None)),
        Ok(Some(Opened { parameters, single_use })) => Ok((Cow::Owned(parameters), single_use)),
        Err(error) => Err(early(client, parameters, error)),
    }
}

/// A request that was pushed before: of its parameters here, `client_id` and `request_uri` alone count (RFC 9126 §4).
pub async fn take_up(state: &AppState, parameters: &Parameters, uri: &str) -> Result<AuthorizationRequestId, Refusal> {
    let client = client_of(state, parameters).await?;
    if let Some(name) = parameters.twice() {
        return Err(early(&client, parameters, doubled(name)));
    }
    // It may have lost the grant since it pushed.
    may_ask(&client).map_err(|error| early(&client, parameters, error))?;
    if parameters.get("request").is_some() {
        let reason = "request and request_uri exclude each other (RFC 9101 section 5)";
        return Err(early(&client, parameters, OAuthError::invalid_request(reason)));
    }
    let taken = pushed_requests::take_up(state, &client, uri).await;
    taken.map_err(|error| early(&client, parameters, error))
}

/// What is wrong with a request object or a `request_uri` is told to the client where the parameters beside it name a
/// redirect URI of the client's, and to the person otherwise.
fn early(client: &Arc<Client>, parameters: &Parameters, error: OAuthError) -> Refusal {
    let ours = matches!(error.code, Code::ServerError | Code::TemporarilyUnavailable);
    match parameters.get("redirect_uri").filter(|uri| matches_registered(client, uri)) {
        Some(uri) if !ours => {
            let mode = parameters.get("response_mode").and_then(|mode| ResponseMode::named(&mode));
            let state = parameters.get("state").filter(|state| state.len() <= MAX_OPAQUE).map(Cow::into_owned);
            let to = ReturnAddress { redirect_uri: uri.into_owned(), mode: mode.unwrap_or_default(), state };
            Refusal::to_client(client, &to, error)
        }
        _ => Refusal::Page(error),
    }
}

/// RFC 6749 §4.1.2.1: `unauthorized_client`, which is told to the client like any other error.
fn may_ask(client: &Client) -> Result<(), OAuthError> {
    if client.may_use("authorization_code") {
        return Ok(());
    }
    Err(OAuthError::new(Code::UnauthorizedClient, "this client has not registered authorization_code"))
}

/// What the client's registration asks of its requests beyond what the parameters say.
pub(super) fn check(client: &Client, parameters: &Parameters, channel: Channel) -> Result<(), OAuthError> {
    may_ask(client)?;
    if client.requires_par() && channel != Channel::Pushed {
        return Err(OAuthError::invalid_request("this client must push its authorization requests (RFC 9126)"));
    }
    // FAPI 2.0 Security Profile §5.3.2.2
    if client.is_fapi2() && parameters.get("redirect_uri").is_none() {
        return Err(OAuthError::invalid_request("the parameter redirect_uri is missing"));
    }
    Ok(())
}

/// The key that the code is to be bound to: the thumbprint of a DPoP key (RFC 9449 §10).
pub(crate) fn dpop_jkt(parameters: &Parameters) -> Result<Option<String>, OAuthError> {
    match parameters.get("dpop_jkt") {
        None => Ok(None),
        // SHA-256 in base64url has 43 characters.
        Some(jkt) if jkt.len() == 43 && jkt.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') => {
            Ok(Some(jkt.into_owned()))
        }
        Some(_) => Err(OAuthError::invalid_request("dpop_jkt must be a SHA-256 thumbprint in base64url (RFC 7638)")),
    }
}
