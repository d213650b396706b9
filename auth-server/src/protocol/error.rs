//! The one error of the OAuth endpoints: RFC 6749 §5.2, with the members and headers it asks for.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::db::DbError;
use tracing::error;

/// The registered error codes that we answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    // RFC 6749 §5.2
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidScope,
    // RFC 6749 §4.1.2.1
    AccessDenied,
    UnsupportedResponseType,
    ServerError,
    TemporarilyUnavailable,
    // RFC 8707 §2
    InvalidTarget,
    // OpenID Connect Core §3.1.2.6
    LoginRequired,
    ConsentRequired,
    InteractionRequired,
    RequestUriNotSupported,
    RegistrationNotSupported,
    InvalidRequestUri,
    InvalidRequestObject,
    // OpenID Connect Unmet Authentication Requirements 1.0 §2
    UnmetAuthenticationRequirements,
    // RFC 9449 §5 and §8
    InvalidDpopProof,
    UseDpopNonce,
    // RFC 8628 §3.5
    AuthorizationPending,
    SlowDown,
    ExpiredToken,
    // RFC 9396 §5
    InvalidAuthorizationDetails,
    // RFC 7591 §3.2.2
    InvalidRedirectUri,
    InvalidClientMetadata,
    InvalidSoftwareStatement,
    UnapprovedSoftwareStatement,
    // RFC 6750 §3.1
    InvalidToken,
}

impl Code {
    /// The code as it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::InvalidTarget => "invalid_target",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::InteractionRequired => "interaction_required",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::InvalidRequestObject => "invalid_request_object",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidSoftwareStatement => "invalid_software_statement",
            Self::UnapprovedSoftwareStatement => "unapproved_software_statement",
            Self::InvalidToken => "invalid_token",
        }
    }
}

/// An error answer of an OAuth endpoint. `description` is for the developer of the client (RFC 6749 §5.2: ASCII
/// without quotes and backslashes) and says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthError {
    pub code: Code,
    pub description: String,
    status: StatusCode,
    challenge: bool,
    retry_after: Option<Duration>,
    /// RFC 9449 §8: the nonce that the next proof must carry.
    dpop_nonce: Option<String>,
}

impl OAuthError {
    pub fn new(code: Code, description: impl Into<String>) -> Self {
        let status = match code {
            Code::InvalidClient | Code::InvalidToken => StatusCode::UNAUTHORIZED,
            Code::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Code::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let text: String = description.into();
        let description = text.chars().map(|c| match c {
            '"' | '\\' => '\'',
            ' '..='~' => c,
            _ => '?',
        });
        Self { code, description: description.collect(), status, challenge: false, retry_after: None, dpop_nonce: None }
    }

    pub fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, description)
    }

    /// The same answer for a grant that never was, has expired, was used or belongs to someone else.
    pub fn invalid_grant(description: impl Into<String>) -> Self {
        Self::new(Code::InvalidGrant, description)
    }

    /// The client did not prove who it is. `challenge` when it tried the `Authorization` header (RFC 6749 §5.2).
    pub fn invalid_client(challenge: bool) -> Self {
        let description = "client authentication failed: check client_id, the secret and the registered method";
        Self { challenge, ..Self::new(Code::InvalidClient, description) }
    }

    /// The client's assertion proves nothing, for whatever reason and for whatever client (RFC 7521 §4.2.1).
    pub fn invalid_assertion() -> Self {
        let description = "client authentication failed: check the registered method, and the assertion's key, alg, iss, \
                           sub, aud, exp and jti";
        Self::new(Code::InvalidClient, description)
    }

    /// The same error with another status: 413 and 415 of RFC 9126 §2.3.
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same error with a nonce for the client's next DPoP proof (RFC 9449 §8).
    pub fn with_dpop_nonce(self, nonce: String) -> Self {
        Self { dpop_nonce: Some(nonce), ..self }
    }

    /// What is asked for is not allowed to anybody (403).
    pub fn forbidden(description: &str) -> Self {
        Self { status: StatusCode::FORBIDDEN, ..Self::new(Code::AccessDenied, description) }
    }

    /// Come again after `retry_after`.
    pub fn temporarily_unavailable(description: &str, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Code::TemporarilyUnavailable, description) }
    }

    /// The keys that a client's signature would be verified with can't be had: that says nothing against the client.
    pub fn keys_unavailable() -> Self {
        Self::temporarily_unavailable("the client's keys can't be fetched just now", Duration::from_secs(5))
    }

    /// Too many tries (RFC 6585 §4).
    pub fn too_many_requests(retry_after: Duration) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(retry_after),
            ..Self::new(Code::TemporarilyUnavailable, "too many attempts; wait as long as Retry-After says")
        }
    }
}

impl From<DbError> for OAuthError {
    fn from(error: DbError) -> Self {
        if error.is_unavailable() {
            error!(%error, "the database is out of reach");
            return Self::temporarily_unavailable("try again in a moment", Duration::from_secs(2));
        }
        // What an OAuth endpoint writes refers to the client: deleted elsewhere a moment ago, and still known here.
        if matches!(error, DbError::ForeignKeyViolation(_)) {
            return Self::invalid_client(false);
        }
        error!(%error, "a query failed");
        Self::new(Code::ServerError, "something went wrong on our side; the log names it")
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'static str,
    error_description: &'a str,
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = Body { error: self.code.as_str(), error_description: &self.description };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        if self.challenge {
            headers
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"token\", charset=\"UTF-8\""));
        }
        if let Some(nonce) = self.dpop_nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
            headers.insert("dpop-nonce", nonce);
        }
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}
