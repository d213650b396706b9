//! [`Problem`]: the one error document of both services (RFC 9457). It tells the caller what to do; what happened goes
//! to the log. OAuth endpoints answer per RFC 6749 instead, and browsers get pages.

pub mod catalogue;
pub mod pages;

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::db::DbError;

/// The media type of RFC 9457 §3.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What a caller should wait when a store is out of reach: long enough for a failover, short enough not to be noticed.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);

/// An error answer. Boxed inside, so that `Result<T, Problem>` stays small.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    document: Document,
    retry_after: Option<Duration>,
    headers: HeaderMap,
}

/// The document as sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Document {
    /// Which problem this is: `urn:referris:problem:…`. Stable; programs decide by it. Its last part names the page
    /// `/problems/…`, which says what to do; `Link` (`rel="help"`) leads there.
    #[serde(rename = "type")]
    #[schema(example = "urn:referris:problem:validation")]
    kind: String,
    /// The problem in a few words, the same for every occurrence.
    #[schema(example = "The request is not valid")]
    title: Cow<'static, str>,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What is wrong with this very request.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Cow<'static, str>>,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// Names the request in the logs; also in the `X-Request-Id` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer into the body as a URI fragment (RFC 6901 §6): `#/expires_at`; `#/query/limit` names a query
    /// parameter and `#/path/id` a part of the path.
    #[schema(example = "#/expires_at")]
    pub pointer: String,
    /// What is wrong with it.
    #[schema(example = "must lie in the future")]
    pub detail: String,
}

impl FieldError {
    /// A field of the JSON body; `name` is one member, or several joined by `/` (`address/city`).
    pub fn body(name: &str, detail: impl Into<String>) -> Self {
        Self { pointer: format!("#/{name}"), detail: detail.into() }
    }

    /// A query parameter.
    pub fn query(name: &str, detail: impl Into<String>) -> Self {
        Self { pointer: format!("#/query/{}", escape(name)), detail: detail.into() }
    }

    /// A part of the path.
    pub fn path(name: &str, detail: impl Into<String>) -> Self {
        Self { pointer: format!("#/path/{}", escape(name)), detail: detail.into() }
    }
}

/// A member's name as a reference token (RFC 6901 §3), in a URI fragment (§6).
pub(crate) fn escape(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'~' => token.push_str("~0"),
            b'/' => token.push_str("~1"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => token.push(char::from(byte)),
            _ => token.push_str(&format!("%{byte:02X}")),
        }
    }
    token
}

