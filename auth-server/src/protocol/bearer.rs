//! Access tokens as the authorization server itself accepts them: at userinfo and `/api/v1/me`, and at introspection.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use oxide_auth_axum::OAuthResource;
use serde_json::Value;
use shared::db::{Conn, DbError};
use shared::dpop;
use shared::ids::{ClientId, GrantId, UserId};
use shared::jose::jwt::Unverified;
use shared::jose::name_of;
use shared::problem::Problem;
use shared::revocations::Kind;
use shared::{fetch_optional, subjects};
use sqlx::types::Json;

use super::binding::Confirmation;
use super::client_auth::mtls;
use super::dpop::{NotProved, check_possession};
use super::grants::GrantDetails;
use super::tokens::AccessTokenClaims;
use crate::accounts::factors::showed_all_by;
use crate::sessions::ACR_MFA;
use crate::state::AppState;

/// Room for authorization details, an actor chain and a key's thumbprints.
const LONGEST: usize = 16 * 1024;

/// How far clocks of our own instances may differ, in seconds.
const LEEWAY: i64 = 5;

/// Verifies an access token of ours: signature, type, issuer, time and revocation (RFC 9068 §4). The audience is for
/// the caller to check. `None` when anything is wrong with it.
pub fn verify(state: &AppState, token: &str) -> Option<AccessTokenClaims> {
    let token = Unverified::parse(token, LONGEST).ok()?;
    if !token.header().has_typ("at+jwt") {
        return None;
    }
    let key = state.keys.published(token.kid()?)?;
    // Only the algorithm that the key is for, whatever the header says (RFC 8725 §3.1).
    let verified = token.verify_by(key.verifier(), key.algorithm.jwt()).ok()?;
    let claims: AccessTokenClaims = serde_json::from_value(Value::Object(verified.claims)).ok()?;
    let now = state.platform.clock.timestamp();
    if claims.iss != state.issuer() || claims.exp <= now || claims.iat > now + LEEWAY {
        return None;
    }
    let revocations = &state.platform.revocations;
    let listed = revocations.contains(
        [
            (Kind::Token, Some(claims.jti.as_str())),
            (Kind::Grant, claims.grant_id.as_deref()),
            (Kind::Session, claims.sid.as_deref()),
            (Kind::User, Some(claims.sub.as_str())),
        ]
        .into_iter()
        .filter_map(|(kind, id)| Some((kind, id?))),
    );
    let ended = revocations.ended(&claims.client_id, claims.iat);
    (!listed && !ended).then_some(claims)
}

/// Whom a token's `sub` means. Pairwise ones cost a look-up.
async fn resolve(state: &AppState, sub: &str) -> Result<Option<UserId>, DbError> {
    match sub.parse() {
        Ok(user) => Ok(Some(user)),
        Err(_) => subjects::resolve(&mut state.platform.db.read().await?, sub).await,
    }
}

/// The person (and the client acting for them) behind a request with a bearer token for this server.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user_id: UserId,
    /// As the token names them.
    pub sub: String,
    pub client_id: ClientId,
    /// The grant that the token comes from.
    pub grant_id: Option<GrantId>,
    pub scope: Vec<String>,
    /// When the person last proved who they are.
    pub auth_time: Option<DateTime<Utc>>,
    /// Is the client one of our own?
    pub first_party: bool,
    scheme: Scheme,
}

/// How a token is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    /// RFC 6750 §2.1.
    Bearer,
    /// RFC 9449 §7.1.
    Dpop,
}

impl Caller {
    /// Refuses a token without `scope` (RFC 6750 §3.1: `insufficient_scope`).
    pub fn require(&self, scope: &str) -> Result<(), Challenge> {
        if self.scope.iter().any(|s| s == scope) {
            return Ok(());
        }
        Err(Challenge::InsufficientScope(scope.to_owned()).under(self.scheme))
    }

    /// Refuses a token whose sign-in is longer ago than `max_age`, or of which nobody says when it was (RFC 9470 §3).
    pub fn require_fresh(&self, now: DateTime<Utc>, max_age: TimeDelta) -> Result<(), Challenge> {
        if self.auth_time.is_some_and(|at| now - at <= max_age) {
            return Ok(());
        }
        Err(Challenge::StaleSignIn { max_age }.under(self.scheme))
    }

