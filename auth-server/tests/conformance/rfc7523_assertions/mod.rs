//! RFC 7523, JSON Web Token (JWT) Profile for OAuth 2.0 Client Authentication and Authorization Grants.

mod authorization_grant;
mod claims;
mod client_authentication;
mod registration;

use auth_server::clients::ClientMetadata;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use shared::jose::testing::Signer;

use crate::harness::{Answer, App, Server};

/// §2.2
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that authenticates with a key pair, and the key pair.
struct Keyed {
    app: App,
    signer: Signer,
    fapi: bool,
}

impl Keyed {
    /// May use client credentials; changed by `change`.
    async fn new(server: &Server, algorithm: Algorithm, change: impl FnOnce(&mut ClientMetadata)) -> Self {
        let signer = Signer::new(algorithm);
        let mut fapi = false;
        let app = server
            .app(|metadata| {
                metadata.grant_types = vec!["client_credentials".into()];
                metadata.token_endpoint_auth_method = "private_key_jwt".into();
                metadata.jwks = Some(json!({ "keys": [signer.jwk()] }));
                change(metadata);
                fapi = metadata.profile.is_some();
            })
            .await;
        Self { app, signer, fapi }
    }

    /// With the secret instead (OpenID Connect Core §9).
    async fn with_secret(server: &Server) -> Self {
        let app = server
            .app(|metadata| {
                metadata.grant_types = vec!["client_credentials".into()];
                metadata.token_endpoint_auth_method = "client_secret_jwt".into();
            })
            .await;
        let signer = Signer::hmac(app.secret.as_deref().expect("a secret").as_bytes());
        Self { app, signer, fapi: false }
    }

    /// The claims of a good assertion, each with a `jti` of its own.
    fn claims(&self) -> Value {
        let state = &self.app.server.state;
        let now = state.platform.clock.timestamp();
        json!({
            "iss": self.app.client_id,
            "sub": self.app.client_id,
            "aud": state.issuer(),
            "iat": now,
            "exp": now + 60,
            "jti": state.platform.random.uuid_v4(),
        })
    }

    fn signed(&self, claims: &Value) -> String {
        self.signer.sign(&self.signer.header("JWT"), claims)
    }

    /// A token request with this assertion and nothing else that names the client.
    async fn request(&self, assertion: &str) -> Answer {
        let server = &self.app.server;
        if !self.fapi {
            return ask(server, assertion, &[]).await;
        }
        // Under FAPI 2.0 its tokens are bound to a key, too.
        let (path, key) = ("/oauth/token", Signer::new(Algorithm::ES256));
        let now = server.state.platform.clock.timestamp();
        let url = server.state.platform.config.auth.public_url.join(path);
        let mut claims = key.proof_claims("POST", &url, now, "1", None);
        claims["nonce"] = json!(server.state.nonces.issue(now));
        server.post_with(path, &[("dpop", &key.proof(&claims))], &form(assertion)).await
    }
}

async fn ask(server: &Server, assertion: &str, more: &[(&str, &str)]) -> Answer {
    let mut form = form(assertion);
    form.extend(more);
    server.post("/oauth/token", &form).await
}

fn form(assertion: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "client_credentials"),
        ("scope", "referral-codes:read"),
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion),
    ]
}

/// How many proofs are remembered.
async fn remembered(server: &Server) -> i64 {
    let mut conn = server.state.platform.db.read().await.expect("the database answers");
    let (count,): (i64,) =
        shared::fetch_one!(&mut conn, (i64,), "SELECT COUNT(*) FROM used_proofs").expect("rows can be counted");
    count
}
