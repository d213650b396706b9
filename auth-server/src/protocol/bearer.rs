//! Access tokens as the authorization server itself accepts them: at userinfo and `/api/v1/me`, and at introspection.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use oxide_auth_axum::OAuthResource;
use shared::ids::{ClientId, UserId};
use shared::problem::Problem;
use shared::revocations::Kind;

use super::tokens::AccessTokenClaims;
use crate::state::AppState;

/// Verifies an access token of ours: signature, type, issuer, time and revocation (RFC 9068 §4). The audience is for
/// the caller to check. `None` when anything is wrong with it.
pub fn verify(state: &AppState, token: &str) -> Option<AccessTokenClaims> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    let typ = header.typ.as_deref()?;
    if !typ.eq_ignore_ascii_case("at+jwt") && !typ.eq_ignore_ascii_case("application/at+jwt") {
        return None;
    }
    let key = state.keys.published(header.kid.as_deref()?)?;
    // Only the algorithm that the key is for, whatever the header says (RFC 8725 §3.1).
    let mut validation = jsonwebtoken::Validation::new(key.algorithm.jwt());
    validation.required_spec_claims.clear();
    // Times are compared below, with our own clock.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode::<AccessTokenClaims>(token, key.verifier(), &validation).ok()?.claims;
    let now = state.platform.clock.timestamp();
    if claims.iss != state.issuer() || claims.exp <= now || claims.iat > now + 5 {
        return None;
    }
    let listed = state.platform.revocations.contains(
        [
            (Kind::Token, Some(claims.jti.as_str())),
            (Kind::Grant, claims.grant_id.as_deref()),
            (Kind::Session, claims.sid.as_deref()),
            (Kind::User, Some(claims.sub.as_str())),
            (Kind::Client, Some(claims.client_id.as_str())),
        ]
        .into_iter()
        .filter_map(|(kind, id)| Some((kind, id?))),
    );
    (!listed).then_some(claims)
}

/// The person (and the client acting for them) behind a request with a bearer token for this server.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user_id: UserId,
    pub client_id: ClientId,
    pub scope: Vec<String>,
    /// When the person last proved who they are.
    pub auth_time: Option<DateTime<Utc>>,
    /// Is the client one of our own?
    pub first_party: bool,
}

impl Caller {
    /// Refuses a token without `scope` (RFC 6750 §3.1: `insufficient_scope`).
    pub fn require(&self, scope: &str) -> Result<(), Challenge> {
        if self.scope.iter().any(|s| s == scope) { Ok(()) } else { Err(Challenge::InsufficientScope(scope.to_owned())) }
    }
}

/// Why a bearer token does not serve (RFC 6750 §3).
#[derive(Clone, Debug)]
pub enum Challenge {
    /// There is none: no error code is told.
    Missing,
    /// More than one way of sending a token, or not a bearer token.
    Malformed,
    Invalid,
    /// The scope that is needed.
    InsufficientScope(String),
    /// The token is good, and not for this: a client acting for itself, say.
    Forbidden(&'static str),
    /// The answer can't be had now.
    Failed(Box<Problem>),
}

impl IntoResponse for Challenge {
    fn into_response(self) -> Response {
        let realm = "Bearer realm=\"referris\"";
        let (problem, challenge) = match self {
            Self::Missing => {
                (Problem::unauthorized().with_detail("send an access token: Authorization: Bearer …"), realm.to_owned())
            }
            Self::Malformed => (
                Problem::malformed("send one access token in one Authorization header"),
                format!("{realm}, error=\"invalid_request\""),
            ),
            Self::Invalid => (
                Problem::unauthorized()
                    .with_detail("the access token is unknown, expired, revoked or for another audience"),
                format!("{realm}, error=\"invalid_token\""),
            ),
            Self::InsufficientScope(scope) => (
                Problem::forbidden().with_detail(format!("the access token lacks the scope {scope}")),
                format!("{realm}, error=\"insufficient_scope\", scope=\"{scope}\""),
            ),
            Self::Forbidden(reason) => return Problem::forbidden().with_detail(reason).into_response(),
            Self::Failed(problem) => return problem.into_response(),
        };
        let mut response = problem.into_response();
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        debug_assert_ne!(response.status(), StatusCode::OK);
        response
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Challenge;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Challenge> {
        let resource = OAuthResource::from_request_parts(parts, state).await.map_err(|_| Challenge::Malformed)?;
        let header = resource.authorization_header().ok_or(Challenge::Missing)?;
        let (scheme, token) = header.split_once(' ').ok_or(Challenge::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Challenge::Missing);
        }
        let claims = verify(state, token.trim()).ok_or(Challenge::Invalid)?;
        if !claims.aud.contains(state.issuer()) {
            return Err(Challenge::Invalid);
        }
        if claims.sub == claims.client_id {
            return Err(Challenge::Forbidden("this needs a person's token; a client can't act for itself here"));
        }
        let user_id: UserId = claims.sub.parse().map_err(|_| Challenge::Invalid)?;
        let client_id = ClientId(claims.client_id.clone());
        let client = state.clients.get(&client_id).await.map_err(|e| Challenge::Failed(Box::new(e.into())))?;
        let client = client.ok_or(Challenge::Invalid)?;
        Ok(Self {
            user_id,
            client_id,
            scope: claims.scopes().map(str::to_owned).collect(),
            auth_time: claims.auth_time.and_then(|at| DateTime::from_timestamp(at, 0)),
            first_party: client.first_party,
        })
    }
}