    /// Refuses a token of a sign-in that was spared the second factor which the account has: on a remembered device, or by
    /// a code from the mailbox (RFC 9470 §3).
    pub async fn require_whole(&self, conn: &mut Conn) -> Result<Result<(), Challenge>, DbError> {
        let details: Option<(Json<GrantDetails>,)> =
            fetch_optional!(conn, (Json<GrantDetails>,), "SELECT details FROM grants WHERE id = $1", self.grant_id)?;
        // Of a grant that is gone nobody knows how it began.
        let (amr, at) = match details {
            Some((Json(details),)) => (details.amr, details.auth_time),
            None => (vec![], DateTime::<Utc>::MAX_UTC),
        };
        let whole = showed_all_by(conn, self.user_id, &amr, at).await?;
        Ok(if whole { Ok(()) } else { Err(Challenge::WeakSignIn.under(self.scheme)) })
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
    /// The token is good, and the sign-in behind it too long ago (RFC 9470 §3).
    StaleSignIn {
        max_age: TimeDelta,
    },
    /// The token is good, and the sign-in behind it was let in without the second factor that the account has.
    WeakSignIn,
    /// The proof of the token's key is missing or no good (RFC 9449 §7.1).
    Proof,
    /// It lacks the nonce that goes with this answer (RFC 9449 §9).
    Nonce,
    /// The same, of a token that came under the scheme DPoP.
    Dpop(Box<Self>),
    /// The token is good, and not for this: a client acting for itself, say.
    Forbidden(&'static str),
    /// The answer can't be had now.
    Failed(Box<Problem>),
}

impl Challenge {
    fn under(self, scheme: Scheme) -> Self {
        match scheme {
            Scheme::Bearer => self,
            Scheme::Dpop => Self::Dpop(Box::new(self)),
        }
    }
}

impl IntoResponse for Challenge {
    fn into_response(self) -> Response {
        let (reason, tried) = match self {
            Self::Dpop(reason) => (*reason, Scheme::Dpop),
            reason => (reason, Scheme::Bearer),
        };
        let described = |error: &str| format!(", error=\"{error}\"");
        let (problem, error) = match reason {
            Self::Missing => {
                (Problem::unauthorized().with_detail("send an access token: Authorization: Bearer …"), String::new())
            }
            Self::Malformed => {
                (Problem::malformed("send one access token in one Authorization header"), described("invalid_request"))
            }
            Self::Invalid | Self::Dpop(_) => (
                Problem::unauthorized()
                    .with_detail("the access token is unknown, expired, revoked, bound or for another audience"),
                described("invalid_token"),
            ),
            Self::Proof => (
                Problem::unauthorized().with_detail("the DPoP proof is missing, used or not valid for this request"),
                described("invalid_dpop_proof"),
            ),
            Self::Nonce => (
                Problem::unauthorized().with_detail("the DPoP proof needs the nonce from the DPoP-Nonce header"),
                described("use_dpop_nonce"),
            ),
            Self::InsufficientScope(scope) => (
                Problem::forbidden().with_detail(format!("the access token lacks the scope {scope}")),
                format!(", error=\"insufficient_scope\", scope=\"{scope}\""),
            ),
            Self::StaleSignIn { max_age } => {
                let problem = Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "insufficient-user-authentication",
                    "The sign-in behind the access token is not enough",
                );
                let seconds = max_age.num_seconds();
                let detail = format!("sign in again and come back within {seconds} seconds");
                let error = described("insufficient_user_authentication");
                let error = format!("{error}, error_description=\"{detail}\", max_age=\"{seconds}\"");
                (problem.with_detail(detail), error)
            }
            Self::WeakSignIn => {
                let problem = Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "insufficient-user-authentication",
                    "The sign-in behind the access token is not enough",
                );
                let detail = "sign in again, with the second factor";
                let error = described("insufficient_user_authentication");
                let error = format!("{error}, error_description=\"{detail}\", acr_values=\"{ACR_MFA}\"");
                (problem.with_detail(detail), error)
            }
            Self::Forbidden(reason) => return Problem::forbidden().with_detail(reason).into_response(),
            Self::Failed(problem) => return problem.into_response(),
        };
        // Both schemes serve (RFC 9449 §7.2); the error stands with the one that was tried.
        let of = |scheme: Scheme| if tried == scheme { error.as_str() } else { "" };
        let algorithms = dpop::ALGORITHMS.map(name_of).join(" ");
        let challenges = [
            format!("Bearer realm=\"referris\"{}", of(Scheme::Bearer)),
            format!("DPoP realm=\"referris\"{}, algs=\"{algorithms}\"", of(Scheme::Dpop)),
        ];
        let mut response = problem.into_response();
        for challenge in challenges {
            if let Ok(challenge) = HeaderValue::try_from(challenge) {
                response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
            }
        }
        debug_assert_ne!(response.status(), StatusCode::OK);
        response
    }
}

