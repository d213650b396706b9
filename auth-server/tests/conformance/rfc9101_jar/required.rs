//! §10.5: clients that must sign; and what discovery says.

use serde_json::json;

use super::SigningApp;
use crate::harness::each_server;

#[tokio::test]
async fn a_client_that_must_sign_can_ask_in_no_other_way__rfc9101_10_5() {
    each_server(&[], |server| async move {
        let signing = SigningApp::new(&server, |client| client.require_signed_request_object = true).await;
        let app = &signing.app;
        let before = server.rows().await;
        server.get(&app.authorization(&[])).await.redirects_with_error("invalid_request");
        app.post("/oauth/par", &app.parameters(&[])).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
        server.get(&signing.carrying(&signing.object(json!({})), &[])).await.location();
        signing.push(&signing.object(json!({}))).await.json(201);
    })
    .await;
}

#[tokio::test]
async fn discovery_tells_what_request_objects_may_be__rfc9101_10_5() {
    each_server(&[], |server| async move {
        let document = server.get("/.well-known/openid-configuration").await.json(200);
        assert_eq!(document["request_parameter_supported"], true);
        // A request_uri comes from the pushed authorization request endpoint only (OpenID Connect Discovery §3).
        assert_eq!(document["request_uri_parameter_supported"], false);
        assert_eq!(document["require_signed_request_object"], false);
        let algorithms = document["request_object_signing_alg_values_supported"].as_array().unwrap();
        assert!(!algorithms.is_empty() && !algorithms.contains(&json!("none")), "{algorithms:?}");
        for name in ["ES256", "EdDSA", "PS256", "RS256"] {
            assert!(algorithms.contains(&json!(name)), "{algorithms:?}");
        }
    })
    .await;
}
