//! The stage: an issuer with keys of its own, an API that trusts it, and an actor per credential.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use referral_api::AppState;
use serde_json::{Value, json};
use shared::Platform;
use shared::email::Email;
use shared::http::ClientCertificate;
use shared::ids::{ReferralId, UserId};
use shared::referrals::code::CodeKey;
use shared::referrals::store::{self, Redemption, Source};
use shared::referrals::trace::Trace;
use shared::testing::certificates::Identity;
use shared::testing::{Scratch, Store};
use shared::users::{self, NewUser};
use tower::ServiceExt;

pub const EVERYTHING: &str = "referral-codes:read referral-codes:write referrals:read";

/// A signing key of the issuer's.
pub struct SigningKey {
    pub id: String,
    pub key: EncodingKey,
    pub jwk: Jwk,
}

impl SigningKey {
    pub fn new(id: &str) -> Self {
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
        let key = EncodingKey::from_ec_der(pkcs8.as_ref());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Self { id: id.to_owned(), key, jwk }
    }

    pub fn sign(&self, typ: &str, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// Serves a JWK set and counts how often it is asked for it.
#[derive(Clone)]
pub struct Issuer(Arc<IssuerInner>);

struct IssuerInner {
    url: String,
    published: Mutex<Vec<Jwk>>,
    fetches: AtomicUsize,
    down: AtomicBool,
}

impl Issuer {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Self(Arc::new(IssuerInner {
            url,
            published: Mutex::default(),
            fetches: AtomicUsize::new(0),
            down: AtomicBool::new(false),
        }));
        let served = issuer.clone();
        let app = Router::new().route(
            "/oauth/jwks",
            get(async move || {
                served.0.fetches.fetch_add(1, Ordering::SeqCst);
                // As long as a slow issuer takes: whoever fetches as well would be seen.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                if served.0.down.load(Ordering::SeqCst) {
                    return Err(StatusCode::INTERNAL_SERVER_ERROR);
                }
                Ok(Json(json!({ "keys": *served.0.published.lock().unwrap() })))
            }),
        );
        tokio::spawn(async move { axum::serve(listener, app).await });
        issuer
    }

    pub fn url(&self) -> &str {
        &self.0.url
    }

    pub fn publish(&self, keys: &[&SigningKey]) {
        *self.0.published.lock().unwrap() = keys.iter().map(|key| key.jwk.clone()).collect();
    }

    pub fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }

    pub fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }
}

#[derive(Clone)]
pub struct World {
    pub platform: Platform,
    pub issuer: Issuer,
    pub key: Arc<SigningKey>,
    pub state: AppState,
    router: Router,
    scratch: Arc<Scratch>,
    settings: Arc<Vec<(String, String)>>,
}

/// Plays `story` on each store.
pub async fn on_each_store<F: Future<Output = ()>>(story: impl Fn(World) -> F) {
    on_each_store_with(&[], story).await;
}

/// Plays `story` on each store, with some configuration keys changed.
#[expect(clippy::print_stderr, reason = "shown with a failing test: which store it failed on")]
pub async fn on_each_store_with<F: Future<Output = ()>>(overrides: &[(&str, &str)], story: impl Fn(World) -> F) {
    for store in [Store::Embedded, Store::Server] {
        let Some(world) = World::on(store, overrides).await else { continue };
        eprintln!("on {store:?}");
        story(world.clone()).await;
        world.platform.db.close().await;
    }
}