/// The one token of the one `Authorization` header.
fn presented(header: Option<&str>) -> Result<(Scheme, &str), Challenge> {
    let (scheme, token) = header.ok_or(Challenge::Missing)?.split_once(' ').ok_or(Challenge::Malformed)?;
    let scheme = if scheme.eq_ignore_ascii_case("bearer") {
        Scheme::Bearer
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Scheme::Dpop
    } else {
        // Another scheme is no attempt at these.
        return Err(Challenge::Missing);
    };
    Ok((scheme, token.trim()))
}

/// Does the request prove what the token is bound to (RFC 7800), and does it come under the scheme for that?
async fn check_binding(
    state: &AppState,
    parts: &Parts,
    scheme: Scheme,
    token: &str,
    cnf: Option<&Confirmation>,
) -> Result<(), Challenge> {
    if let Some(thumbprint) = cnf.and_then(|cnf| cnf.x5t_s256.as_deref())
        && !mtls::confirms(thumbprint, parts.extensions.get())
    {
        return Err(Challenge::Invalid);
    }
    match (scheme, cnf.and_then(|cnf| cnf.jkt.as_deref())) {
        (Scheme::Bearer, None) => Ok(()),
        // RFC 9449 §7.2: or a stolen token would be good without its key.
        (Scheme::Bearer, Some(_)) | (Scheme::Dpop, None) => Err(Challenge::Invalid),
        (Scheme::Dpop, Some(jkt)) => check_possession(state, parts, token, jkt).await.map_err(|reason| match reason {
            NotProved::Proof => Challenge::Proof,
            NotProved::Nonce => Challenge::Nonce,
            NotProved::Key => Challenge::Invalid,
        }),
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Challenge;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Challenge> {
        // Two headers are one too many.
        let resource = OAuthResource::from_request_parts(parts, state).await.map_err(|_| Challenge::Malformed)?;
        let (scheme, token) = presented(resource.authorization_header())?;
        caller(state, parts, scheme, token).await.map_err(|challenge| challenge.under(scheme))
    }
}

async fn caller(state: &AppState, parts: &Parts, scheme: Scheme, token: &str) -> Result<Caller, Challenge> {
    let claims = verify(state, token).ok_or(Challenge::Invalid)?;
    if !claims.aud.contains(state.issuer()) {
        return Err(Challenge::Invalid);
    }
    check_binding(state, parts, scheme, token, claims.cnf.as_ref()).await?;
    if claims.sub == claims.client_id {
        return Err(Challenge::Forbidden("this needs a person's token; a client can't act for itself here"));
    }
    let user_id = resolve(state, &claims.sub).await.map_err(|e| Challenge::Failed(Box::new(e.into())))?;
    let user_id = user_id.ok_or(Challenge::Invalid)?;
    let client_id = ClientId(claims.client_id.clone());
    let client = state.clients.get(&client_id).await.map_err(|e| Challenge::Failed(Box::new(e.into())))?;
    let client = client.ok_or(Challenge::Invalid)?;
    Ok(Caller {
        user_id,
        sub: claims.sub.clone(),
        client_id,
        grant_id: claims.grant_id.as_deref().and_then(|id| id.parse().ok()),
        scope: claims.scopes().map(str::to_owned).collect(),
        auth_time: claims.auth_time.and_then(|at| DateTime::from_timestamp(at, 0)),
        first_party: client.first_party,
        scheme,
    })
}
