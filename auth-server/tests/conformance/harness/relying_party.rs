//! [`RelyingParty`]: a client's own server, on this machine's loopback, that keeps what it is sent.

use std::sync::{Arc, Mutex};

use auth_server::AppState;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use shared::jose::ASYMMETRIC;
use shared::jose::jwk::KeySet;
use shared::jose::jwt::{Unverified, Verified};
use url::form_urlencoded;

/// Lets the guard through to [`RelyingParty`]s.
pub const ALLOWED: (&str, &str) = ("OUTBOUND__ALLOW", "[\"127.0.0.1\"]");

#[derive(Clone)]
pub struct RelyingParty {
    pub url: String,
    inner: Arc<Inner>,
}

struct Inner {
    status: Mutex<StatusCode>,
    received: Mutex<Vec<(HeaderMap, String)>>,
}

impl RelyingParty {
    pub async fn start() -> Self {
        let inner = Arc::new(Inner { status: Mutex::new(StatusCode::OK), received: Mutex::default() });
        let router = Router::new().fallback(receive).with_state(inner.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/logout", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    /// What it answers from now on.
    pub fn answers(&self, status: u16) {
        *self.inner.status.lock().unwrap() = StatusCode::from_u16(status).unwrap();
    }

    pub fn received(&self) -> usize {
        self.inner.received.lock().unwrap().len()
    }

    /// Waits until it was called `times`.
    pub async fn hears(&self, times: usize) {
        for _ in 0..200 {
            if self.received() >= times {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("called {} times, not {times}", self.received());
    }

    /// The logout token it was sent last, as a careful client verifies it: with the published keys.
    pub fn logout_token(&self, state: &AppState) -> Verified {
        let received = self.inner.received.lock().unwrap();
        let (headers, body) = received.last().expect("it was called");
        assert_eq!(headers[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
        let form: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        assert_eq!(form.len(), 1, "{form:?}");
        assert_eq!(form[0].0, "logout_token");
        let token = Unverified::parse(&form[0].1, 8192).expect("a JWT");
        let jwks: Value = serde_json::from_slice(&state.keys.jwks()).expect("JSON");
        token.verify(&KeySet::parse(&jwks).expect("a key set"), &ASYMMETRIC).expect("it verifies")
    }
}

async fn receive(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    inner.received.lock().unwrap().push((headers, String::from_utf8(body.to_vec()).unwrap()));
    let status = *inner.status.lock().unwrap();
    if status.is_redirection() {
        return (status, [(header::LOCATION, "/elsewhere")]).into_response();
    }
    status.into_response()
}
