//! What tokens say: JWT access tokens (RFC 9068), ID tokens (OpenID Connect Core §2), and the token response.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm};
use openidconnect::{
    AdditionalClaims, Audience, AuthenticationContextClass, AuthenticationMethodReference, IdToken, IdTokenClaims,
    IssuerUrl, Nonce, StandardClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::db::{DbError, Tx};
use shared::ids::{GrantId, UserId};
use shared::users::{self, User};
use tracing::error;

use super::binding::Confirmation;
use super::claims;
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
    /// RFC 7800 §3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// RFC 9396 §9.1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details: Vec<serde_json::Value>,
    /// Who acts for the subject (RFC 8693 §4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<serde_json::Value>,
}

/// A single audience is written as a string (RFC 7519 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    pub fn to_vec(&self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one.clone()],
            Self::Many(many) => many.clone(),
        }
    }

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
        /// As the client knows the session.
        sid: Option<String>,
        details: &'a GrantDetails,
    },
}

/// Whom an access token is for: what the client named, or what its scope implies.
pub fn audience(state: &AppState, scope: &[String], resource: &[String], details: &[serde_json::Value]) -> OneOrMany {
    let (issuer, api) = (state.issuer(), state.platform.config.api.public_url.as_str());
    let mut audience: Vec<&str> = resource.iter().map(String::as_str).collect();
    if audience.is_empty() {
        let of_the_api = |scope: &String| scope.starts_with("referral") || scope.starts_with("webhooks:");
        // All authorization details there are concern the referral API.
        let referral = scope.iter().any(of_the_api) || !details.is_empty();
        if !referral || !scope.iter().all(of_the_api) {
            audience.push(issuer);
        }
        if referral {
            audience.push(api);
        }
    }
    audience.dedup();
    match audience.as_slice() {
        [one] => OneOrMany::One((*one).to_owned()),
        many => OneOrMany::Many(many.iter().map(|one| (*one).to_owned()).collect()),
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

/// The `sub` by which `client` knows `user` (OpenID Connect Core §8).
pub fn subject(state: &AppState, client: &Client, user: UserId) -> String {
    client.sub_of(&state.platform, user)
}

/// An access token to be signed.
pub struct AccessToken<'a> {
    pub client: &'a Client,
    pub subject: Subject<'a>,
    pub scope: &'a [String],
    pub resource: &'a [String],
    /// What it is bound to.
    pub cnf: Option<Confirmation>,
    pub authorization_details: &'a [serde_json::Value],
    pub act: Option<serde_json::Value>,
    pub jti: String,
    pub expires_at: DateTime<Utc>,
}

impl AccessToken<'_> {
    /// Signs it (RFC 9068 §2).
    pub fn sign(self, state: &AppState) -> Result<String, OAuthError> {
        let now = state.platform.clock.now();
        let mut claims = AccessTokenClaims {
            iss: state.issuer().to_owned(),
            sub: self.client.client_id.0.clone(),
            aud: audience(state, self.scope, self.resource, self.authorization_details),
            exp: self.expires_at.timestamp(),
            iat: now.timestamp(),
            jti: self.jti,
            client_id: self.client.client_id.0.clone(),
            scope: self.scope.join(" "),
            auth_time: None,
            acr: None,
            sid: None,
            grant_id: None,
            cnf: self.cnf,
            authorization_details: self.authorization_details.to_vec(),
            act: self.act,
        };
        if let Subject::User { id, grant, sid, details } = self.subject {
            claims.sub = subject(state, self.client, id);
            // A grant for which nobody signed in does not say when.
            claims.auth_time = Some(details.auth_time.timestamp()).filter(|at| *at > 0);
            claims.acr = Some(details.acr.clone());
            claims.sid = sid;
            claims.grant_id = Some(grant.to_string());
        }
        let key = state.keys.signing(Algorithm::Es256, now);
        key.sign_access_token(&claims).map_err(|error| {
            error!(%error, "an access token can't be signed");
            OAuthError::new(Code::ServerError, "the token can't be signed")
        })
    }
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

/// An ID token to be signed. Claims about the person are left to the userinfo endpoint (OpenID Connect Core §5.4), since
/// an access token always goes with it; those that were asked for by name are in it.
pub struct IdentityToken<'a> {
    pub client: &'a Client,
    pub user: UserId,
    /// As the client knows the session.
    pub sid: Option<String>,
    pub details: &'a GrantDetails,
    pub nonce: Option<&'a str>,
    pub access_token: &'a str,
    /// The account, where claims were asked for by name.
    pub person: Option<&'a User>,
}

