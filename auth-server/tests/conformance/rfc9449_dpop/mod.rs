//! RFC 9449, OAuth 2.0 Demonstrating Proof of Possession (DPoP), at the authorization server and its own resources.

mod codes;
mod nonces;
mod proofs;
mod refresh_tokens;
mod resources;
mod token_endpoint;

use std::sync::atomic::{AtomicU32, Ordering};

use auth_server::clients::ClientMetadata;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use shared::jose::testing::Signer;

use crate::harness::{Answer, App, Server};

const TOKEN: &str = "/oauth/token";

/// A key and who holds it.
pub struct Holder {
    server: Server,
    signer: Signer,
    proofs: AtomicU32,
}

impl Holder {
    pub fn new(server: &Server) -> Self {
        Self::with(server, Algorithm::ES256)
    }

    fn with(server: &Server, algorithm: Algorithm) -> Self {
        Self { server: server.clone(), signer: Signer::new(algorithm), proofs: AtomicU32::new(0) }
    }

    pub fn jkt(&self) -> String {
        self.signer.public_key().thumbprint().to_owned()
    }

    /// The claims of a good proof with the server's nonce, each with a `jti` of its own.
    fn claims(&self, method: &str, path: &str, token: Option<&str>) -> Value {
        let state = &self.server.state;
        let now = state.platform.clock.timestamp();
        let url = state.platform.config.auth.public_url.join(path);
        let jti = self.proofs.fetch_add(1, Ordering::Relaxed).to_string();
        let mut claims = self.signer.proof_claims(method, &url, now, &jti, token);
        claims["nonce"] = json!(state.nonces.issue(now));
        claims
    }

    /// A good proof for the token endpoint.
    fn proof(&self) -> String {
        self.signer.proof(&self.claims("POST", TOKEN, None))
    }

    /// A token request of `app` with a good proof.
    pub async fn token(&self, app: &App, form: &[(&str, &str)]) -> Answer {
        app.post_with(TOKEN, &[("dpop", &self.proof())], form).await
    }

    pub async fn exchange(&self, app: &App, code: &str) -> Answer {
        self.token(app, &app.exchange_form(code)).await
    }

    async fn refresh(&self, app: &App, refresh_token: &Value) -> Answer {
        let refresh_token = refresh_token.as_str().expect("a refresh token");
        self.token(app, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// The token response for Ann, who has an account.
    pub async fn tokens(&self, app: &App, scope: &str) -> Value {
        let code = app.code(&mut self.server.browser(), "ann@example.com", &[("scope", scope)]).await;
        self.exchange(app, &code).await.json(200)
    }
}

/// A machine that may use client credentials.
async fn machine(server: &Server, change: impl FnOnce(&mut ClientMetadata)) -> App {
    server
        .app(|metadata| {
            metadata.grant_types = vec!["client_credentials".into()];
            change(metadata);
        })
        .await
}

const CREDENTIALS: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("scope", "referral-codes:read")];

async fn public(server: &Server) -> App {
    server.app(|metadata| metadata.token_endpoint_auth_method = "none".into()).await
}

/// What a JWT says.
fn payload(token: &Value) -> Value {
    let part = token.as_str().expect("a token").split('.').nth(1).expect("three parts").to_owned();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}
