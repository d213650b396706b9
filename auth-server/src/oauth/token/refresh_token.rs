//! The refresh token grant (RFC 6749 §6) with rotation and reuse detection (RFC 9700 §4.14.2).

use oxide_auth::primitives::issuer::{IssuedToken, TokenType};
use serde_json::json;
use shared::audit;
use shared::ids::UserId;
use shared::secret::PlainToken;

use crate::protocol::authorization_details;
use crate::protocol::error::OAuthError;
use crate::protocol::grants::{self, GrantDetails, Parts, RefreshTokens, scope_list};
use crate::protocol::machines::{self, TokenFailure};
use crate::protocol::token_request::{self, Granted, TokenRequest, broken, invalid_scope};
use crate::protocol::tokens::{self, TokenResponse};

fn refused() -> OAuthError {
    OAuthError::invalid_grant("the refresh token is unknown, expired, revoked or used")
}

pub async fn refresh(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let TokenRequest { state, client, parameters, .. } = *request;
    let platform = &state.platform;
    let token = PlainToken::presented(parameters.require("refresh_token")?);
    let mut conn = platform.db.read().await?;
    let recovered = grants::recover(&mut conn, platform, client, request.binding.as_ref(), &token).await?;
    drop(conn);
    let recovered = recovered.ok_or_else(refused)?;
    let mut tx = request.begin().await?;
    let mut store = RefreshTokens::new(&mut tx, platform, client).of(recovered);
    let outcome = machines::refresh(&mut store, &request.authenticated(None)).await;
    let (failure, reused) = (store.failure.take(), store.reused.take());
    let (refreshed, grant) = match outcome {
        Ok(done) => done,
        Err(refusal @ (TokenFailure::Scope | TokenFailure::Request)) => {
            return Err(token_request::failure(&refusal, refused));
        }
        Err(_) => {
            if let Some(failure) = failure {
                return Err(failure.into());
            }
            // Two parties hold the family's tokens, and one of them is not the client: end it.
            if let Some((grant, user)) = reused
                && grants::end_grant(&mut tx, platform, grant).await?
            {
                let details = json!({ "grant": grant });
                let client_id = Some(&client.client_id);
                audit::record(&mut tx, platform, "refresh_token.reused", Some(user), client_id, details).await?;
                tx.commit().await?;
            }
            return Err(refused());
        }
    };
    let Parts { mut details, reference, .. } = Parts::of(&grant.extensions).ok_or_else(broken)?;
    let reference = reference.ok_or_else(broken)?;
    // RFC 9449 §5: what a public client is given for a proof is bound to its key, also where the grant began without
    // one. Or the successor would serve whoever steals it, and without the key. It is read again, now that the token's row
    // is held: somebody else may have bound it a moment ago.
    if client.is_public() && details.cnf.is_none() {
        details.cnf = grants::binding_of(&mut tx, reference.id).await?;
        if details.cnf.is_some() && details.cnf != request.binding {
            return Err(refused());
        }
        if details.cnf.is_none() && request.binding.is_some() {
            details.cnf = request.binding.clone();
            grants::update_details(&mut tx, reference.id, &details).await?;
        }
    }
    let user: UserId = grant.owner_id.parse().map_err(|_| broken())?;
    let resource = tokens::check_resource(state, &parameters.resource, &details.resource)?;
    let narrowed = authorization_details::narrowed(state, &details.authorization_details, parameters)?;
    let person = tokens::person(&mut tx, user, &details).await?;
    // The machine narrowed the scope to what was asked for; the grant itself keeps its own (RFC 6749 §6). What has been
    // taken from the client's registration since is not given any more.
    let mut scope = scope_list(&grant.scope);
    let asked = scope.len();
    scope.retain(|scope| client.metadata.scopes.contains(scope));
    if scope.is_empty() && asked > 0 {
        return Err(invalid_scope());
    }
    // Nor are details of a type that was taken away; and without them the scope would say more than was allowed.
    let types = &client.metadata.authorization_details_types;
    if !narrowed.iter().all(|detail| types.iter().any(|registered| detail["type"] == **registered)) {
        return Err(OAuthError::invalid_grant("the client may not have authorization details of this type any more"));
    }
    tx.commit().await?;

    let issued = IssuedToken {
        token: refreshed.token,
        refresh: refreshed.refresh,
        until: refreshed.until,
        token_type: TokenType::Bearer,
    };
    // No nonce: that belonged to the authentication request (OpenID Connect Core §12.2).
    let details = GrantDetails { authorization_details: narrowed, ..details };
    let (details, scope, resource) = (&details, scope.as_slice(), resource.as_slice());
    let granted = Granted { user, reference, details, scope, resource, nonce: None, issued };
    request.respond_about(granted, person.as_ref())
}
