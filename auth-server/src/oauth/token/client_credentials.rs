//! The client credentials grant (RFC 6749 §4.4): a confidential client acts for itself. Nothing is stored.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::clients::Client;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::{Stateless, scope_list};
use crate::protocol::machines::{self, TokenFailure};
use crate::protocol::registrar::RequestRegistrar;
use crate::protocol::request::{Authenticated, Parameters};
use crate::protocol::tokens::{self, Subject, TokenResponse};
use crate::state::AppState;

pub async fn issue(
    state: &AppState,
    client: &Arc<Client>,
    parameters: &Parameters,
) -> Result<TokenResponse, OAuthError> {
    let platform = &state.platform;
    let seconds = platform.config.tokens.access_token_seconds;
    let until = platform.clock.now() + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(600));
    let resource = tokens::check_resource(state, &parameters.resource, &[])?;
    let request = Authenticated { parameters, client_id: client.client_id.as_str(), redirect_uri: None };
    let registrar = RequestRegistrar { client: client.clone() };
    let (issued, grant) = machines::client_credentials(&registrar, &mut Stateless { platform }, &request, until)
        .await
        .map_err(|failure| match failure {
            TokenFailure::Scope => {
                OAuthError::new(Code::InvalidScope, "the scope is malformed or goes beyond what the client registered")
            }
            _ => OAuthError::invalid_request("the request is malformed"),
        })?;
    let scope = scope_list(&grant.scope);
    let access_token =
        tokens::access_token(state, client, &Subject::Client, &scope, &resource, issued.token, issued.until)?;
    Ok(TokenResponse {
        access_token,
        token_type: "Bearer",
        expires_in: seconds,
        scope: scope.join(" "),
        refresh_token: None,
        id_token: None,
    })
}
