//! What tokens say: JWT access tokens (RFC 9068), ID tokens (OpenID Connect Core §2), and the token response.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm};
use openidconnect::{
    AccessToken, AdditionalClaims, Audience, AuthenticationContextClass, AuthenticationMethodReference, EndUserEmail,
    EndUserFamilyName, EndUserGivenName, EndUserName, IdToken, IdTokenClaims, IssuerUrl, LanguageTag, LocalizedClaim,
    Nonce, StandardClaims, SubjectIdentifier,
};
use serde::{Deserialize, Serialize};
use shared::ids::{GrantId, SessionId, UserId};
use shared::users::User;
use tracing::error;

use super::error::{Code, OAuthError};
use super::grants::GrantDetails;
use crate::clients::Client;
use crate::keys::Algorithm;
use crate::state::AppState;

/// The claims of an access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    pub iss: String,
    /// A user's id, or the client's own where it acts for itself.
    pub sub: String,
    pub aud: OneOrMany,
    pub exp: i64,
    pub iat: i64,
    pub jti: String,
    pub client_id: String,
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<String>,
}

/// A single audience is written as a string (RFC 7519 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn contains(&self, value: &str) -> bool {
        match self {
            Self::One(one) => one == value,
            Self::Many(many) => many.iter().any(|v| v == value),
        }
    }
}

impl AccessTokenClaims {
    /// The scope's tokens.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.split(' ').filter(|s| !s.is_empty())
    }
}

/// For whom an access token is.
pub enum Subject<'a> {
    /// A client that acts for itself.
    Client,
    User {
        id: UserId,
        grant: GrantId,
        sid: Option<SessionId>,
        details: &'a GrantDetails,
    },
}

/// Whom an access token is for: what the client named, or what its scope implies.
pub fn audience(state: &AppState, scope: &[String], resource: &[String]) -> OneOrMany {
    let issuer = state.issuer().to_owned();
    let api = state.platform.config.api.public_url.as_str().to_owned();
    let mut audience = resource.to_vec();
    if audience.is_empty() {
        let (referral, own): (Vec<_>, Vec<_>) = scope.iter().partition(|s| s.starts_with("referral"));
        if !own.is_empty() || referral.is_empty() {
            audience.push(issuer);
        }
        if !referral.is_empty() {
            audience.push(api);
        }
    }
    audience.dedup();
    match audience.len() {
        1 => OneOrMany::One(audience.remove(0)),
        _ => OneOrMany::Many(audience),
    }
}

/// The resources of a request: those we know (RFC 8707 §2), and at the token endpoint those that were granted.
pub fn check_resource(state: &AppState, asked: &[String], granted: &[String]) -> Result<Vec<String>, OAuthError> {
    let known = [state.issuer(), state.platform.config.api.public_url.as_str()];
    for resource in asked {
        if !known.contains(&resource.as_str()) || (!granted.is_empty() && !granted.contains(resource)) {
            return Err(OAuthError::new(Code::InvalidTarget, "this resource is unknown here or was not granted"));
        }
    }
    let mut resources = if asked.is_empty() { granted.to_vec() } else { asked.to_vec() };
    resources.sort();
    resources.dedup();
    Ok(resources)
}

/// Signs an access token. `jti` names it; `expires_at` is its end.
pub fn access_token(
    state: &AppState,
    client: &Client,
    subject: &Subject<'_>,
    scope: &[String],
    resource: &[String],
    jti: String,
    expires_at: DateTime<Utc>,
) -> Result<String, OAuthError> {
    let now = state.platform.clock.now();
    let mut claims = AccessTokenClaims {
        iss: state.issuer().to_owned(),
        sub: client.client_id.0.clone(),
        aud: audience(state, scope, resource),
        exp: expires_at.timestamp(),
        iat: now.timestamp(),
        jti,
        client_id: client.client_id.0.clone(),
        scope: scope.join(" "),
        auth_time: None,
        acr: None,
        sid: None,
        grant_id: None,
    };
    if let Subject::User { id, grant, sid, details } = subject {
        claims.sub = id.to_string();
        claims.auth_time = Some(details.auth_time.timestamp());
        claims.acr = Some(details.acr.clone());
        claims.sid = sid.map(|sid| sid.to_string());
        claims.grant_id = Some(grant.to_string());
    }
    let key = state.keys.signing(Algorithm::Es256, now);
    key.sign_access_token(&claims).map_err(|error| {
        error!(%error, "an access token can't be signed");
        OAuthError::new(Code::ServerError, "the token can't be signed")
    })
}

