//! The range protocol of Have I Been Pwned (haveibeenpwned.com/API/v3#PwnedPasswords): `GET /range/{5 hexadecimal digits}`
//! of a password's SHA-1 gives all listed hashes that begin so, one a line as `SUFFIX:COUNT`. With `Add-Padding: true`
//! there are lines beside them whose count is 0.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sha1::{Digest, Sha1};

use crate::Calls;

/// The passwords that were lost. They are strong by themselves, so that nothing else refuses them.
pub const LOST: [&str; 2] = ["lost umbrella on a tram", "потерянный зонт в трамвае"];

/// One whose range is answered late.
pub const SLOW: &str = "a slow answer for a password";

/// One whose range is answered with an error.
pub const FAILING: &str = "no answer for this password";

fn hash(password: &str) -> String {
    Sha1::digest(password.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect()
}

pub(crate) async fn range(State(calls): State<Calls>, Path(prefix): Path<String>, headers: HeaderMap) -> Response {
    let prefix = prefix.to_uppercase();
    let response = answer(&prefix, headers.get("add-padding").is_some_and(|value| value == "true")).await;
    calls.record("pwned.range", &prefix, response.status());
    response
}

async fn answer(prefix: &str, padded: bool) -> Response {
    if prefix.len() != 5 || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
        return (StatusCode::BAD_REQUEST, "The hash prefix was not in a valid format").into_response();
    }
    if hash(SLOW).starts_with(prefix) {
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    if hash(FAILING).starts_with(prefix) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    // All of these are listed, were anybody to look at more than the prefix.
    let mut lines: Vec<String> = LOST
        .iter()
        .chain([&SLOW, &FAILING])
        .map(|password| hash(password))
        .filter(|hash| hash.starts_with(prefix))
        .map(|hash| format!("{}:3", &hash[5..]))
        .collect();
    lines.push(format!("{}:7", &hash("somebody else's")[5..]));
    if padded {
        lines.extend((0..20).map(|n| format!("{}:0", &hash(&n.to_string())[5..])));
    }
    lines.join("\r\n").into_response()
}