impl World {
    /// `None` when there is no such store.
    pub async fn on(store: Store, overrides: &[(&str, &str)]) -> Option<Self> {
        let scratch = Scratch::new(store).await?;
        let issuer = Issuer::start().await;
        let key = SigningKey::new("key-1");
        issuer.publish(&[&key]);
        // An address of its own for each world: what is counted under it in Redis stays its own.
        let api = issuer.url().replace("127.0.0.1", "localhost");
        let mut settings =
            vec![("AUTH__PUBLIC_URL".to_owned(), issuer.url().to_owned()), ("API__PUBLIC_URL".to_owned(), api)];
        settings.extend(overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Some(Self::open(Arc::new(scratch), Arc::new(settings), issuer, Arc::new(key)).await)
    }

    /// Another instance of the API on the same stores, with some more keys changed.
    pub async fn another_instance(&self, overrides: &[(&str, &str)]) -> Self {
        let mut settings = (*self.settings).clone();
        settings.extend(overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Self::open(self.scratch.clone(), Arc::new(settings), self.issuer.clone(), self.key.clone()).await
    }

    async fn open(
        scratch: Arc<Scratch>,
        settings: Arc<Vec<(String, String)>>,
        issuer: Issuer,
        key: Arc<SigningKey>,
    ) -> Self {
        let overrides: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let platform = scratch.platform(&overrides).await;
        let state = AppState::new(platform.clone());
        // What `serve` does in the background.
        state.codes().look().await;
        let router = referral_api::router(state.clone());
        Self { platform, issuer, key, state, router, scratch, settings }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.platform.clock.now()
    }

    /// Text that no other test uses: Redis is shared.
    pub fn unique(&self) -> String {
        self.platform.random.uuid_v4().simple().to_string()[..10].to_owned()
    }

    /// A person with an account, a confirmed address and a token for everything a person may do.
    pub async fn person(&self, given_name: &str) -> Actor {
        let name: String = given_name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        self.person_with_email(given_name, &format!("{name}-{}@example.com", self.unique())).await
    }

    /// The same with this address.
    pub async fn person_with_email(&self, given_name: &str, email: &str) -> Actor {
        let email = Email::parse(email).unwrap();
        let id = UserId::new(&self.platform.random, &self.platform.clock);
        let user = NewUser {
            id,
            email: email.clone(),
            email_verified_at: Some(self.now()),
            given_name: Some(given_name.to_owned()),
            family_name: None,
            locale: Some("en".into()),
        };
        let mut tx = self.platform.db.begin().await.unwrap();
        users::insert(&mut tx, &user, self.now()).await.unwrap();
        tx.commit().await.unwrap();
        let token = self.token(&self.claims(&id.to_string(), EVERYTHING));
        Actor { token: Some(token), id: Some(id), email: email.display, ..self.anon() }
    }

    /// A client that speaks for itself.
    pub fn service(&self) -> Actor {
        let id = format!("service-{}", self.unique());
        let mut claims = self.claims(&id, EVERYTHING);
        claims["client_id"] = id.into();
        self.bearer(&self.token(&claims))
    }

    /// An app of the operator's own that runs the programme.
    pub fn manager(&self) -> Actor {
        let id = format!("backend-{}", self.unique());
        let mut claims = self.claims(&id, "referrals:manage");
        claims["client_id"] = id.into();
        self.bearer(&self.token(&claims))
    }

    /// A person who administers, with a token for it.
    pub async fn admin(&self) -> Actor {
        let root = self.person("Root").await;
        self.execute("UPDATE users SET role = 'admin' WHERE id = $1", root.id()).await;
        root.with_scope(&format!("{EVERYTHING} referrals:admin"))
    }

    /// Signs somebody up with `code`, as the authorization server does.
    pub async fn signed_up(&self, code: &str, name: &str, verified: bool, trace: &Trace) -> Actor {
        let newcomer = self.person(name).await;
        self.redeem(code, &newcomer, verified, trace).await;
        newcomer
    }

    /// Has `newcomer` come by `code`.
    pub async fn redeem(&self, code: &str, newcomer: &Actor, email_is_verified: bool, trace: &Trace) -> ReferralId {
        let email = Email::parse(&newcomer.email).unwrap();
        let redemption = Redemption {
            key: &CodeKey::fold(code).unwrap(),
            newcomer: newcomer.id(),
            canonical_email: &email.canonical,
            email_is_verified,
            source: Source::Code,
            trace,
        };
        let mut tx = self.platform.db.begin().await.unwrap();
        let id = store::redeem(&mut tx, &self.platform, redemption).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Somebody without credentials.
    pub fn anon(&self) -> Actor {
        Actor {
            world: self.clone(),
            token: None,
            id: None,
            email: String::new(),
            extra: vec![],
            certificate: None,
            peer: None,
        }
    }

    /// Whoever holds this token.
    pub fn bearer(&self, token: &str) -> Actor {
        Actor { token: Some(token.to_owned()), ..self.anon() }
    }

    /// The claims of a good access token.
    pub fn claims(&self, subject: &str, scope: &str) -> Value {
        let now = self.platform.clock.timestamp();
        json!({
            "iss": self.issuer.url(),
            "sub": subject,
            "aud": self.platform.config.api.public_url.as_str(),
            "iat": now,
            "exp": now + 600,
            "jti": self.unique(),
            "client_id": "demo-app",
            "scope": scope,
            "grant_id": self.unique(),
            "sid": self.unique(),
        })
    }

    pub fn token(&self, claims: &Value) -> String {
        self.key.sign("at+jwt", claims)
    }

    pub async fn execute(&self, sql: &'static str, id: UserId) -> u64 {
        let mut tx = self.platform.db.begin().await.unwrap();
        let changed = shared::execute!(&mut tx, sql, id).unwrap();
        tx.commit().await.unwrap();
        changed
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut conn = self.platform.db.read().await.unwrap();
        shared::fetch_one!(&mut conn, (i64,), sql).unwrap().0
    }
}

/// Somebody who calls the API.
#[derive(Clone)]
pub struct Actor {
    world: World,
    pub token: Option<String>,
    id: Option<UserId>,
    pub email: String,
    extra: Vec<(&'static str, String)>,
    certificate: Option<ClientCertificate>,
    peer: Option<SocketAddr>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Actor {
    pub fn id(&self) -> UserId {
        self.id.expect("a person")
    }

    /// The same actor with another scope.
    pub fn with_scope(&self, scope: &str) -> Self {
        let token = self.world.token(&self.world.claims(&self.id().to_string(), scope));
        Self { token: Some(token), ..self.clone() }
    }

    /// The same actor at another instance of the API.
    pub fn at(&self, world: &World) -> Self {
        Self { world: world.clone(), ..self.clone() }
    }

    pub fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut actor = self.clone();
        actor.extra.push((name, value.to_owned()));
        actor
    }

    /// The same person with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same person without a token.
    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The same actor over a connection on which they proved to hold this certificate's key.
    pub fn showing(&self, certificate: &Identity) -> Self {
        Self { certificate: Some(ClientCertificate::parse(&certificate.der, vec![]).unwrap()), ..self.clone() }
    }

    /// The same actor, coming from this address.
    pub fn from(&self, peer: &str) -> Self {
        Self { peer: Some(peer.parse().unwrap()), ..self.clone() }
    }

    pub async fn options(&self, path: &str) -> Answer {
        self.send("OPTIONS", path, None).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string()).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, Some(body.to_string())).await
    }

    /// Posts nothing.
    pub async fn post_nothing(&self, path: &str) -> Answer {
        self.send("POST", path, None).await
    }

    pub async fn post_text(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, Some(body.to_owned())).await
    }

    /// Posts a form.
    pub async fn form(&self, path: &str, form: &str) -> Answer {
        self.send_as("POST", path, "application/x-www-form-urlencoded", Some(form.to_owned())).await
    }

    async fn send(&self, method: &str, path: &str, body: Option<String>) -> Answer {
        self.send_as(method, path, "application/json", body).await
    }

    async fn send_as(&self, method: &str, path: &str, media_type: &str, body: Option<String>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", media_type);
        }
        for (name, value) in &self.extra {
            request = request.header(*name, value);
        }
        if let Some(certificate) = &self.certificate {
            request = request.extension(certificate.clone());
        }
        if let Some(peer) = self.peer {
            request = request.extension(ConnectInfo(peer));
        }
        let request = request.body(body.map_or_else(Body::empty, Body::from)).unwrap();
        let (parts, body) = self.world.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, 4 << 20).await.unwrap();
        let body = match serde_json::from_slice(&bytes) {
            Ok(json) => json,
            Err(_) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        };
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Creates a code that lives for 30 days.
    pub async fn create_code(&self) -> Answer {
        self.post("/v1/referral-codes", &json!({ "expires_at": self.in_days(30) })).await
    }

