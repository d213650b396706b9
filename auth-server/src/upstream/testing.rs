//! For tests: another provider, which signs in whom it is told to and can be told to misbehave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::clock::Clock;
use shared::jose::algorithm_named;
use shared::jose::testing::{Signer, encode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

const CLIENT_SECRET: &str = "s3cret";

/// The fake, listening. It stops when this is dropped.
pub(crate) struct Fake {
    pub url: String,
    says: Arc<Mutex<Says>>,
    server: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What it says, and how it shall misbehave.
pub(crate) struct Says {
    pub claims: Value,
    /// Claims in place of those of the ID token that are right.
    pub instead: Value,
    /// Signs as nobody, with a key it does not publish, or with the secret that it shares with us.
    pub signature: Signature,
    /// What userinfo says, where the ID token leaves it to that.
    pub userinfo: Option<Value>,
    /// How often it was discovered.
    pub discovered: usize,
    /// Answers everything with an error.
    pub down: bool,
    /// Answers nothing at all when it is discovered.
    pub hangs: bool,
    codes: HashMap<String, HashMap<String, String>>,
    signer: Signer,
    kid: usize,
    clock: Clock,
    url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    Right,
    None,
    Foreign,
    Shared,
}

fn signer() -> Signer {
    Signer::new(algorithm_named("ES256").unwrap())
}

impl Fake {
    /// On a listener of the caller's, who told its address to somebody before.
    pub fn on(listener: TcpListener, clock: Clock) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let says = Arc::new(Mutex::new(Says {
            claims: json!({"sub": "ann-there", "email": "ann@example.com", "email_verified": true,
                "given_name": "Ann", "family_name": "Lee"}),
            instead: json!({}),
            signature: Signature::Right,
            userinfo: None,
            discovered: 0,
            down: false,
            hangs: false,
            codes: HashMap::new(),
            signer: signer(),
            kid: 0,
            clock,
            url: url.clone(),
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(says.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { url, says, server }
    }

    /// How the configuration names it, as `other`, believing what it says of addresses. `more` are further keys.
    pub fn settings(url: &str, more: &str) -> String {
        format!(
            r#"[{{id="other", name="Other", issuer="{url}", client_id="us", client_secret="{CLIENT_SECRET}"{more}}}]"#
        )
    }

    pub fn says(&self) -> MutexGuard<'_, Says> {
        self.says.lock().unwrap()
    }

    /// From now on it signs with another key.
    pub fn rotate(&self) {
        let mut says = self.says();
        says.signer = signer();
        says.kid += 1;
    }

    /// A person signs in there and agrees: the path that the browser is sent back to, and its parameters.
    pub fn agree(&self, location: &str) -> Vec<(String, String)> {
        let url = Url::parse(location).unwrap();
        assert!(location.starts_with(&format!("{}/authorize?", self.url)), "{location}");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
        let mut says = self.says();
        let code = format!("code-{}", says.codes.len());
        let state = asked["state"].clone();
        says.codes.insert(code.clone(), asked);
        vec![("code".into(), code), ("state".into(), state), ("iss".into(), self.url.clone())]
    }
}

type Shared = State<Arc<Mutex<Says>>>;

async fn discovery(State(says): Shared) -> Response {
    let hangs = {
        let mut says = says.lock().unwrap();
        says.discovered += 1;
        says.hangs
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    let says = says.lock().unwrap();
    if says.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let url = &says.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "userinfo_endpoint": format!("{url}/userinfo"),
        "jwks_uri": format!("{url}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // It would let anybody sign, and so must not be asked what is right.
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        "authorization_response_iss_parameter_supported": true,
    }))
    .into_response()
}

async fn jwks(State(says): Shared) -> Json<Value> {
    let says = says.lock().unwrap();
    let mut key = says.signer.jwk();
    key["kid"] = says.kid.to_string().into();
    key["use"] = "sig".into();
    Json(json!({"keys": [key]}))
}

async fn token(State(says): Shared, headers: HeaderMap, Form(form): Form<HashMap<String, String>>) -> Response {
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response();
    let mut says = says.lock().unwrap();
    let basic = format!("Basic {}", STANDARD.encode(format!("us:{CLIENT_SECRET}")));
    if headers.get("authorization").is_none_or(|given| given != basic.as_str()) {
        return refused("invalid_client");
    }
    let Some(asked) = form.get("code").and_then(|code| says.codes.remove(code)) else {
        return refused("invalid_grant");
    };
    let challenge = encode(Sha256::digest(form.get("code_verifier").map(String::as_str).unwrap_or_default()));
    if challenge != asked["code_challenge"] || form.get("redirect_uri") != asked.get("redirect_uri") {
        return refused("invalid_grant");
    }
    let now = says.clock.timestamp();
    let mut claims = json!({"iss": says.url, "aud": "us", "iat": now, "exp": now + 300, "nonce": asked["nonce"]});
    let members = claims.as_object_mut().unwrap();
    if says.userinfo.is_some() {
        members.insert("sub".into(), says.claims["sub"].clone());
    } else {
        members.extend(says.claims.as_object().unwrap().clone());
    }
    members.extend(says.instead.as_object().unwrap().clone());
    let mut header = says.signer.header("");
    header["kid"] = says.kid.to_string().into();
    let id_token = match says.signature {
        Signature::Right => says.signer.sign(&header, &claims),
        Signature::Foreign => signer().sign(&header, &claims),
        Signature::Shared => Signer::hmac(CLIENT_SECRET.as_bytes()).sign(&json!({"alg": "HS256"}), &claims),
        Signature::None => {
            format!("{}.{}.", encode(json!({"alg": "none"}).to_string()), encode(claims.to_string()))
        }
    };
    Json(json!({"access_token": "there", "token_type": "Bearer", "expires_in": 300, "id_token": id_token}))
        .into_response()
}

async fn userinfo(State(says): Shared) -> Json<Value> {
    Json(says.lock().unwrap().userinfo.clone().unwrap_or_default())
}
