//! Local stand-ins for the outside services that Referris calls, so that they can be seen at work without keys and
//! without the network: Hunter (email verifier, combined enrichment), Clearbit (combined enrichment), Have I Been Pwned (ranges
//! of hashes; [`pwned`] has the passwords) and a mail server that delivers nothing.
//!
//! Which documented case they answer is chosen by the address that is asked about: by its local part up to a `+`
//! (`disposable@example.com`, `disposable+2@example.com`), or else by the first label of its domain
//! (`ann@disposable.example`). [`cases::CASES`] is the whole table; `cargo run -p fakes` prints it. Any other address
//! gets the ordinary answer. A call without a key is answered 401, like by the real services.
//!
//! ```text
//! http://ADDRESS/hunter     verification.base_url
//! http://ADDRESS/clearbit   enrichment.base_url; where it is asked to, it calls back, signed with the key it was asked with
//! http://ADDRESS/pwned      breached_passwords.url
//! http://ADDRESS/           what was called how often, and the table
//! ```

pub mod cases;
mod clearbit;
mod hunter;
pub mod pwned;
pub mod smtp;
pub mod webhook;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::webhook::Wanted;

/// One call that was answered.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Call {
    /// `hunter.verifier`, `hunter.combined`, `clearbit.combined` or `pwned.range`; `clearbit.webhook` for a call of our own.
    pub service: &'static str,
    /// The address that was asked about, or the prefix of a hash.
    pub email: String,
    /// The status it was answered with; 599 where nobody answered a webhook.
    pub status: u16,
}

/// What was called so far, and where somebody wishes to be called.
#[derive(Clone, Default)]
pub(crate) struct Calls {
    answered: Arc<Mutex<Vec<Call>>>,
    wanted: Arc<Mutex<Vec<Wanted>>>,
    /// The minute that is being counted, and its requests.
    minute: Arc<Mutex<(u64, usize)>>,
}

