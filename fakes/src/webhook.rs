//! The webhook by which Clearbit tells what it had to look for: `POST` of `{id, type, webhook_id, status, body}`, signed
//! in `X-Request-Signature` with the HMAC-SHA1 of the body under the account's key (dashboard.clearbit.com/docs).

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cases::Case;
use crate::{Calls, clearbit};

/// How long Clearbit looks.
const LOOKING: Duration = Duration::from_millis(500);

/// What a look-up asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where to call: a plain `http` URL.
    pub url: String,
    /// What to call it by.
    pub id: Option<String>,
    /// Who was asked about.
    pub email: String,
    pub(crate) key: String,
}

/// The header's value for `body`, signed with `key`.
pub fn signature(key: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    let mac = hmac::sign(&key, body);
    format!("sha1={}", mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// The body of a webhook about `email`.
pub fn body(webhook_id: Option<&str>, kind: &str, status: u16, body: &Value) -> Value {
    json!({ "id": "db759484-a624-4861-ba27-a2976552e4b4", "type": kind, "webhook_id": webhook_id, "status": status, "body": body })
}

/// A person and a company, as a webhook of the type `person_company` brings them.
pub fn person_and_company(email: &str) -> Value {
    clearbit::person_and_company(&crate::cases::of(email), email)
}

/// Calls later, as the case says.
pub(crate) fn follow(case: Case, wanted: Wanted, calls: Calls) {
    let whole = clearbit::person_and_company(&case, &wanted.email);
    let messages = match case.name {
        "hook-nobody" => vec![("person_company", 404, Value::Null)],
        "hook-claimed" => vec![("person_company", 451, Value::Null)],
        "hook-later" => vec![("person_company", 202, Value::Null)],
        "hook-parts" => vec![("person", 200, whole["person"].clone()), ("company", 200, whole["company"].clone())],
        _ => vec![("person_company", 200, whole)],
    };
    tokio::spawn(async move {
        tokio::time::sleep(LOOKING).await;
        for (kind, status, found) in messages {
            let text = body(wanted.id.as_deref(), kind, status, &found).to_string();
            let key = if case.name == "hook-forged" { "another key" } else { &wanted.key };
            // Nobody there: a status that no server has.
            let answered = call(&wanted.url, &signature(key, text.as_bytes()), &text).await.unwrap_or(599);
            let status = StatusCode::from_u16(answered).unwrap_or(StatusCode::BAD_GATEWAY);
            calls.record("clearbit.webhook", &wanted.email, status);
        }
    });
}

/// Posts `body` to `url`, by hand: this crate needs no HTTP client for anything else. Returns the status of the answer.
pub async fn call(url: &str, signature: &str, body: &str) -> std::io::Result<u16> {
    let odd = || std::io::Error::other("a stand-in calls plain http URLs only");
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or_else(odd)?;
    let mut stream = TcpStream::connect(host).await?;
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         X-Request-Signature: {signature}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![];
    stream.read_to_end(&mut answer).await?;
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.ok_or_else(|| std::io::Error::other("the answer is none"))
}

/// The Unix time.
#[expect(clippy::disallowed_methods, reason = "a stand-in has no clock but the machine's")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn it_signs_as_rfc_2202_says() {
        // RFC 2202 §3, test case 2.
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    }
}