/// The claim that OpenID Connect Back-Channel Logout §2.1 adds to ID tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionClaim {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
}

impl AdditionalClaims for SessionClaim {}

/// Our ID tokens.
pub type OurIdToken =
    IdToken<SessionClaim, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// Signs an ID token with the client's algorithm. Claims about the person are left to the userinfo endpoint (OpenID
/// Connect Core §5.4), since an access token always goes with it.
pub fn id_token(
    state: &AppState,
    client: &Client,
    user: UserId,
    sid: Option<SessionId>,
    details: &GrantDetails,
    nonce: Option<&str>,
    access_token: &str,
) -> Result<String, OAuthError> {
    let failed = |reason: String| {
        error!(reason, "an ID token can't be signed");
        OAuthError::new(Code::ServerError, "the ID token can't be signed")
    };
    let now = state.platform.clock.now();
    let seconds = i64::try_from(state.platform.config.tokens.id_token_seconds).unwrap_or(600);
    let issuer = IssuerUrl::new(state.issuer().to_owned()).map_err(|e| failed(e.to_string()))?;
    let claims = IdTokenClaims::<SessionClaim, CoreGenderClaim>::new(
        issuer,
        vec![Audience::new(client.client_id.0.clone())],
        now + TimeDelta::seconds(seconds),
        now,
        StandardClaims::new(SubjectIdentifier::new(user.to_string())),
        SessionClaim { sid: sid.map(|sid| sid.to_string()) },
    )
    .set_auth_time(Some(details.auth_time))
    .set_auth_context_ref(Some(AuthenticationContextClass::new(details.acr.clone())))
    .set_auth_method_refs(Some(details.amr.iter().cloned().map(AuthenticationMethodReference::new).collect()))
    .set_nonce(nonce.map(|nonce| Nonce::new(nonce.to_owned())));
    let algorithm = Algorithm::named(&client.metadata.id_token_signed_response_alg).unwrap_or(Algorithm::Rs256);
    let key = state.keys.signing(algorithm, now);
    let access_token = AccessToken::new(access_token.to_owned());
    OurIdToken::new(claims, key.as_ref(), algorithm.core(), Some(&access_token), None)
        .map(|token| token.to_string())
        .map_err(|e| failed(e.to_string()))
}

/// What a person's scopes tell about them (OpenID Connect Core §5.4).
pub fn standard_claims(user: &User, scopes: &[&str]) -> StandardClaims<CoreGenderClaim> {
    let has = |scope: &str| scopes.contains(&scope);
    let mut claims = StandardClaims::new(SubjectIdentifier::new(user.id.to_string()));
    if has("profile") {
        claims = claims
            .set_name(user.display_name().map(|name| LocalizedClaim::from(EndUserName::new(name))))
            .set_given_name(user.given_name.clone().map(|name| LocalizedClaim::from(EndUserGivenName::new(name))))
            .set_family_name(user.family_name.clone().map(|name| LocalizedClaim::from(EndUserFamilyName::new(name))))
            .set_locale(user.locale.clone().map(LanguageTag::new))
            .set_updated_at(Some(user.updated_at));
    }
    if has("email") {
        claims = claims
            .set_email(Some(EndUserEmail::new(user.email.clone())))
            .set_email_verified(Some(user.email_verified_at.is_some()));
    }
    claims
}

/// A successful token response (RFC 6749 §5.1).
#[derive(Clone, Debug, Serialize)]
pub struct TokenResponse {
    pub access_token: String,
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
}

impl IntoResponse for TokenResponse {
    fn into_response(self) -> Response {
        let mut response = Json(self).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        response
    }
}