impl IdentityToken<'_> {
    /// Signs it with the client's algorithm.
    pub fn sign(self, state: &AppState) -> Result<String, OAuthError> {
        let failed = |reason: String| {
            error!(reason, "an ID token can't be signed");
            OAuthError::new(Code::ServerError, "the ID token can't be signed")
        };
        let Self { client, user, sid, details, nonce, access_token, person } = self;
        let now = state.platform.clock.now();
        let seconds = i64::try_from(state.platform.config.tokens.id_token_seconds).unwrap_or(600);
        let issuer = IssuerUrl::new(state.issuer().to_owned()).map_err(|e| failed(e.to_string()))?;
        let mut about = match (person, &details.claims) {
            (Some(person), Some(asked)) => claims::about(person, &[], &claims::registered(&asked.id_token, client)),
            _ => Map::new(),
        };
        about.insert("sub".into(), subject(state, client, user).into());
        let about: StandardClaims<CoreGenderClaim> =
            serde_json::from_value(Value::Object(about)).map_err(|e| failed(e.to_string()))?;
        let claims = IdTokenClaims::<SessionClaim, CoreGenderClaim>::new(
            issuer,
            vec![Audience::new(client.client_id.0.clone())],
            now + TimeDelta::seconds(seconds),
            now,
            about,
            SessionClaim { sid },
        )
        .set_auth_time(Some(details.auth_time))
        .set_auth_context_ref(Some(AuthenticationContextClass::new(details.acr.clone())))
        .set_auth_method_refs(
            // Nothing is said of methods that are not known.
            Some(details.amr.iter().cloned().map(AuthenticationMethodReference::new).collect::<Vec<_>>())
                .filter(|amr| !amr.is_empty()),
        )
        .set_nonce(nonce.map(|nonce| Nonce::new(nonce.to_owned())));
        let algorithm = Algorithm::named(&client.metadata.id_token_signed_response_alg).unwrap_or(Algorithm::Rs256);
        let key = state.keys.signing(algorithm, now);
        let access_token = openidconnect::AccessToken::new(access_token.to_owned());
        OurIdToken::new(claims, key.as_ref(), algorithm.core(), Some(&access_token), None)
            .map(|token| token.to_string())
            .map_err(|e| failed(e.to_string()))
    }
}

/// The account, where the ID token is to tell of it.
pub async fn person(tx: &mut Tx, user: UserId, details: &GrantDetails) -> Result<Option<User>, DbError> {
    if details.claims.as_ref().is_none_or(|claims| claims.id_token.is_empty()) {
        return Ok(None);
    }
    users::by_id(tx, user).await
}

/// A successful token response (RFC 6749 §5.1).
#[derive(Clone, Debug, Serialize)]
pub struct TokenResponse {
    /// Base64url and dots, a JWT or not: written by itself, below.
    #[serde(skip)]
    pub access_token: String,
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// RFC 8693 §2.2.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    /// RFC 9396 §7.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorization_details: Vec<serde_json::Value>,
}

impl IntoResponse for TokenResponse {
    fn into_response(self) -> Response {
        // As long as what is in it, and a little for the names: it is not copied while it grows.
        let tokens = [Some(&self.access_token), self.refresh_token.as_ref(), self.id_token.as_ref()];
        let length: usize = tokens.into_iter().flatten().map(|token| token.len() + 32).sum();
        let mut body = Vec::with_capacity(length + self.scope.len() + 128);
        // Most of what there is to write, and nothing in it that JSON would escape (RFC 7515 §2).
        debug_assert!(self.access_token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        body.extend_from_slice(br#"{"access_token":""#);
        body.extend_from_slice(self.access_token.as_bytes());
        body.push(b'"');
        let rest = body.len();
        if let Err(error) = serde_json::to_writer(&mut body, &self) {
            error!(%error, "a token response can't be written");
            return OAuthError::new(Code::ServerError, "the answer can't be written").into_response();
        }
        // In place of the brace with which the rest begins.
        body[rest] = b',';
        let mut response = Response::new(body.into());
        // With room for what the layers around add, so that the table of headers is made once.
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        *response.headers_mut() = headers;
        response
    }
}