impl Calls {
    fn all(&self) -> Vec<Call> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn want(&self, wanted: Wanted) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).push(wanted);
    }

    /// Counts one more request: how many there were in this minute, and how many seconds are left of it.
    pub(crate) fn in_this_minute(&self) -> (usize, u64) {
        let now = webhook::now();
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.0 != now / 60 {
            *minute = (now / 60, 0);
        }
        minute.1 += 1;
        (minute.1, 60 - now % 60)
    }

    /// How often `service` was asked about `email`.
    pub(crate) fn about(&self, service: &str, email: &str) -> usize {
        self.all().iter().filter(|call| call.service == service && call.email == email).count()
    }

    pub(crate) fn record(&self, service: &'static str, email: &str, status: StatusCode) {
        let call = Call { service, email: email.to_owned(), status: status.as_u16() };
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

/// The running HTTP stand-ins. They stop when this is dropped.
pub struct Handle {
    address: SocketAddr,
    calls: Calls,
    server: JoinHandle<()>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Handle {
    /// For `verification.base_url`.
    pub fn hunter(&self) -> String {
        format!("http://{}/hunter", self.address)
    }

    /// For `enrichment.base_url`.
    pub fn clearbit(&self) -> String {
        format!("http://{}/clearbit", self.address)
    }

    /// For `breached_passwords.url`.
    pub fn pwned(&self) -> String {
        format!("http://{}/pwned", self.address)
    }

    /// All calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.all()
    }

    /// How often `service` (`hunter.verifier`, `hunter.combined`, `clearbit.combined`) was asked about `email`.
    pub fn calls_about(&self, service: &str, email: &str) -> usize {
        self.calls.about(service, email)
    }

    /// The webhooks that queued look-ups asked for, oldest first.
    pub fn wanted_webhooks(&self) -> Vec<Wanted> {
        self.calls.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the server ends, which it does only when it fails.
    pub async fn run(mut self) {
        let _ = (&mut self.server).await;
    }
}

/// Starts the stand-ins for Hunter and Clearbit on `listener`.
pub fn start(listener: TcpListener) -> std::io::Result<Handle> {
    let address = listener.local_addr()?;
    let calls = Calls::default();
    let app = router(calls.clone());
    let server = tokio::spawn(async move {
        let _ = axum::serve(listener, app).await;
    });
    Ok(Handle { address, calls, server })
}

/// The same on a free port of this machine: for tests.
pub async fn start_anywhere() -> std::io::Result<Handle> {
    start(TcpListener::bind(("127.0.0.1", 0)).await?)
}

fn router(calls: Calls) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/hunter/v2/email-verifier", get(hunter::verifier))
        .route("/hunter/v2/combined/find", get(hunter::combined))
        .route("/clearbit/v2/combined/find", get(clearbit::combined))
        .route("/pwned/range/{prefix}", get(pwned::range))
        .with_state(calls)
}

async fn index(State(calls): State<Calls>) -> Json<Value> {
    let cases: HashMap<_, _> = cases::CASES.iter().map(|case| (case.name, case.meaning)).collect();
    Json(json!({ "calls": calls.all(), "cases": cases }))
}

/// A JSON answer with the headers that throttled and failing services send along.
pub(crate) fn answer(status: StatusCode, body: &Value) -> Response {
    let mut headers = HeaderMap::new();
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
    }
    (status, headers, Json(body.clone())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A request by hand: this crate needs no HTTP client for anything else.
    async fn ask(handle: &Handle, path: &str, header: &str) -> (u16, String) {
        let mut stream = tokio::net::TcpStream::connect(handle.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: fakes\r\n{header}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    #[tokio::test]
    async fn every_case_of_the_table_is_answered_as_it_says() {
        let fakes = start_anywhere().await.unwrap();
        for case in cases::CASES {
            for (path, header, expected) in [
                ("/hunter/v2/email-verifier?email", "X-API-KEY: fake\r\n", case.verifier),
                ("/hunter/v2/combined/find?clearbit_format=true&email", "X-API-KEY: fake\r\n", case.combined),
                ("/clearbit/v2/combined/find?email", "Authorization: Bearer fake\r\n", case.combined),
            ] {
                if case.name == "slow" {
                    continue;
                }
                let (status, _) = ask(&fakes, &format!("{path}={}@example.com", case.name), header).await;
                assert_eq!(status, expected, "{} {path}", case.name);
            }
        }
    }

    #[tokio::test]
    async fn nobody_is_answered_without_a_key_and_calls_are_counted() {
        let fakes = start_anywhere().await.unwrap();
        assert_eq!(ask(&fakes, "/hunter/v2/email-verifier?email=a@b.de", "").await.0, 401);
        assert_eq!(ask(&fakes, "/clearbit/v2/combined/find?email=a@b.de", "").await.0, 401);
        assert_eq!(ask(&fakes, "/hunter/v2/email-verifier?email=a@b.de&api_key=k", "").await.0, 200);
        assert_eq!(fakes.calls_about("hunter.verifier", "a@b.de"), 2);
        assert!(ask(&fakes, "/", "").await.1.contains("\"clearbit.combined\""));
    }

    #[tokio::test]
    async fn a_range_of_hashes_lists_lost_passwords_and_padding_on_demand() {
        let fakes = start_anywhere().await.unwrap();
        // SHA-1 of "somebody else's", whose end is in every range.
        let (status, plain) = ask(&fakes, "/pwned/range/ABCDE", "").await;
        let (_, padded) = ask(&fakes, "/pwned/range/abcde", "Add-Padding: true\r\n").await;
        assert_eq!((status, plain.lines().count()), (200, 1));
        assert!(padded.lines().count() > 20 && padded.contains(":0"));
        assert_eq!(ask(&fakes, "/pwned/range/nonsense", "").await.0, 400);
        assert_eq!(fakes.calls_about("pwned.range", "ABCDE"), 2);
    }

    #[tokio::test]
    async fn clearbit_says_in_each_answer_what_is_left_of_its_minute() {
        let fakes = start_anywhere().await.unwrap();
        let mut stream = tokio::net::TcpStream::connect(fakes.address).await.unwrap();
        let request = "GET /clearbit/v2/combined/find?email=last-one@b.de HTTP/1.1\r\nHost: fakes\r\n\
                       Authorization: Bearer k\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let header = |name: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap();
            line.parse::<u64>().unwrap()
        };
        assert_eq!((header("x-ratelimit-limit"), header("x-ratelimit-remaining")), (600, 0));
        assert!(header("x-ratelimit-reset").abs_diff(webhook::now() + 30) < 5);
    }

    #[tokio::test]
    async fn who_asks_for_a_webhook_is_called_and_its_body_is_signed() {
        let fakes = start_anywhere().await.unwrap();
        let us = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http%3A%2F%2F{}%2Fhook", us.local_addr().unwrap());
        let path = format!("/clearbit/v2/combined/find?email=hook@b.de&webhook_id=x1&webhook_url={url}");
        assert_eq!(ask(&fakes, &path, "Authorization: Bearer k\r\n").await.0, 202);
        assert_eq!(fakes.wanted_webhooks()[0].id.as_deref(), Some("x1"));
        let (mut stream, _) = us.accept().await.unwrap();
        let mut call = vec![0; 8192];
        let read = stream.read(&mut call).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        drop(stream);
        let call = String::from_utf8(call[..read].to_vec()).unwrap();
        let (head, body) = call.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&webhook::signature("k", body.as_bytes())), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&body["type"], &body["status"], &body["webhook_id"]),
            (&json!("person_company"), &json!(200), &json!("x1"))
        );
        while fakes.calls_about("clearbit.webhook", "hook@b.de") == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(fakes.calls().last().unwrap().status, 204);
    }

    #[tokio::test]
    async fn a_queued_look_up_is_answered_at_the_third_time() {
        let fakes = start_anywhere().await.unwrap();
        let mut seen = vec![];
        for _ in 0..3 {
            seen.push(
                ask(&fakes, "/clearbit/v2/combined/find?email=queued%2B1@b.de", "Authorization: Basic eDo=\r\n")
                    .await
                    .0,
            );
        }
        assert_eq!(seen, [202, 202, 200]);
    }
}
