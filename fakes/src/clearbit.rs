//! Clearbit: `GET /v2/combined/find`. The key comes as a bearer token or as the user of HTTP Basic.
//!
//! Clearbit answers 202 while it is still looking. Without a body is how that is described publicly; the error document
//! of type `queued` and the part that is known already are what clients must reckon with besides. Likewise the types
//! `auth_required` and `unknown_record` are known from real answers, the other error types here are stand-ins: Referris
//! decides by the status alone. Each answer says in `X-RateLimit-Limit`, `-Remaining` and `-Reset` what is left of 600
//! requests a minute; beyond them, every answer is 429.
//!
//! Whoever gives a `webhook_url` and is answered 202 in one of the `hook` cases is called there ([`crate::webhook`]).

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cases::{self, Case};
use crate::hunter::{accepted, limited, odd, still_queued};
use crate::webhook::{self, Wanted};
use crate::{Calls, answer};

/// Requests a minute.
const LIMIT: usize = 600;

#[derive(Deserialize)]
pub(crate) struct Asked {
    email: Option<String>,
    webhook_url: Option<String>,
    webhook_id: Option<String>,
}

fn failure(status: StatusCode) -> Response {
    let (kind, message) = match status.as_u16() {
        401 => ("auth_required", "Authentication is required for this action."),
        402 => ("over_limit", "You are over your plan's limit."),
        404 => ("unknown_record", "Unknown person."),
        422 => ("email_invalid", "Invalid email."),
        429 => ("rate_limit", "Too many requests."),
        451 => ("unavailable", "Unavailable for legal reasons."),
        400 | 403 => ("params_invalid", "The request is not acceptable."),
        _ => ("api_error", "Something went wrong."),
    };
    answer(status, &json!({ "error": { "type": kind, "message": message } }))
}

pub(crate) async fn combined(State(calls): State<Calls>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    const SERVICE: &str = "clearbit.combined";
    let email = asked.email.clone().unwrap_or_default();
    let case = cases::of(&email);
    let key = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (used, left) = calls.in_this_minute();
    let mut response =
        if !["Bearer ", "Basic "].iter().any(|scheme| key.len() > scheme.len() && key.starts_with(scheme)) {
            failure(StatusCode::UNAUTHORIZED)
        } else if used > LIMIT {
            failure(StatusCode::TOO_MANY_REQUESTS)
        } else if !email.contains('@') {
            failure(StatusCode::UNPROCESSABLE_ENTITY)
        } else if still_queued(&case, calls.about(SERVICE, &email)) {
            if let (Some(url), Some(key)) = (asked.webhook_url, key.strip_prefix("Bearer ")) {
                let wanted = Wanted { url, id: asked.webhook_id, email: email.clone(), key: key.to_owned() };
                calls.want(wanted.clone());
                if case.name.starts_with("hook") {
                    webhook::follow(case, wanted, calls.clone());
                }
            }
            queued(&case, &email)
        } else {
            match StatusCode::from_u16(case.combined).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR) {
                StatusCode::OK | StatusCode::ACCEPTED => odd(&case, person_and_company(&case, &email)).await,
                status => limited(&case, failure(status)),
            }
        };
    let (remaining, reset) = match case.name {
        "last-one" => (0, 30),
        "status-429" | "month-over" => (0, left),
        _ => (LIMIT.saturating_sub(used), left),
    };
    for (name, value) in [("limit", LIMIT as u64), ("remaining", remaining as u64), ("reset", webhook::now() + reset)] {
        let name = HeaderName::try_from(format!("x-ratelimit-{name}")).expect("a header's name");
        response.headers_mut().insert(name, value.into());
    }
    calls.record(SERVICE, &email, response.status());
    response
}

fn queued(case: &Case, email: &str) -> Response {
    match case.name {
        "queued-error" => answer(
            StatusCode::ACCEPTED,
            &json!({ "error": { "type": "queued", "message": "The look-up has been queued. Retry later." } }),
        ),
        "queued-partial" => {
            let mut partial = person_and_company(case, email);
            partial["company"] = Value::Null;
            answer(StatusCode::ACCEPTED, &partial)
        }
        _ => accepted(case, None),
    }
}

/// A person and their company in Clearbit's shape.
pub(crate) fn person_and_company(case: &Case, email: &str) -> Value {
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, "example.com"));
    let bio = if case.name == "nul" { "a\u{0}b" } else { "Likes good coffee and better tests." };
    let person = json!({
        "id": "d54c54ad-40be-4305-8a34-0ab44710b90d",
        "name": { "fullName": "Alex Example", "givenName": "Alex", "familyName": "Example" },
        "email": email,
        "location": "Lisbon, Portugal",
        "timeZone": "Europe/Lisbon",
        "utcOffset": 0,
        "geo": { "city": "Lisbon", "country": "Portugal", "countryCode": "PT", "lat": 38.72, "lng": -9.14 },
        "bio": bio,
        "avatar": null,
        "employment": {
            "domain": domain, "name": "Example Works", "title": "Engineer", "role": "engineering",
            "seniority": "manager",
        },
        "github": { "handle": local },
        "twitter": { "handle": null },
        "linkedin": { "handle": null },
        "emailProvider": false,
        "fuzzy": false,
        "indexedAt": "2026-01-10T09:21:53.134Z",
    });
    let company = json!({
        "id": "027b0d40-016c-40ea-8925-a076fa640992",
        "name": "Example Works",
        "legalName": "Example Works, Lda.",
        "domain": domain,
        "category": { "sector": "Information Technology", "industry": "Internet Software & Services" },
        "foundedYear": 2015,
        "location": "Lisbon, Portugal",
        "metrics": { "employees": 42, "employeesRange": "11-50" },
        "tags": ["Technology", "B2B"],
        "tech": ["postgresql", "rust"],
    });
    json!({ "person": person, "company": if case.name == "person-only" { Value::Null } else { company } })
}
