//! A token request whose client has authenticated: what every grant is given, and how every grant answers.

use std::sync::Arc;

use oxide_auth::primitives::issuer::IssuedToken;
use oxide_auth::primitives::scope::Scope;
use oxide_auth_async::primitives::Issuer;
use shared::db::{DbError, Tx};
use shared::http::ClientIp;
use shared::ids::{SessionId, UserId};
use shared::users::User;

use super::binding::Confirmation;
use super::error::{Code, OAuthError};
use super::grants::{self, GrantDetails, GrantRef, Parts, RefreshTokens};
use super::machines::TokenFailure;
use super::proofs::{self, UsedProof};
use super::registrar::not_registered;
use super::request::{Authenticated, Parameters};
use super::tokens::{AccessToken, IdentityToken, Subject, TokenResponse};
use crate::clients::Client;
use crate::state::AppState;

/// The request.
pub struct TokenRequest<'a> {
    pub state: &'a AppState,
    pub client: &'a Arc<Client>,
    pub parameters: &'a Parameters,
    pub ip: &'a ClientIp,
    /// What the tokens are to be bound to: the key or certificate that the request proved.
    pub binding: Option<Confirmation>,
    /// What the request was accepted with and must not be accepted with again.
    pub proofs: &'a [UsedProof],
}

/// What a grant came to.
pub struct Granted<'a> {
    pub user: UserId,
    pub reference: GrantRef,
    pub details: &'a GrantDetails,
    /// The access token's; the grant's own may be wider.
    pub scope: &'a [String],
    pub resource: &'a [String],
    pub nonce: Option<&'a str>,
    /// The access token's `jti`, and the refresh token.
    pub issued: IssuedToken,
}

