//! A client that registered itself proves who it is in the way it registered.

use serde_json::{Value, json};
use shared::jose::testing::Signer;

use super::{OPEN, register};
use crate::harness::{Answer, Server, each_server};

async fn token(server: &Server, said: &Value, signer: &Signer) -> Answer {
    let state = &server.state;
    let now = state.platform.clock.timestamp();
    let id = &said["client_id"];
    let jti = state.platform.random.uuid_v4().to_string();
    let claims = json!({ "iss": id, "sub": id, "aud": state.issuer(), "jti": jti, "iat": now, "exp": now + 60 });
    let assertion = signer.sign(&signer.header("JWT"), &claims);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion.as_str()),
    ];
    server.post("/oauth/token", &form).await
}

#[tokio::test]
async fn a_client_that_registered_a_key_or_a_secret_to_sign_with_authenticates_by_it__rfc7591_2() {
    each_server(&[OPEN], |server| async move {
        let signer = Signer::new(jsonwebtoken::Algorithm::ES256);
        let by_key = json!({
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": { "keys": [signer.jwk()] },
        });
        let by_key = register(&server, &by_key).await.json(201);
        assert!(by_key.get("client_secret").is_none());
        token(&server, &by_key, &signer).await.json(200);
        token(&server, &by_key, &Signer::new(jsonwebtoken::Algorithm::ES256)).await.is_error(401, "invalid_client");

        let by_secret = json!({
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_jwt",
        });
        let by_secret = register(&server, &by_secret).await.json(201);
        let secret = by_secret["client_secret"].as_str().expect("a secret");
        token(&server, &by_secret, &Signer::hmac(secret.as_bytes())).await.json(200);
        token(&server, &by_secret, &Signer::hmac(&[7; 32])).await.is_error(401, "invalid_client");
    })
    .await;
}
