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
    RequestNotSupported,
    RequestUriNotSupported,
    RegistrationNotSupported,
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
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
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
}

impl OAuthError {
    pub fn new(code: Code, description: impl Into<String>) -> Self {
        let status = match code {
            Code::InvalidClient => StatusCode::UNAUTHORIZED,
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
        Self { code, description: description.collect(), status, challenge: false, retry_after: None }
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

    /// Come again after `retry_after`.
    pub fn temporarily_unavailable(description: &str, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Code::TemporarilyUnavailable, description) }
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
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}