impl Problem {
    /// A problem of our own making: `slug` becomes part of the stable `type`.
    pub fn new(status: StatusCode, slug: &str, title: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            document: Document {
                kind: type_of(slug),
                title: title.into(),
                status: status.as_u16(),
                detail: None,
                errors: vec![],
                request_id: None,
            },
            retry_after: None,
            headers: HeaderMap::new(),
        }))
    }

    /// 422: understood, but these fields can't be accepted.
    pub fn validation(errors: impl IntoIterator<Item = FieldError>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation", "The request is not valid");
        problem.0.document.errors.extend(errors);
        problem
    }

    /// 400: can't even be read.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request can't be read").with_detail(detail)
    }

    /// 401. Protected resources add their `WWW-Authenticate` challenge (RFC 9110 §15.5.2) by [`Problem::with_header`].
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Valid credentials are needed")
    }

    /// 403: known, but not allowed.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "This is not allowed")
    }

    /// 404: absent, or not for this caller to see.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here")
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This method does not work here")
    }

    /// 409: collides with what is there; `slug` says with what.
    pub fn conflict(slug: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        let title = catalogue::find(slug).map_or("This collides with what is there already", |kind| kind.title);
        Self::new(StatusCode::CONFLICT, slug, title).with_detail(detail)
    }

    /// 422: an `Idempotency-Key` that came before, with another request.
    pub fn idempotency_key_reused() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "This Idempotency-Key was used for another request",
        )
    }

    /// 413.
    pub fn payload_too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", "The request body is too large")
    }

    /// 415.
    pub fn unsupported_media_type() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "This media type is not accepted")
    }

    /// 429, with `Retry-After`.
    pub fn too_many_requests(retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests").with_retry_after(retry_after)
    }

    /// 500. Says nothing of the cause: log that where it is known.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side")
    }

    /// 503, with `Retry-After`.
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The service can't answer just now")
            .with_retry_after(UNAVAILABLE_RETRY)
    }

    /// The problem that stands for a bare status, for answers that did not come from our own code.
    pub fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::new(status, "malformed", "The request can't be read"),
            StatusCode::UNAUTHORIZED => Self::unauthorized(),
            StatusCode::FORBIDDEN => Self::forbidden(),
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            StatusCode::PAYLOAD_TOO_LARGE => Self::payload_too_large(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::unsupported_media_type(),
            StatusCode::UNPROCESSABLE_ENTITY => Self::validation([]),
            StatusCode::TOO_MANY_REQUESTS => Self::too_many_requests(Duration::from_secs(1)),
            StatusCode::INTERNAL_SERVER_ERROR => Self::internal(),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable(),
            // RFC 9457 §4.2.1: the status says it all, so the type is about:blank's kind of thing under our own name.
            _ => Self::new(
                status,
                &format!("http-{}", status.as_u16()),
                status.canonical_reason().unwrap_or("The request failed"),
            ),
        }
    }

    /// Says what is wrong with this very request.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.document.detail = Some(detail.into());
        self
    }

    /// Names one more field at fault.
    #[must_use]
    pub fn with_error(mut self, error: FieldError) -> Self {
        self.0.document.errors.push(error);
        self
    }

    /// Asks the caller to come back after this time.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.0.retry_after = Some(retry_after);
        self
    }

    /// Adds a header to the answer (`WWW-Authenticate`…).
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The stable `type`.
    pub fn kind(&self) -> &str {
        &self.0.document.kind
    }

    pub fn title(&self) -> &str {
        &self.0.document.title
    }

    pub fn detail(&self) -> Option<&str> {
        self.0.document.detail.as_deref()
    }

    pub fn errors(&self) -> &[FieldError] {
        &self.0.document.errors
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

/// The stable `type` of a kind of problem. A URN, because programs compare it: an address would change with the service's.
fn type_of(slug: &str) -> String {
    format!("urn:referris:problem:{slug}")
}

/// `Retry-After` in whole seconds, rounded up: who comes back on time must not be refused again.
pub fn retry_after_header(after: Duration) -> HeaderValue {
    HeaderValue::from((after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1))
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let Inner { mut document, retry_after, headers } = *self.0;
        document.request_id = document.request_id.or_else(crate::http::current_request_id);
        let help = document.kind.rsplit(':').next().and_then(catalogue::find);
        let help = help.and_then(|kind| HeaderValue::try_from(format!("</problems/{}>; rel=\"help\"", kind.slug)).ok());
        let mut response = (status, Json(document)).into_response();
        let out = response.headers_mut();
        out.extend(headers);
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(page) = help {
            out.append(header::LINK, page);
        }
        if let Some(after) = retry_after {
            out.insert(header::RETRY_AFTER, retry_after_header(after));
        }
        response
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0.document.status, self.0.document.kind)
    }
}

impl std::error::Error for Problem {}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        if error.is_unavailable() {
            tracing::warn!(%error, "the database is out of reach");
            Self::unavailable()
        } else {
            tracing::error!(%error, "the database refused");
            Self::internal()
        }
    }
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        Document::schema()
    }
}

impl ToSchema for Problem {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Problem")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Document::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    async fn body(response: Response) -> Value {
        serde_json::from_slice(&to_bytes(response.into_body(), 65536).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_validation_problem_names_every_field() {
        let response = Problem::validation([FieldError::body("expires_at", "must lie in the future")])
            .with_error(FieldError::query("a/b~c", "unknown"))
            .into_response();
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["link"], "</problems/validation>; rel=\"help\"");
        assert_eq!(
            body(response).await,
            json!({
                "type": "urn:referris:problem:validation",
                "title": "The request is not valid",
                "status": 422,
                "errors": [
                    {"pointer": "#/expires_at", "detail": "must lie in the future"},
                    {"pointer": "#/query/a~1b~0c", "detail": "unknown"},
                ],
            })
        );
    }

    #[tokio::test]
    async fn an_unreachable_database_is_503_with_retry_after_and_any_other_fault_is_a_silent_500() {
        let response = Problem::from(DbError::from(sqlx::Error::PoolTimedOut)).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "2");

        let response =
            Problem::from(DbError::from(sqlx::Error::ColumnNotFound("password_hash".into()))).into_response();
        assert_eq!(response.status(), 500);
        assert!(!body(response).await.to_string().contains("password_hash"));
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        assert_eq!(retry_after_header(Duration::from_millis(1)), "1");
        assert_eq!(retry_after_header(Duration::from_millis(1001)), "2");
        assert_eq!(retry_after_header(Duration::ZERO), "1");
    }

    #[tokio::test]
    async fn a_challenge_travels_with_its_problem() {
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        let response = Problem::unauthorized().with_header(header::WWW_AUTHENTICATE, challenge.clone()).into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], challenge);
    }

    #[test]
    fn its_schema_is_called_problem() {
        assert_eq!(Problem::name(), "Problem");
        let schema = serde_json::to_value(Problem::schema()).unwrap();
        assert_eq!(schema["required"], json!(["type", "title", "status"]));
    }
}
