//! The resource owner password credentials grant (RFC 6749 §4.3), for our own apps only. RFC 9700 §2.4 bans it for
//! third parties, and registration refuses it to them. Limited and audited like a sign-in.

use std::sync::Arc;

use oxide_auth::primitives::scope::Scope;
use oxide_auth_async::primitives::Issuer;
use shared::http::ClientIp;

use crate::accounts::signin::{self, SignInError};
use crate::clients::Client;
use crate::protocol::error::{Code, OAuthError};
use crate::protocol::grants::{self, GrantDetails, Parts, RefreshTokens, scope_list};
use crate::protocol::request::Parameters;
use crate::protocol::tokens::{self, Subject, TokenResponse};
use crate::state::AppState;

fn broken() -> OAuthError {
    OAuthError::new(Code::ServerError, "the token can't be issued")
}

pub async fn issue(
    state: &AppState,
    client: &Arc<Client>,
    parameters: &Parameters,
    ip: &ClientIp,
) -> Result<TokenResponse, OAuthError> {
    let platform = &state.platform;
    // Registration checked this; a row that was changed by hand must not open the door.
    if !client.first_party {
        return Err(OAuthError::new(Code::UnauthorizedClient, "the password grant is for first-party clients only"));
    }
    let (email, password) = (parameters.require("username")?, parameters.require("password")?);
    let scope = scope(client, parameters)?;
    let resource = tokens::check_resource(state, &parameters.resource, &[])?;
    let user = signin::authenticate(state, &email, &password, ip, "password_grant").await.map_err(|e| match e {
        SignInError::Refused => OAuthError::invalid_grant("the email address or the password is wrong"),
        SignInError::Limited(retry_after) => OAuthError::too_many_requests(retry_after),
        SignInError::Busy(retry_after) => {
            OAuthError::temporarily_unavailable("too many sign-ins at once; try again in a moment", retry_after)
        }
        SignInError::Db(error) => error.into(),
    })?;

    let details = GrantDetails {
        scope,
        resource: parameters.resource.clone(),
        auth_time: platform.clock.now(),
        acr: "1".into(),
        amr: vec!["pwd".into()],
    };
    let mut tx = platform.db.begin().await?;
    let reference = grants::insert_grant(&mut tx, platform, client, user.id, None, &details).await?;
    // Between the check and this transaction the account may have been handed over to whoever proved its address.
    if !signin::still_holds(&mut tx, &user).await? {
        return Err(OAuthError::invalid_grant("the email address or the password is wrong"));
    }
    let parts = Parts { details: details.clone(), code: None, reference: Some(reference) };
    let nowhere = "urn:referris:no-redirect".parse().map_err(|_| broken())?;
    let grant = grants::to_oxide(user.id, client, nowhere, reference.expires_at, parts).ok_or_else(broken)?;
    let mut refresh_tokens = RefreshTokens::new(&mut tx, platform, client);
    let issued = match refresh_tokens.issue(grant).await {
        Ok(issued) => issued,
        Err(()) => return Err(refresh_tokens.failure.take().map_or_else(broken, OAuthError::from)),
    };
    tx.commit().await?;

    let subject = Subject::User { id: user.id, grant: reference.id, sid: None, details: &details };
    let access_token =
        tokens::access_token(state, client, &subject, &details.scope, &resource, issued.token, issued.until)?;
    let id_token = if details.scope.iter().any(|s| s == "openid") {
        Some(tokens::id_token(state, client, user.id, None, &details, None, &access_token)?)
    } else {
        None
    };
    Ok(TokenResponse {
        access_token,
        token_type: "Bearer",
        expires_in: platform.config.tokens.access_token_seconds,
        scope: details.scope.join(" "),
        refresh_token: issued.refresh,
        id_token,
    })
}

/// What is asked for, at most what the client registered; all of that when nothing is asked for.
fn scope(client: &Client, parameters: &Parameters) -> Result<Vec<String>, OAuthError> {
    let Some(text) = parameters.get("scope") else { return Ok(client.metadata.scopes.clone()) };
    let invalid =
        || OAuthError::new(Code::InvalidScope, "the scope is malformed or goes beyond what the client registered");
    let asked: Scope = text.parse().map_err(|_| invalid())?;
    let registered: Scope = client.metadata.scopes.join(" ").parse().map_err(|_| invalid())?;
    if asked <= registered { Ok(scope_list(&asked)) } else { Err(invalid()) }
}
