//! [`App`]: a registered client as its developer would write it.

use auth_server::clients::{Client, ClientMetadata, by_id};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use shared::execute;
use shared::ids::ClientId;
use sqlx::types::Json;

use super::server::encode;
use super::{Answer, Browser, Server};

/// RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[derive(Clone)]
pub struct App {
    pub server: Server,
    pub client_id: String,
    pub secret: Option<String>,
    pub redirect_uri: String,
    method: String,
}

impl App {
    pub fn new(server: Server, client: &Client, secret: Option<String>) -> Self {
        let redirect_uri = client.metadata.redirect_uris.first().cloned().unwrap_or_default();
        let method = client.metadata.token_endpoint_auth_method.clone();
        Self { server, client_id: client.client_id.to_string(), secret, redirect_uri, method }
    }

    /// The same client with its row changed, past every check: as a hand in the database leaves it.
    pub async fn altered(&self, change: impl FnOnce(&mut ClientMetadata)) -> Self {
        let (state, id) = (&self.server.state, ClientId(self.client_id.clone()));
        let mut tx = state.platform.db.begin().await.expect("the database answers");
        let mut client = by_id(&mut tx, &id).await.expect("the database answers").expect("the client is there");
        change(&mut client.metadata);
        let sql = "UPDATE clients SET metadata = $2, revision = revision + 1 WHERE client_id = $1";
        execute!(&mut tx, sql, &id, Json(&client.metadata)).expect("the row can be written");
        tx.commit().await.expect("the database answers");
        state.clients.forget(&id).await;
        Self::new(self.server.clone(), &client, self.secret.clone())
    }

    /// How it authenticates.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The parameters of a plain authorization request with PKCE, with `more` replacing or adding to them; a value that
    /// is empty leaves the parameter out.
    pub fn parameters<'p>(&'p self, more: &[(&'p str, &'p str)]) -> Vec<(&'p str, &'p str)> {
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("scope", "openid"),
            ("state", "af0ifjsldkj"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in more {
            parameters.retain(|(known, _)| known != name);
            if !value.is_empty() {
                parameters.push((name, value));
            }
        }
        parameters
    }

    /// The authorization request's path and query.
    pub fn authorization(&self, more: &[(&str, &str)]) -> String {
        format!("/oauth/authorize?{}", encode(&self.parameters(more)))
    }

    /// A code for `email`, who signs in and consents where asked to.
    pub async fn code(&self, browser: &mut Browser, email: &str, more: &[(&str, &str)]) -> String {
        browser.code(&self.authorization(more), email).await
    }

    /// The token response for `email`.
    pub async fn tokens(&self, browser: &mut Browser, email: &str, more: &[(&str, &str)]) -> Value {
        let code = self.code(browser, email, more).await;
        self.exchange(&code).await.json(200)
    }

    pub async fn exchange(&self, code: &str) -> Answer {
        self.token(&self.exchange_form(code)).await
    }

    pub fn exchange_form<'f>(&'f self, code: &'f str) -> Vec<(&'f str, &'f str)> {
        vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", VERIFIER),
        ]
    }

    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    pub async fn token(&self, form: &[(&str, &str)]) -> Answer {
        self.post("/oauth/token", form).await
    }

    /// Posts a form as this client.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post_with(path, &[], form).await
    }

    /// The same with headers (a DPoP proof, say).
    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Answer {
        let (mut form, mut headers) = (form.to_vec(), headers.to_vec());
        let basic = self.basic();
        match (self.method.as_str(), &self.secret) {
            ("client_secret_basic", Some(_)) => headers.push(("authorization", &basic)),
            ("client_secret_post", Some(secret)) => {
                form.extend([("client_id", self.client_id.as_str()), ("client_secret", secret)]);
            }
            _ => form.push(("client_id", &self.client_id)),
        }
        self.server.post_with(path, &headers, &form).await
    }

    /// The `Authorization` header with the client's secret.
    pub fn basic(&self) -> String {
        let secret = self.secret.as_deref().unwrap_or_default();
        format!("Basic {}", STANDARD.encode(format!("{}:{secret}", self.client_id)))
    }
}
