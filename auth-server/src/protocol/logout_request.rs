//! A client's wish that its person be signed out (OpenID Connect RP-Initiated Logout 1.0 §2), checked. While a browser
//! carries it from one page of ours to the next, it is sealed: nobody can change it, nor read whom it names.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use shared::db::DbError;
use shared::ids::ClientId;

use super::authorization::with_query;
use super::error::OAuthError;
use super::id_token_hint;
use super::request::Parameters;
use crate::clients::{Client, Origin};
use crate::locales::Locale;
use crate::sessions::SignedIn;
use crate::state::AppState;

const SEAL: &str = "logout-request";

/// How long a person may take to confirm.
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// The longest `state`, in bytes.
const MAX_STATE: usize = 2048;

/// The request. Without a client, somebody merely opened the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutRequest {
    pub client_id: Option<ClientId>,
    /// Whom the hint names, and which session, as the client knows them.
    sub: Option<String>,
    sid: Option<String>,
    post_logout_redirect_uri: Option<String>,
    state: Option<String>,
    pub ui_locales: Vec<String>,
    /// Seconds since the epoch.
    expires_at: i64,
}

/// Where the browser goes once it is signed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub url: String,
    /// The client's name.
    pub client: String,
    /// May the browser go there by itself? Unless a hint names the session, anybody can lay out a link that leads to the
    /// URI of a client, and where anybody can be one, to any site at all: then the person decides (§3).
    pub unasked: bool,
}

impl LogoutRequest {
    /// Reads and checks a request.
    ///
    /// # Errors
    /// `invalid_request` for a hint that is not an ID token of ours, a client that is unknown or not the hint's, and a
    /// URI that this client has not registered. Nothing is sent to the URI then (§3).
    pub async fn read(state: &AppState, parameters: &Parameters) -> Result<Self, OAuthError> {
        let hint = match parameters.get("id_token_hint") {
            None => None,
            Some(token) => Some(
                id_token_hint::verify(state, &token)
                    .await?
                    .ok_or_else(|| OAuthError::invalid_request("id_token_hint is not an ID token of this server"))?,
            ),
        };
        let named = parameters.get("client_id").map(|id| ClientId(id.into_owned()));
        if let (Some(hint), Some(named)) = (&hint, &named)
            && hint.client_id != *named
        {
            return Err(OAuthError::invalid_request("client_id differs from the client of id_token_hint"));
        }
        let client_id = hint.as_ref().map(|hint| hint.client_id.clone()).or(named);
        let client = match &client_id {
            Some(id) => Some(
                state.clients.get(id).await?.ok_or_else(|| OAuthError::invalid_request("there is no such client"))?,
            ),
            None => None,
        };
        let client_state = parameters.get("state").map(|state| state.into_owned());
        if client_state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
            return Err(OAuthError::invalid_request("state is longer than 2048 bytes"));
        }
        let uri = parameters.get("post_logout_redirect_uri");
        let post_logout_redirect_uri = match (client, uri) {
            (Some(client), Some(uri)) if is_registered(&client, &uri) => Some(uri.into_owned()),
            (Some(_), Some(_)) => {
                return Err(OAuthError::invalid_request("post_logout_redirect_uri is not registered for this client"));
            }
            // Nobody vouches for it (§3): the person is signed out and stays here.
            (None, _) | (_, None) => None,
        };
        let locales = parameters.get("ui_locales");
        let locales = locales.iter().flat_map(|tags| tags.split_ascii_whitespace()).filter_map(Locale::from_tag);
        Ok(Self {
            client_id,
            sub: hint.as_ref().map(|hint| hint.sub.clone()),
            sid: hint.and_then(|hint| hint.sid),
            post_logout_redirect_uri,
            state: client_state,
            ui_locales: locales.take(2).map(|locale| locale.tag().to_owned()).collect(),
            expires_at: (state.platform.clock.now() + LIFETIME).timestamp(),
        })
    }

    /// Who asks, when that is known.
    pub async fn client(&self, state: &AppState) -> Result<Option<Arc<Client>>, DbError> {
        match &self.client_id {
            Some(id) => state.clients.get(id).await,
            None => Ok(None),
        }
    }

    /// Does the hint name this very session, so that nobody has to be asked? One without a `sid` (a device's) names the
    /// person alone: whoever ever held it could end any session of theirs with it, at any time.
    pub async fn names(&self, state: &AppState, signed_in: &SignedIn) -> Result<bool, DbError> {
        let (Some(sub), Some(sid), Some(client)) = (&self.sub, &self.sid, self.client(state).await?) else {
            return Ok(false);
        };
        let platform = &state.platform;
        Ok(*sid == client.sid_of(platform, signed_in.sid) && *sub == client.sub_of(platform, signed_in.user_id))
    }

    /// Where to go on. The registration is looked at once more: it may have changed since the request was read. `certain`
    /// says that the hint named the session that ends here ([`Self::names`]): anybody has some ID token of their own.
    pub async fn destination(&self, state: &AppState, certain: bool) -> Result<Option<Destination>, DbError> {
        let (Some(uri), Some(client)) = (&self.post_logout_redirect_uri, self.client(state).await?) else {
            return Ok(None);
        };
        if !is_registered(&client, uri) {
            return Ok(None);
        }
        let url = match &self.state {
            Some(client_state) => with_query(uri, &[("state", client_state.clone())]),
            None => uri.clone(),
        };
        let unasked = certain || client.origin == Origin::Operator;
        Ok(Some(Destination { url, client: client.name.clone(), unasked }))
    }

    /// The request for a URL or a hidden field.
    pub fn seal(&self, state: &AppState) -> String {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(state.platform.master_key.seal(SEAL, b"", &plain, &state.platform.random))
    }

    /// Opens what [`LogoutRequest::seal`] made within the last hour.
    pub fn open(state: &AppState, sealed: &str) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = state.platform.master_key.open(SEAL, b"", &sealed).ok()?;
        let request: Self = serde_json::from_slice(&plain).ok()?;
        (request.expires_at > state.platform.clock.timestamp()).then_some(request)
    }
}

/// Compared character by character (§3.1).
fn is_registered(client: &Client, uri: &str) -> bool {
    client.metadata.post_logout_redirect_uris.iter().any(|registered| registered == uri)
}