    /// Creates a code and tells it.
    pub async fn new_code(&self) -> String {
        let answer = self.create_code().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.text("code")
    }

    /// Tries every route that takes a token; `code` is the caller's. Whoever is let in deletes it, last.
    pub async fn everywhere(&self, code: &str) -> Vec<(&'static str, Answer)> {
        let path = format!("/v1/referral-codes/{code}");
        vec![
            ("list", self.get("/v1/referral-codes").await),
            ("get", self.get(&path).await),
            ("look up", self.look_up("nobody@example.com").await),
            ("referrals", self.get("/v1/referrers/me/referrals").await),
            ("invite", self.invite("nobody@example.com", "friend@example.org").await),
            ("stats", self.get(&format!("{path}/stats")).await),
            ("picture", self.get(&format!("{path}/qr.svg")).await),
            ("invitations", self.get("/v1/invitations").await),
            ("invitation", self.get("/v1/invitations/none").await),
            ("withdraw", self.delete("/v1/invitations/none").await),
            ("replace", self.post(&format!("{path}/rotate"), &json!({})).await),
            ("create", self.create_code().await),
            ("delete", self.delete(&path).await),
        ]
    }

    pub async fn look_up(&self, email: &str) -> Answer {
        let email: String = url::form_urlencoded::byte_serialize(email.as_bytes()).collect();
        self.get(&format!("/v1/referral-codes/lookup?email={email}")).await
    }

    pub async fn invite(&self, referrer: &str, friend: &str) -> Answer {
        self.post("/v1/invitations", &json!({ "referrer_email": referrer, "email": friend })).await
    }

    pub fn in_days(&self, days: i64) -> String {
        (self.world.now() + TimeDelta::days(days)).to_rfc3339()
    }
}

impl Answer {
    pub fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The challenge for `scheme`; empty when there is none.
    pub fn challenge(&self, scheme: &str) -> &str {
        let mut challenges = self.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap());
        challenges.find(|challenge| challenge.starts_with(&format!("{scheme} "))).unwrap_or_default()
    }

    /// The error in the challenge for `scheme`.
    pub fn error(&self, scheme: &str) -> &str {
        let (_, rest) = self.challenge(scheme).split_once("error=\"").unwrap_or_default();
        rest.split_once('"').unwrap_or_default().0
    }

    /// The slug of the problem's type.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status);
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        self.text("type").rsplit(':').next().unwrap_or_default().to_owned()
    }

    /// The fields at fault.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["pointer"].as_str()).collect()
    }
}
