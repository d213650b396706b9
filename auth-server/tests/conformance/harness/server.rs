//! [`Server`]: the authorization server on a store of its own.

use auth_server::AppState;
use auth_server::accounts::signup::{NewAccount, Outcome, sign_up};
use auth_server::clients::{self, ClientMetadata, NewClient, Origin};
use auth_server::keys::testing::lay_in;
use axum::Router;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{Request, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use shared::Platform;
use shared::http::ClientIp;
use shared::ids::{ClientId, UserId};
use shared::jose::ASYMMETRIC;
use shared::jose::jwk::KeySet;
use shared::jose::jwt::Unverified;
use shared::testing::each_store_with;
use tower::ServiceExt;
use url::form_urlencoded;

use super::{Answer, App, Browser, Rows};

pub const PASSWORD: &str = "correct horse battery";

/// What the server under test is.
#[derive(Clone)]
pub struct Server {
    pub state: AppState,
    router: Router,
}

/// Runs `test` on each store. Limits are off and passwords cost next to nothing, unless `settings` say otherwise
/// (`("TOKENS__CODE_SECONDS", "1")`).
pub async fn each_server<F: Future<Output = ()>>(settings: &[(&str, &str)], test: impl Fn(Server) -> F) {
    let cheap = [("PASSWORDS__MEMORY_KIB", "7168"), ("PASSWORDS__ITERATIONS", "1"), ("LIMITS__ENABLED", "false")];
    let settings: Vec<_> = cheap.into_iter().chain(settings.iter().copied()).collect();
    let test = &test;
    each_store_with(&settings, |platform| async move {
        lay_in(&platform).await.expect("the keys are kept");
        let state = AppState::new(platform).await.expect("the state is made");
        let router = auth_server::router(state.clone());
        test(Server { state, router }).await;
    })
    .await;
}

impl Server {
    /// Another instance on the same store, with nothing in common but that and the clock.
    pub async fn another_instance(&self) -> Self {
        let platform = &self.state.platform;
        let (config, clock, random) = (platform.config.clone(), platform.clock.clone(), platform.random.clone());
        let platform = Platform::open_with(config, clock, random).await.expect("the platform opens");
        let state = AppState::new(platform).await.expect("the state is made");
        let router = auth_server::router(state.clone());
        Self { state, router }
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Builder, body: impl Into<Body>) -> Answer {
        let request = request.body(body.into()).expect("a request");
        Answer::of(self.router.clone().oneshot(request).await.expect("the router answers")).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    /// Posts a form.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post_with(path, &[], form).await
    }

    /// Posts a form with headers.
    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request, encode(form)).await
    }

    /// A person who signed up.
    pub async fn person(&self, email: &str) -> UserId {
        let account = NewAccount {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            given_name: Some("Ann".into()),
            family_name: Some("Lee".into()),
            ..NewAccount::default()
        };
        let here = ClientIp([192, 0, 2, 1].into());
        match sign_up(&self.state, account, &here).await.expect("the sign-up succeeds") {
            Outcome::Created { id, .. } => id,
            Outcome::VerificationRequired => panic!("verification is required here"),
        }
    }

    /// A browser nobody has signed in with yet.
    pub fn browser(&self) -> Browser {
        Browser::new(self.clone())
    }

    /// A confidential third-party client that may use code and refresh with every scope of OpenID Connect and the
    /// referral API, changed by `change`.
    pub async fn app(&self, change: impl FnOnce(&mut ClientMetadata)) -> App {
        self.client(false, change).await
    }

    /// The same as one of our own.
    pub async fn own_app(&self, change: impl FnOnce(&mut ClientMetadata)) -> App {
        self.client(true, change).await
    }

    async fn client(&self, first_party: bool, change: impl FnOnce(&mut ClientMetadata)) -> App {
        let scopes = "openid profile email address phone offline_access referral-codes:read referral-codes:write";
        let mut metadata = ClientMetadata {
            redirect_uris: vec!["https://app.example/callback".into()],
            grant_types: vec!["authorization_code".into(), "refresh_token".into()],
            scopes: scopes.split(' ').map(str::to_owned).collect(),
            ..ClientMetadata::default()
        };
        change(&mut metadata);
        let id = format!("app-{}", self.state.platform.random.uuid_v4().simple());
        let new = NewClient {
            client_id: Some(ClientId(id)),
            name: "Wonder App".into(),
            first_party,
            origin: Origin::Operator,
            metadata,
        };
        let (client, secret) = clients::create(&self.state.platform, new).await.expect("the client is registered");
        App::new(self.clone(), &client, secret.map(|secret| secret.reveal().to_owned()))
    }

    /// Header and claims of a token whose signature verifies with the published keys.
    pub async fn jwt(&self, token: &str) -> (Value, Value) {
        let keys = KeySet::parse(&self.get("/oauth/jwks").await.json(200)).expect("a key set");
        let unverified = Unverified::parse(token, 1 << 16).expect("a JWT");
        unverified.verify(&keys, &ASYMMETRIC).unwrap_or_else(|error| panic!("{error}: {token}"));
        let part = |n| {
            let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(n).expect("three parts")).expect("base64url");
            serde_json::from_slice(&bytes).expect("JSON")
        };
        (part(0), part(1))
    }

    /// What the database holds: what an error must leave as it was.
    pub async fn rows(&self) -> Rows {
        Rows::read(&self.state).await
    }

    /// Is `url` below the issuer's address? Then its path and query.
    pub fn path_of<'u>(&self, url: &'u str) -> Option<&'u str> {
        url.strip_prefix(self.state.issuer()).or(Some(url)).filter(|path| path.starts_with('/'))
    }
}

pub(super) fn encode(form: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}
