//! What a client may register for it (RFC 7591 §2, OpenID Connect Registration §2), and what discovery says.

use auth_server::clients::{self, ClientMetadata, NewClient, Origin};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use shared::jose::testing::Signer;

use crate::harness::each_server;

#[tokio::test]
async fn keys_are_by_value_or_by_reference_public_and_of_use__rfc7591_2() {
    each_server(&[], |server| async move {
        let signer = Signer::new(Algorithm::ES256);
        let good = json!({ "keys": [signer.jwk()] });
        let mut private = signer.jwk();
        private["d"] = json!("AQ");
        let with = |jwks: Option<Value>, uri: Option<&str>, method: &str, alg: Option<&str>| NewClient {
            client_id: None,
            name: "App".into(),
            first_party: false,
            origin: Origin::Operator,
            metadata: ClientMetadata {
                grant_types: vec!["client_credentials".into()],
                token_endpoint_auth_method: method.into(),
                token_endpoint_auth_signing_alg: alg.map(str::to_owned),
                jwks,
                jwks_uri: uri.map(str::to_owned),
                ..ClientMetadata::default()
            },
        };
        let key = "private_key_jwt";
        let before = server.rows().await;
        for (client, expected) in [
            (with(None, None, key, None), "needs jwks"),
            (with(Some(good.clone()), Some("https://app.example/jwks"), key, None), "exclude each other"),
            (with(Some(json!({ "keys": [private] })), None, key, None), "private"),
            (with(Some(json!({ "keys": [] })), None, key, None), "no key"),
            (with(Some(json!({ "keys": [{ "kty": "EC", "crv": "P-521" }] })), None, key, None), "no key"),
            (with(Some(json!([])), None, key, None), "jwks is refused"),
            (with(None, Some("http://app.example/jwks"), key, None), "https"),
            (with(None, Some("https://127.0.0.1/jwks"), key, None), "not public"),
            (with(None, Some("jwks"), key, None), "absolute"),
            (with(Some(good.clone()), None, key, Some("HS256")), "can't be used"),
            (with(Some(good.clone()), None, key, Some("none")), "can't be used"),
            (with(None, None, "client_secret_jwt", Some("ES256")), "does not go with"),
            (with(None, None, "client_secret_basic", Some("ES256")), "does not go with"),
        ] {
            let error = clients::create(&server.state.platform, client).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(server.rows().await, before);
        for client in [
            with(Some(good), None, key, Some("ES256")),
            with(None, Some("https://app.example/jwks"), key, Some("PS256")),
            with(None, None, "client_secret_jwt", Some("HS256")),
        ] {
            clients::create(&server.state.platform, client).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn discovery_lists_methods_and_algorithms_of_each_endpoint__rfc8414_2() {
    each_server(&[], |server| async move {
        let document = server.get("/.well-known/oauth-authorization-server").await.json(200);
        let algorithms = json!(["ES256", "ES384", "EdDSA", "PS256", "RS256", "HS256"]);
        for endpoint in ["token", "revocation", "introspection"] {
            let methods = document[format!("{endpoint}_endpoint_auth_methods_supported")].as_array().unwrap();
            assert!(methods.contains(&json!("private_key_jwt")) && methods.contains(&json!("client_secret_jwt")));
            assert_eq!(methods.contains(&json!("none")), endpoint != "introspection");
            assert_eq!(document[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")], algorithms);
        }
    })
    .await;
}
