//! RFC 9101: The OAuth 2.0 Authorization Request (JAR).

mod claims;
mod objects;
mod pushed;
mod required;
mod single_use;

use auth_server::clients::ClientMetadata;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};
use shared::jose::testing::Signer;

use crate::harness::{Answer, App, Server};

/// A client that signs its requests.
pub struct SigningApp {
    pub app: App,
    pub signer: Signer,
}

impl SigningApp {
    pub async fn new(server: &Server, change: impl FnOnce(&mut ClientMetadata)) -> Self {
        Self::with(server, Algorithm::ES256, change).await
    }

    pub async fn with(server: &Server, algorithm: Algorithm, change: impl FnOnce(&mut ClientMetadata)) -> Self {
        let signer = Signer::new(algorithm);
        let jwks = json!({"keys": [signer.jwk()]});
        let app = server
            .app(|client| {
                client.jwks = Some(jwks);
                change(client);
            })
            .await;
        Self { app, signer }
    }

    /// The claims of a good request object, with `more` replacing or adding to them; `null` leaves one out.
    pub fn claims(&self, more: Value) -> Value {
        let state = &self.app.server.state;
        let now = state.platform.clock.timestamp();
        let mut claims = Map::new();
        for (name, value) in self.app.parameters(&[]) {
            claims.insert(name.into(), value.into());
        }
        let own = json!({"iss": self.app.client_id, "aud": state.issuer(), "iat": now, "nbf": now, "exp": now + 300});
        for members in [own, more] {
            for (name, value) in members.as_object().expect("an object").clone() {
                if value.is_null() {
                    claims.remove(&name);
                } else {
                    claims.insert(name, value);
                }
            }
        }
        claims.into()
    }

    /// A request object.
    pub fn object(&self, more: Value) -> String {
        self.signer.sign(&self.signer.header("oauth-authz-req+jwt"), &self.claims(more))
    }

    /// The authorization request that carries `object`, with `more` beside it.
    pub fn carrying(&self, object: &str, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", &self.app.client_id).append_pair("request", object).extend_pairs(more);
        format!("/oauth/authorize?{}", query.finish())
    }

    /// Pushes `object`.
    pub async fn push(&self, object: &str) -> Answer {
        self.app.post("/oauth/par", &[("request", object)]).await
    }

    /// `object` is refused wherever it comes, and nothing is kept of it.
    #[track_caller]
    pub fn refuses<'a>(&'a self, object: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let server = &self.app.server;
            let before = server.rows().await;
            let context = format!("{caller}: {object}");
            let shown = server.get(&self.carrying(object, &[])).await;
            assert_eq!(shown.status.as_u16(), 400, "{context} {shown:?}");
            shown.is_error_page();
            let beside = [("redirect_uri", self.app.redirect_uri.as_str()), ("state", "beside")];
            let told = server.get(&self.carrying(object, &beside)).await;
            assert_eq!(told.redirects_with_error("invalid_request_object")["state"], "beside", "{context}");
            self.push(object).await.is_error(400, "invalid_request_object");
            assert_eq!(server.rows().await, before, "{context}");
        }
    }
}
