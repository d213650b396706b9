//! The other side, made up: an authorization server and a referral API in one small axum app, which can be told to
//! misbehave.

use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::signature::Ed25519KeyPair;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openidconnect::core::{
    CoreEdDsaPrivateSigningKey, CoreIdToken, CoreIdTokenClaims, CoreJsonWebKeySet, CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessToken, Audience, EmptyAdditionalClaims, IssuerUrl, JsonWebKeyId, Nonce, PrivateSigningKey, StandardClaims,
    SubjectIdentifier,
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::clock::Clock;
use tokio::net::TcpListener;

pub const CLIENT_ID: &str = "kopi";
pub const CLIENT_SECRET: &str = "s3cr3t";
const SUBJECT: &str = "0199-anna";

/// The fake, listening.
#[derive(Clone)]
pub struct Fake {
    pub url: String,
    pub clock: Clock,
    state: Arc<Mutex<Fakery>>,
}

/// What it knows, and how it shall behave.
pub struct Fakery {
    key: Ed25519KeyPair,
    kid: usize,
    requests: Vec<AuthorizationRequest>,
    serial: usize,
    access_token: String,
    refresh_token: Option<String>,
    pub revoked: Vec<String>,
    pub scope: String,
    /// Instead of the nonce it was given.
    pub nonce: Option<String>,
    /// Whom userinfo speaks of.
    pub userinfo_subject: String,
    pub name: String,
    pub codes: Vec<Value>,
    pub referrals: Vec<Value>,
    /// What the API answers to a new code, instead of making it.
    pub refusal: Option<(StatusCode, Value)>,
}

#[derive(Clone, Deserialize)]
pub struct AuthorizationRequest {
    pub response_type: String,
    pub client_id: String,
    pub redirect_uri: String,
    pub scope: String,
    pub state: String,
    nonce: String,
    pub code_challenge: String,
    pub code_challenge_method: String,
}

fn new_key() -> Ed25519KeyPair {
    Ed25519KeyPair::generate().expect("a key")
}

impl Fake {
    /// Starts on a listener of the caller's.
    pub fn start(listener: TcpListener, clock: Clock) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Fakery {
            key: new_key(),
            kid: 0,
            requests: vec![],
            serial: 0,
            access_token: String::new(),
            refresh_token: None,
            revoked: vec![],
            scope: "openid profile email referral-codes:read referral-codes:write referrals:read".into(),
            nonce: None,
            userinfo_subject: SUBJECT.into(),
            name: "Anna Tan".into(),
            codes: vec![],
            referrals: vec![],
            refusal: None,
        };
        let fake = Self { url, clock, state: Arc::new(Mutex::new(state)) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/oauth/jwks", get(jwks))
            .route("/oauth/authorize", get(authorize))
            .route("/oauth/token", post(token))
            .route("/oauth/userinfo", get(userinfo))
            .route("/oauth/revoke", post(revoke))
            .route("/v1/referral-codes", get(codes).post(create_code))
            .route("/v1/referral-codes/{code}", delete(delete_code))
            .route("/v1/referrers/me/referrals", get(referrals))
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    pub fn state(&self) -> MutexGuard<'_, Fakery> {
        self.state.lock().expect("no test panicked here")
    }

    /// A person signs in and agrees: what the browser brings back.
    pub fn agree(&self, request: AuthorizationRequest) -> Vec<(&'static str, String)> {
        let mut state = self.state();
        let answer = vec![
            ("code", format!("code-{}", state.requests.len())),
            ("state", request.state.clone()),
            ("iss", self.url.clone()),
        ];
        state.requests.push(request);
        answer
    }

    /// From now on it signs with another key.
    pub fn rotate(&self) {
        let mut state = self.state();
        state.key = new_key();
        state.kid += 1;
    }

    /// The grant ends: neither of its tokens is worth anything.
    pub fn end_grant(&self) {
        let mut state = self.state();
        state.access_token.clear();
        state.refresh_token = None;
    }

    /// The access token ends before its time.
    pub fn end_access_token(&self) {
        self.state().access_token.clear();
    }
}

impl Fakery {
    fn signing_key(&self) -> CoreEdDsaPrivateSigningKey {
        let der = self.key.to_pkcs8v1().expect("PKCS#8");
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(self.kid.to_string())))
            .expect("a key")
    }

    fn issue(&mut self) -> Value {
        self.serial += 1;
        self.access_token = format!("access-{}", self.serial);
        let refresh_token = format!("refresh-{}", self.serial);
        self.refresh_token = Some(refresh_token.clone());
        json!({
            "access_token": self.access_token, "token_type": "Bearer", "expires_in": 600,
            "refresh_token": refresh_token, "scope": self.scope,
        })
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let expected = format!("Bearer {}", self.access_token);
        !self.access_token.is_empty() && headers.get("authorization").is_some_and(|given| given == expected.as_str())
    }
}

