//! The refresh token grant (RFC 6749 §6) with rotation and reuse detection (RFC 9700 §4.14.2).

use std::sync::Arc;

use serde_json::json;
use shared::audit;
use shared::ids::UserId;

use crate::clients::Client;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::{self, Parts, RefreshTokens, scope_list};
use crate::protocol::machines::{self, TokenFailure};
use crate::protocol::request::{Authenticated, Parameters};
use crate::protocol::tokens::{self, Subject, TokenResponse};
use crate::state::AppState;

fn refused() -> OAuthError {
    OAuthError::invalid_grant("the refresh token is unknown, expired, revoked or used")
}

fn broken() -> OAuthError {
    OAuthError::new(Code::ServerError, "the token can't be refreshed")
}

pub async fn refresh(
    state: &AppState,
    client: &Arc<Client>,
    parameters: &Parameters,
) -> Result<TokenResponse, OAuthError> {
    let platform = &state.platform;
    parameters.require("refresh_token")?;
    let request = Authenticated { parameters, client_id: client.client_id.as_str(), redirect_uri: None };
    let mut tx = platform.db.begin().await?;
    let mut store = RefreshTokens::new(&mut tx, platform, client);
    let outcome = machines::refresh(&mut store, &request).await;
    let (failure, reused) = (store.failure.take(), store.reused.take());
    let (refreshed, grant) = match outcome {
        Ok(done) => done,
        Err(TokenFailure::Scope) => {
            return Err(OAuthError::new(Code::InvalidScope, "the scope goes beyond what was granted"));
        }
        Err(TokenFailure::Request) => return Err(OAuthError::invalid_request("the request is malformed")),
        Err(_) => {
            if let Some(failure) = failure {
                return Err(failure.into());
            }
            // Two parties hold the family's tokens, and one of them is not the client: end it.
            if let Some((grant, user)) = reused {
                grants::end_grant(&mut tx, platform, grant).await?;
                let details = json!({ "grant": grant });
                let client_id = Some(&client.client_id);
                audit::record(&mut tx, platform, "refresh_token.reused", Some(user), client_id, details).await?;
                tx.commit().await?;
            }
            return Err(refused());
        }
    };
    let parts = Parts::of(&grant.extensions).ok_or_else(broken)?;
    let reference = parts.reference.ok_or_else(broken)?;
    let user: UserId = grant.owner_id.parse().map_err(|_| broken())?;
    let resource = tokens::check_resource(state, &parameters.resource, &parts.details.resource)?;
    tx.commit().await?;

    // The machine narrowed the scope to what was asked for; the grant itself keeps its own (RFC 6749 §6).
    let scope = scope_list(&grant.scope);
    let subject = Subject::User { id: user, grant: reference.id, sid: reference.sid, details: &parts.details };
    let access_token =
        tokens::access_token(state, client, &subject, &scope, &resource, refreshed.token, refreshed.until)?;
    // No nonce: that belonged to the authentication request (OpenID Connect Core §12.2).
    let id_token = if scope.iter().any(|s| s == "openid") {
        Some(tokens::id_token(state, client, user, reference.sid, &parts.details, None, &access_token)?)
    } else {
        None
    };
    Ok(TokenResponse {
        access_token,
        token_type: "Bearer",
        expires_in: platform.config.tokens.access_token_seconds,
        scope: scope.join(" "),
        refresh_token: refreshed.refresh,
        id_token,
    })
}
