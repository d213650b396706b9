//! Hunter: `GET /v2/email-verifier` and `GET /v2/combined/find`, as documented at hunter.io/api-documentation/v2. The
//! key comes in the header `X-API-KEY`, as a bearer token or in the query as `api_key`.
//!
//! Statuses and the envelope are the documented ones; a verification that is not done is answered 202 with what is known
//! by then. 403 means that the second's or minute's requests are used up and 429 that the month's are; no header of limits
//! is documented, and none is sent but the `Retry-After` of the cases that say so. The `id`s of most errors, and that
//! `clearbit_format` leaves the `data` envelope out, are assumptions: Referris decides by the status alone and reads the
//! answer with and without it.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cases::{self, Case};
use crate::{Calls, answer, clearbit};

#[derive(Deserialize)]
pub(crate) struct Asked {
    email: Option<String>,
    api_key: Option<String>,
    clearbit_format: Option<String>,
}

impl Asked {
    fn has_key(&self, headers: &HeaderMap) -> bool {
        let in_header = |name: &str| headers.get(name).is_some_and(|value| !value.is_empty());
        in_header("x-api-key")
            || in_header(header::AUTHORIZATION.as_str())
            || self.api_key.as_ref().is_some_and(|key| !key.is_empty())
    }
}

fn error(status: StatusCode, id: &str, details: &str) -> Response {
    answer(status, &json!({ "errors": [{ "id": id, "code": status.as_u16(), "details": details }] }))
}

fn failure(status: StatusCode) -> Response {
    let (id, details) = match status.as_u16() {
        222 => ("unexpected_smtp_response", "The remote SMTP server answered unexpectedly. Retry later."),
        400 => ("wrong_params", "The email parameter is missing or wrong."),
        401 => ("authentication_failed", "No user found for the API key supplied"),
        403 => ("rate_limit_reached", "You have reached the rate limit."),
        404 => ("not_found", "The requested resource does not exist."),
        422 => ("invalid_email", "The email is not valid."),
        429 => ("too_many_requests", "You have reached your usage limit. Upgrade your plan if necessary."),
        451 => ("claimed_email", "The person behind this address asked us to stop processing their personal data."),
        _ => ("server_error", "Something went wrong on Hunter's end."),
    };
    error(status, id, details)
}

pub(crate) async fn verifier(State(calls): State<Calls>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    const SERVICE: &str = "hunter.verifier";
    let email = asked.email.clone().unwrap_or_default();
    let case = cases::of(&email);
    let response = if !asked.has_key(&headers) {
        failure(StatusCode::UNAUTHORIZED)
    } else if email.is_empty() {
        failure(StatusCode::BAD_REQUEST)
    } else if case.verifier == 202 && still_queued(&case, calls.about(SERVICE, &email)) {
        let mut known = verified(&Case { name: "unknown", ..case }, &email);
        known["data"]["score"] = Value::Null;
        accepted(&case, Some(&known))
    } else {
        match StatusCode::from_u16(case.verifier).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR) {
            StatusCode::OK | StatusCode::ACCEPTED => odd(&case, verified(&case, &email)).await,
            status => limited(&case, failure(status)),
        }
    };
    calls.record(SERVICE, &email, response.status());
    response
}

pub(crate) async fn combined(State(calls): State<Calls>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    const SERVICE: &str = "hunter.combined";
    let email = asked.email.clone().unwrap_or_default();
    let case = cases::of(&email);
    let response = if !asked.has_key(&headers) {
        failure(StatusCode::UNAUTHORIZED)
    } else if email.is_empty() {
        failure(StatusCode::BAD_REQUEST)
    } else if still_queued(&case, calls.about(SERVICE, &email)) {
        accepted(&case, Some(&json!({ "data": null, "meta": { "email": email } })))
    } else {
        match StatusCode::from_u16(case.combined).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR) {
            StatusCode::OK | StatusCode::ACCEPTED => {
                let found = clearbit::person_and_company(&case, &email);
                // With `clearbit_format` the answer has Clearbit's shape, without Hunter's envelope.
                let body = match asked.clearbit_format.as_deref() {
                    Some("true" | "1") => found,
                    _ => json!({ "data": found, "meta": { "email": email } }),
                };
                odd(&case, body).await
            }
            status => limited(&case, failure(status)),
        }
    };
    calls.record(SERVICE, &email, response.status());
    response
}

/// A queued look-up is ready at the third call, unless it is told by a webhook.
pub(crate) fn still_queued(case: &Case, calls_before: usize) -> bool {
    match case.name {
        "queued-forever" => true,
        "hook-parts" => calls_before < 1,
        name if name.starts_with("hook") => true,
        name => name.starts_with("queued") && calls_before < 2,
    }
}

/// 202, with or without a body.
pub(crate) fn accepted(case: &Case, body: Option<&Value>) -> Response {
    let mut response = match body {
        Some(body) => answer(StatusCode::ACCEPTED, body),
        None => StatusCode::ACCEPTED.into_response(),
    };
    if case.name == "queued-later" {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("120"));
    }
    response
}

/// A throttling service may not say for how long.
pub(crate) fn limited(case: &Case, mut response: Response) -> Response {
    if case.name == "month-over" {
        response.headers_mut().remove(header::RETRY_AFTER);
    }
    response
}

/// The answers that come late, broken or too large.
pub(crate) async fn odd(case: &Case, body: Value) -> Response {
    match case.name {
        "slow" => {
            tokio::time::sleep(Duration::from_secs(20)).await;
            answer(StatusCode::OK, &body)
        }
        "garbage" => (StatusCode::OK, "<html>Bad gateway</html>").into_response(),
        "huge" => answer(StatusCode::OK, &json!({ "data": { "status": "valid", "padding": "x".repeat(1 << 20) } })),
        _ => answer(StatusCode::OK, &body),
    }
}

fn verified(case: &Case, email: &str) -> Value {
    let (status, result, score) = match case.name {
        "invalid" => ("invalid", "undeliverable", 0),
        "accept_all" => ("accept_all", "risky", 54),
        "webmail" => ("webmail", "risky", 72),
        "disposable" => ("disposable", "risky", 12),
        "unknown" => ("unknown", "risky", 40),
        _ => ("valid", "deliverable", 100),
    };
    let source = if case.name == "nul" { "a\u{0}b" } else { "https://example.com/about" };
    json!({
        "data": {
            "status": status,
            "result": result,
            "_deprecation_notice": "Using result is deprecated, use status instead",
            "score": score,
            "email": email,
            "regexp": true,
            "gibberish": false,
            "disposable": status == "disposable",
            "webmail": status == "webmail",
            "mx_records": status != "invalid",
            "smtp_server": status != "invalid",
            "smtp_check": status == "valid",
            "accept_all": status == "accept_all",
            "block": false,
            "sources": [{ "domain": "example.com", "uri": source, "extracted_on": "2025-01-18", "still_on_page": true }],
        },
        "meta": { "params": { "email": email } },
    })
}