async fn discovery(State(fake): State<Fake>) -> Json<Value> {
    let url = &fake.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/oauth/authorize"),
        "token_endpoint": format!("{url}/oauth/token"),
        "userinfo_endpoint": format!("{url}/oauth/userinfo"),
        "revocation_endpoint": format!("{url}/oauth/revoke"),
        "jwks_uri": format!("{url}/oauth/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn jwks(State(fake): State<Fake>) -> Json<CoreJsonWebKeySet> {
    Json(CoreJsonWebKeySet::new(vec![fake.state().signing_key().as_verification_key()]))
}

/// Everybody agrees to everything: for looking at the app in a browser.
async fn authorize(State(fake): State<Fake>, Query(request): Query<AuthorizationRequest>) -> Redirect {
    let mut back = url::Url::parse(&request.redirect_uri).expect("a redirect URI");
    back.query_pairs_mut().extend_pairs(fake.agree(request));
    Redirect::to(back.as_str())
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    code: Option<String>,
    code_verifier: Option<String>,
    redirect_uri: Option<String>,
    refresh_token: Option<String>,
}

async fn token(State(fake): State<Fake>, headers: HeaderMap, Form(form): Form<TokenRequest>) -> Response {
    let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    if headers.get("authorization").is_none_or(|given| given != expected.as_str()) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "invalid_client"}))).into_response();
    }
    let refused = || (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    let mut state = fake.state();
    if form.grant_type == "refresh_token" {
        if form.refresh_token.is_none() || form.refresh_token != state.refresh_token {
            return refused();
        }
        return Json(state.issue()).into_response();
    }
    let number = form.code.as_deref().and_then(|code| code.strip_prefix("code-")).and_then(|n| n.parse::<usize>().ok());
    let Some(request) = number.and_then(|number| state.requests.get(number)).cloned() else { return refused() };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form.code_verifier.unwrap_or_default()));
    if challenge != request.code_challenge || form.redirect_uri.as_deref() != Some(&request.redirect_uri) {
        return refused();
    }
    let mut answer = state.issue();
    let now = fake.clock.now();
    let claims = CoreIdTokenClaims::new(
        IssuerUrl::new(fake.url.clone()).expect("a URL"),
        vec![Audience::new(CLIENT_ID.into())],
        now + chrono::TimeDelta::minutes(10),
        now,
        StandardClaims::new(SubjectIdentifier::new(SUBJECT.into())),
        EmptyAdditionalClaims {},
    )
    .set_nonce(Some(Nonce::new(state.nonce.clone().unwrap_or(request.nonce))));
    let access_token = AccessToken::new(state.access_token.clone());
    let id_token =
        CoreIdToken::new(claims, &state.signing_key(), CoreJwsSigningAlgorithm::EdDsa, Some(&access_token), None);
    answer["id_token"] = json!(id_token.expect("an ID token").to_string());
    Json(answer).into_response()
}

async fn userinfo(State(fake): State<Fake>, headers: HeaderMap) -> Response {
    let state = fake.state();
    if !state.admits(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(json!({
        "sub": state.userinfo_subject, "name": state.name, "email": "anna@example.com", "email_verified": true,
    }))
    .into_response()
}

#[derive(Deserialize)]
struct RevocationRequest {
    token: String,
}

async fn revoke(State(fake): State<Fake>, Form(form): Form<RevocationRequest>) -> StatusCode {
    fake.state().revoked.push(form.token);
    StatusCode::OK
}

async fn codes(State(fake): State<Fake>, headers: HeaderMap) -> Response {
    let state = fake.state();
    if !state.admits(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if !state.scope.contains("referral-codes:read") {
        return StatusCode::FORBIDDEN.into_response();
    }
    Json(json!({"items": state.codes, "next_cursor": null})).into_response()
}

async fn create_code(State(fake): State<Fake>, headers: HeaderMap, Json(new): Json<Value>) -> Response {
    let mut state = fake.state();
    if !state.admits(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if let Some((status, problem)) = &state.refusal {
        return (*status, Json(problem)).into_response();
    }
    let code = json!({
        "code": new.get("code").cloned().unwrap_or(json!("7K2M9QXD")), "status": "active",
        "created_at": fake.clock.now(), "expires_at": new["expires_at"], "uses": 0, "max_uses": null,
        "share_url": format!("{}/signup?ref=7K2M9QXD", fake.url), "link": format!("{}/r/7K2M9QXD", fake.url),
    });
    state.codes.insert(0, code.clone());
    (StatusCode::CREATED, Json(code)).into_response()
}

async fn delete_code(
    State(fake): State<Fake>,
    headers: HeaderMap,
    axum::extract::Path(code): axum::extract::Path<String>,
) -> StatusCode {
    let mut state = fake.state();
    if !state.admits(&headers) {
        return StatusCode::UNAUTHORIZED;
    }
    for shown in state.codes.iter_mut().filter(|shown| shown["code"] == code.as_str()) {
        shown["status"] = json!("deleted");
    }
    StatusCode::NO_CONTENT
}

async fn referrals(State(fake): State<Fake>, headers: HeaderMap) -> Response {
    let state = fake.state();
    if !state.admits(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(json!({"items": state.referrals, "next_cursor": null})).into_response()
}