impl TokenRequest<'_> {
    /// Begins the request's one transaction; the proofs are written down in it.
    pub async fn begin(&self) -> Result<Tx, OAuthError> {
        let mut tx = self.state.platform.db.begin().await?;
        proofs::consume(&mut tx, self.proofs).await?;
        Ok(tx)
    }

    /// The request as oxide-auth's machines read it.
    pub fn authenticated<'r>(&'r self, redirect_uri: Option<&'r str>) -> Authenticated<'r> {
        Authenticated { parameters: self.parameters, client_id: self.client.client_id.as_str(), redirect_uri }
    }

    /// Makes a grant and its first tokens in the caller's transaction, for grants that come without a code.
    pub async fn grant(
        &self,
        tx: &mut Tx,
        user: UserId,
        sid: Option<SessionId>,
        details: &GrantDetails,
    ) -> Result<(GrantRef, IssuedToken), OAuthError> {
        let reference = self.insert_grant(tx, user, sid, details).await?;
        let issued = self.first_tokens(tx, user, reference, details).await?;
        Ok((reference, issued))
    }

    /// The grant's row alone.
    ///
    /// # Errors
    /// `invalid_client` when the client was deleted elsewhere while it was still known here, and `invalid_grant` when it
    /// was the person.
    pub async fn insert_grant(
        &self,
        tx: &mut Tx,
        user: UserId,
        sid: Option<SessionId>,
        details: &GrantDetails,
    ) -> Result<GrantRef, OAuthError> {
        let (state, client) = (self.state, self.client);
        match grants::insert_grant(tx, &state.platform, client, user, sid, details).await {
            Err(DbError::ForeignKeyViolation(_)) => {
                state.clients.forget(&client.client_id).await;
                match state.clients.get(&client.client_id).await? {
                    None => Err(OAuthError::invalid_client(self.parameters.authorization_header().is_some())),
                    Some(_) => Err(OAuthError::invalid_grant("the account is gone")),
                }
            }
            inserted => Ok(inserted?),
        }
    }

    /// The first tokens of a grant that is there already.
    pub async fn first_tokens(
        &self,
        tx: &mut Tx,
        user: UserId,
        reference: GrantRef,
        details: &GrantDetails,
    ) -> Result<IssuedToken, OAuthError> {
        let mut details = details.clone();
        // A public client proves nothing of itself when it refreshes: its refresh tokens are good for whoever holds the
        // key only (RFC 8705 §4, RFC 9449 §5).
        if self.client.is_public() && self.binding.is_some() {
            details.cnf = self.binding.clone();
            grants::update_details(tx, reference.id, &details).await?;
        }
        let parts = Parts { details, code: None, reference: Some(reference) };
        let nowhere = "urn:referris:no-redirect".parse().map_err(|_| broken())?;
        let grant = grants::to_oxide(user, self.client, nowhere, reference.expires_at, parts).ok_or_else(broken)?;
        let mut refresh_tokens = RefreshTokens::new(tx, &self.state.platform, self.client);
        match refresh_tokens.issue(grant).await {
            Ok(issued) => Ok(issued),
            Err(()) => Err(refresh_tokens.failure.take().map_or_else(broken, OAuthError::from)),
        }
    }

    /// Signs the tokens of a person's grant. Call it after the commit: a token that is handed out must be backed by
    /// what is stored.
    pub fn respond(&self, granted: Granted<'_>) -> Result<TokenResponse, OAuthError> {
        self.respond_about(granted, None)
    }

    /// The same for a grant whose ID token may tell of the person ([`tokens::person`]).
    pub fn respond_about(&self, granted: Granted<'_>, person: Option<&User>) -> Result<TokenResponse, OAuthError> {
        let Granted { user, reference, details, scope, resource, nonce, issued } = granted;
        let (state, client) = (self.state, self.client);
        let sid = reference.sid.map(|sid| client.sid_of(&state.platform, sid));
        let access_token = AccessToken {
            client,
            subject: Subject::User { id: user, grant: reference.id, sid: sid.clone(), details },
            scope,
            resource,
            cnf: self.binding.clone(),
            authorization_details: &details.authorization_details,
            act: None,
            jti: issued.token,
            expires_at: issued.until,
        };
        let access_token = access_token.sign(state)?;
        let id_token = if scope.iter().any(|s| s == "openid") {
            let access_token = access_token.as_str();
            Some(IdentityToken { client, user, sid, details, nonce, access_token, person }.sign(state)?)
        } else {
            None
        };
        Ok(TokenResponse {
            access_token,
            token_type: Confirmation::token_type(self.binding.as_ref()),
            expires_in: state.platform.config.tokens.access_token_seconds,
            scope: scope.join(" "),
            refresh_token: issued.refresh,
            id_token,
            issued_token_type: None,
            authorization_details: details.authorization_details.clone(),
        })
    }
}

/// A grant's parts do not fit together: our fault.
pub fn broken() -> OAuthError {
    OAuthError::new(Code::ServerError, "the token can't be issued")
}

/// The scope goes beyond what it may.
pub fn invalid_scope() -> OAuthError {
    OAuthError::new(Code::InvalidScope, "the scope is malformed or goes beyond what was granted or registered")
}

/// The scope of a request that comes without a code: what is asked for, at most what the client registered; all of that
/// when nothing is asked for.
pub fn requested_scope(client: &Client, parameters: &Parameters) -> Result<Vec<String>, OAuthError> {
    let mut scope = match parameters.get("scope") {
        None => client.metadata.scopes.clone(),
        Some(text) => {
            let asked: Scope = text.parse().map_err(|_| invalid_scope())?;
            if !client.registered(&asked) {
                return Err(not_registered(client, Some(&text)));
            }
            grants::scope_list(&asked)
        }
    };
    grants::ignore_offline_access(client, &mut scope);
    Ok(scope)
}

/// What a machine's refusal is answered with; `refused` for a grant that does not serve.
pub fn failure(failure: &TokenFailure<()>, refused: impl FnOnce() -> OAuthError) -> OAuthError {
    match failure {
        TokenFailure::Request => OAuthError::invalid_request("the request is malformed"),
        TokenFailure::Scope => invalid_scope(),
        TokenFailure::Grant => refused(),
        TokenFailure::Extension(()) | TokenFailure::Store => broken(),
    }
}
