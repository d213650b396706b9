//! The client credentials grant (RFC 6749 §4.4): a confidential client acts for itself. Nothing is stored.

use chrono::TimeDelta;

use crate::protocol::binding::Confirmation;
use crate::protocol::error::OAuthError;
use crate::protocol::grants::{Stateless, scope_list};
use crate::protocol::machines::{self, TokenFailure};
use crate::protocol::proofs;
use crate::protocol::registrar::{RequestRegistrar, not_registered};
use crate::protocol::token_request::{TokenRequest, broken, failure};
use crate::protocol::tokens::{self, AccessToken, Subject, TokenResponse};

pub async fn issue(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let platform = &request.state.platform;
    let seconds = platform.config.tokens.access_token_seconds;
    let until = platform.clock.now() + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(600));
    let resource = tokens::check_resource(request.state, &request.parameters.resource, &[])?;
    let registrar = RequestRegistrar { client: request.client.clone() };
    let mut issuer = Stateless { platform };
    let (issued, scope) = machines::client_credentials(&registrar, &mut issuer, &request.authenticated(None), until)
        .await
        .map_err(|refusal| match refusal {
            TokenFailure::Scope => not_registered(request.client, request.parameters.get("scope").as_deref()),
            other => failure(&other, broken),
        })?;
    proofs::consume_alone(platform, request.proofs).await?;
    request.state.clients.mark_used(request.client).await?;
    let scope = scope_list(&scope);
    let access_token = AccessToken {
        client: request.client,
        subject: Subject::Client,
        scope: &scope,
        resource: &resource,
        cnf: request.binding.clone(),
        authorization_details: &[],
        act: None,
        jti: issued.token,
        expires_at: issued.until,
    };
    Ok(TokenResponse {
        access_token: access_token.sign(request.state)?,
        token_type: Confirmation::token_type(request.binding.as_ref()),
        expires_in: seconds,
        scope: scope.join(" "),
        refresh_token: None,
        id_token: None,
        issued_token_type: None,
        authorization_details: vec![],
    })
}
