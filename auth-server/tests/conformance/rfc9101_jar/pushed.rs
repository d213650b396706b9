//! RFC 9126 §3: a request object that is pushed.

use serde_json::json;

use super::SigningApp;
use crate::harness::each_server;
use crate::rfc9126_par::referring;

#[tokio::test]
async fn a_signed_request_can_be_pushed__rfc9126_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let signing = SigningApp::new(&server, |_| {}).await;
        let app = &signing.app;
        let object = signing.object(json!({"state": "inside"}));
        // What is pushed beside it counts for nothing either.
        let form = [("request", object.as_str()), ("scope", "openid email"), ("state", "beside")];
        let uri = app.post("/oauth/par", &form).await.json(201)["request_uri"].as_str().unwrap().to_owned();
        let url = referring(&app.client_id, &uri, &[]);
        let query = server.browser().authorize(&url, "ann@example.com").await.query();
        assert_eq!(query["state"], "inside");
        assert_eq!(app.exchange(&query["code"]).await.json(200)["scope"], "openid");
    })
    .await;
}

#[tokio::test]
async fn the_object_is_the_client_s_that_pushes_it__rfc9126_3() {
    each_server(&[], |server| async move {
        let (signing, other) = (SigningApp::new(&server, |_| {}).await, SigningApp::new(&server, |_| {}).await);
        let object = signing.object(json!({}));
        let before = server.rows().await;
        other.push(&object).await.is_error(400, "invalid_request_object");
        let in_anothers_name = other.object(json!({"client_id": signing.app.client_id}));
        other.push(&in_anothers_name).await.is_error(400, "invalid_request_object");
        assert_eq!(server.rows().await, before);
    })
    .await;
}
