//! FAPI 2.0 Security Profile and Message Signing, for clients with `profile = "fapi2"`.

mod authorization;
mod endpoints;
mod mutual_tls;
mod registration;
mod response_modes;
mod tokens;

use std::collections::BTreeMap;

use auth_server::clients::{ClientMetadata, Profile};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use shared::jose::testing::Signer;

use crate::harness::{Answer, App, Server};
use crate::rfc8707_resource::claims;
use crate::rfc9101_jar::SigningApp;
use crate::rfc9126_par::referring;

/// What such a client registers.
pub fn metadata(signer: &Signer, client: &mut ClientMetadata) {
    client.profile = Some(Profile::Fapi2);
    client.token_endpoint_auth_method = "private_key_jwt".into();
    client.jwks = Some(json!({"keys": [signer.jwk()]}));
    client.id_token_signed_response_alg = "ES256".into();
    client.dpop_bound_access_tokens = true;
}

/// Such a client, with the key it signs with and the key its tokens are bound to.
pub struct FapiApp {
    pub signing: SigningApp,
    pub dpop: Signer,
}

impl FapiApp {
    pub async fn new(server: &Server) -> Self {
        Self::with(server, Algorithm::PS256).await
    }

    pub async fn with(server: &Server, algorithm: Algorithm) -> Self {
        Self::registered(server, algorithm, |_| {}).await
    }

    pub async fn changed(server: &Server, change: impl FnOnce(&mut ClientMetadata)) -> Self {
        Self::registered(server, Algorithm::PS256, change).await
    }

    async fn registered(server: &Server, algorithm: Algorithm, change: impl FnOnce(&mut ClientMetadata)) -> Self {
        let signer = Signer::new(algorithm);
        let app = server
            .app(|client| {
                metadata(&signer, client);
                change(client);
            })
            .await;
        Self { signing: SigningApp { app, signer }, dpop: Signer::new(Algorithm::ES256) }
    }

    pub fn app(&self) -> &App {
        &self.signing.app
    }

    /// An assertion, with `more` replacing its claims.
    pub fn assertion(&self, more: Value) -> String {
        let state = &self.app().server.state;
        let (id, now) = (&self.app().client_id, state.platform.clock.timestamp());
        let jti = state.platform.random.uuid_v4();
        let mut claims = json!({"iss": id, "sub": id, "aud": state.issuer(), "iat": now, "exp": now + 60, "jti": jti});
        for (name, value) in more.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        self.signing.signer.sign(&self.signing.signer.header("JWT"), &claims)
    }

    /// Posts a form as this client.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Answer {
        let assertion = self.assertion(json!({}));
        let mut form = form.to_vec();
        form.extend([
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.as_str()),
        ]);
        self.app().server.post_with(path, headers, &form).await
    }

    /// Posts to the token endpoint with a proof of the DPoP key.
    pub async fn token(&self, form: &[(&str, &str)]) -> Answer {
        let state = &self.app().server.state;
        let url = state.platform.config.auth.public_url.join("/oauth/token");
        let jti = state.platform.random.uuid_v4().to_string();
        let now = state.platform.clock.timestamp();
        let mut claims = self.dpop.proof_claims("POST", &url, now, &jti, None);
        claims["nonce"] = state.nonces.issue(now).into();
        let proof = self.dpop.proof(&claims);
        self.post("/oauth/token", &[("dpop", &proof)], form).await
    }

    /// A request object that asks for a signed response, as it must.
    pub fn object(&self, more: Value) -> String {
        let mut claims = json!({"response_mode": "jwt"});
        for (name, value) in more.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        self.signing.object(claims)
    }

    pub async fn push(&self, object: &str) -> Answer {
        self.post("/oauth/par", &[], &[("request", object)]).await
    }

    /// A code for `email`, by way of a pushed request object.
    pub async fn code(&self, email: &str) -> String {
        let pushed = self.push(&self.object(json!({}))).await.json(201);
        let url = referring(&self.app().client_id, pushed["request_uri"].as_str().expect("a request_uri"), &[]);
        let answer = self.app().server.browser().authorize(&url, email).await;
        signed(&answer.query())["code"].as_str().expect("a code").to_owned()
    }
}

/// What a signed response says; nothing is said beside it.
#[track_caller]
pub fn signed(parameters: &BTreeMap<String, String>) -> Value {
    assert_eq!(parameters.keys().collect::<Vec<_>>(), ["response"], "{parameters:?}");
    claims(&json!(parameters["response"]))
}
