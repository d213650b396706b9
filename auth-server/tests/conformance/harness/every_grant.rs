//! [`EveryGrant`]: one of our own services that has registered every grant, to try on each what holds for all.

use std::sync::atomic::{AtomicU32, Ordering};

use auth_server::clients::{DEVICE_CODE, GRANT_TYPES, JWT_BEARER, TOKEN_EXCHANGE};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use shared::ids::UserId;
use shared::jose::testing::Signer;

use super::app::VERIFIER;
use super::{Answer, App, PASSWORD, Server};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A service, the key it signs assertions with, the one it proves (DPoP), and a person with an account.
pub struct EveryGrant {
    pub app: App,
    pub ann: UserId,
    email: String,
    signer: Signer,
    key: Option<Signer>,
    proofs: AtomicU32,
}

type Field = (&'static str, String);

impl EveryGrant {
    /// Authenticates by `method`. A public client has the grants that it may have.
    pub async fn new(server: &Server, method: &str) -> Self {
        Self::of(server, method, "ann@example.com").await
    }

    /// The same for a person with this address.
    pub async fn of(server: &Server, method: &str, email: &str) -> Self {
        let ann = server.person(email).await;
        let signer = Signer::new(Algorithm::ES256);
        let app = server
            .own_app(|metadata| {
                metadata.token_endpoint_auth_method = method.into();
                metadata.grant_types = GRANT_TYPES.iter().map(|grant| (*grant).to_owned()).collect();
                if method == "none" {
                    let confidential = ["client_credentials", JWT_BEARER, TOKEN_EXCHANGE];
                    metadata.grant_types.retain(|grant| !confidential.contains(&grant.as_str()));
                } else {
                    metadata.jwks = Some(json!({ "keys": [signer.jwk()] }));
                }
            })
            .await;
        Self { app, ann, email: email.to_owned(), signer, key: None, proofs: AtomicU32::new(0) }
    }

    /// From now on it proves a key with each request.
    pub fn with_key(self) -> Self {
        Self { key: Some(Signer::new(Algorithm::ES256)), ..self }
    }

    /// The thumbprint of the key it proves.
    pub fn jkt(&self) -> Option<String> {
        self.key.as_ref().map(|key| key.public_key().thumbprint().to_owned())
    }

    /// The grants it has registered.
    pub fn grants(&self) -> impl Iterator<Item = &'static str> {
        let public = self.signs_nothing();
        let confidential = ["client_credentials", JWT_BEARER, TOKEN_EXCHANGE];
        GRANT_TYPES.iter().copied().filter(move |grant| !public || !confidential.contains(grant))
    }

    fn signs_nothing(&self) -> bool {
        self.app.method() == "none"
    }

    /// A token request by `grant` that will be served: the code is there, the person has decided.
    pub async fn prepare(&self, grant: &'static str, scope: &str) -> Vec<Field> {
        let (name, value) = match grant {
            "authorization_code" => ("code", self.code(scope).await),
            "refresh_token" => {
                let tokens = self.exchanged(scope).await;
                ("refresh_token", tokens["refresh_token"].as_str().expect("a refresh token").to_owned())
            }
            DEVICE_CODE => ("device_code", self.allowed_device(scope).await),
            "password" => ("username", self.email.clone()),
            JWT_BEARER => ("assertion", self.assertion(&self.ann.to_string())),
            TOKEN_EXCHANGE => {
                let tokens = self.exchanged(scope).await;
                ("subject_token", tokens["access_token"].as_str().expect("an access token").to_owned())
            }
            _ => ("scope", scope.to_owned()),
        };
        let mut form = vec![("grant_type", grant.to_owned()), (name, value)];
        match grant {
            "authorization_code" => {
                form.extend([("redirect_uri", self.app.redirect_uri.clone()), ("code_verifier", VERIFIER.into())]);
            }
            "password" => form.extend([("password", PASSWORD.into()), ("scope", scope.to_owned())]),
            JWT_BEARER => form.push(("scope", scope.to_owned())),
            TOKEN_EXCHANGE => form.push(("subject_token_type", ACCESS_TOKEN.into())),
            _ => {}
        }
        form
    }

    /// Posts a form as this client: with what it authenticates by, and the proof of its key.
    pub async fn post(&self, path: &str, form: &[Field]) -> Answer {
        let mut form = form.to_vec();
        if self.app.method() == "private_key_jwt" {
            form.push(("client_assertion_type", ASSERTION.into()));
            form.push(("client_assertion", self.assertion(&self.app.client_id)));
        }
        let proof = self.proof(path);
        let headers: Vec<_> = proof.iter().map(|proof| ("dpop", proof.as_str())).collect();
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.app.post_with(path, &headers, &form).await
    }

    pub async fn token(&self, form: &[Field]) -> Answer {
        self.post("/oauth/token", form).await
    }

    /// A device code that nobody has decided on, and the user code that goes with it.
    pub async fn begin_device(&self, scope: &str) -> (String, String) {
        let begun = self.post("/oauth/device_authorization", &[("scope", scope.to_owned())]).await.json(200);
        let text = |name: &str| begun[name].as_str().expect("a code").to_owned();
        (text("device_code"), text("user_code"))
    }

    async fn allowed_device(&self, scope: &str) -> String {
        let (device_code, user_code) = self.begin_device(scope).await;
        let mut browser = self.app.server.browser();
        browser.sign_in(&self.email).await;
        let page = browser.get(&format!("/device?user_code={user_code}")).await;
        let (csrf, user_code) = (page.hidden("csrf"), page.hidden("user_code"));
        let form = [("csrf", csrf.as_str()), ("user_code", &user_code), ("decision", "allow")];
        assert_eq!(browser.post("/device", &form).await.status, 200);
        device_code
    }

    async fn code(&self, scope: &str) -> String {
        self.app.code(&mut self.app.server.browser(), &self.email, &[("scope", scope)]).await
    }

    async fn exchanged(&self, scope: &str) -> Value {
        let code = self.code(scope).await;
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", self.app.redirect_uri.clone()),
            ("code_verifier", VERIFIER.to_owned()),
        ];
        self.token(&form).await.json(200)
    }

    /// An assertion of its own for `sub`, each with a `jti` of its own.
    fn assertion(&self, sub: &str) -> String {
        let state = &self.app.server.state;
        let now = state.platform.clock.timestamp();
        let claims = json!({
            "iss": self.app.client_id,
            "sub": sub,
            "aud": state.issuer(),
            "iat": now,
            "exp": now + 60,
            "jti": state.platform.random.uuid_v4(),
        });
        self.signer.sign(&self.signer.header("JWT"), &claims)
    }

    fn proof(&self, path: &str) -> Option<String> {
        let key = self.key.as_ref()?;
        let state = &self.app.server.state;
        let now = state.platform.clock.timestamp();
        let url = state.platform.config.auth.public_url.join(path);
        let jti = self.proofs.fetch_add(1, Ordering::Relaxed).to_string();
        let mut claims = key.proof_claims("POST", &url, now, &jti, None);
        claims["nonce"] = json!(state.nonces.issue(now));
        Some(key.proof(&claims))
    }
}
