//! §2.1 and §2.2: a request that is pushed, and what comes of it.

use sha2::{Digest, Sha256};
use shared::fetch_all;

use super::{push, pushed, referring};
use crate::harness::each_server;

#[tokio::test]
async fn a_pushed_request_is_answered_with_201_and_an_unguessable_uri_for_a_short_time__rfc9126_2_2() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let answer = push(&app, &[]).await;
        let body = answer.json(201);
        answer.is_not_cached();
        assert!(answer.header("cache-control").contains("no-cache"), "{answer:?}");
        assert!(answer.header("content-type").starts_with("application/json"), "{answer:?}");
        assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
        let reference = body["request_uri"].as_str().unwrap().strip_prefix("urn:ietf:params:oauth:request_uri:");
        // 256 bits (§7.1).
        assert_eq!(reference.expect("the form of section 2.2").len(), 43, "{body}");
        assert!((60..=90).contains(&body["expires_in"].as_u64().unwrap()), "{body}");
        let again = push(&app, &[]).await.json(201);
        assert_ne!(again["request_uri"], body["request_uri"]);
    })
    .await;
}

#[tokio::test]
async fn the_reference_is_stored_as_a_hash__rfc9126_7_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let uri = pushed(&app, &[]).await;
        let reference = uri.rsplit(':').next().unwrap();
        let mut conn = server.state.platform.db.read().await.unwrap();
        let rows = fetch_all!(&mut conn, (Vec<u8>,), "SELECT uri_hash FROM pushed_requests").unwrap();
        assert_eq!(rows, [(Sha256::digest(reference).to_vec(),)]);
    })
    .await;
}

#[tokio::test]
async fn a_pushed_request_ends_in_tokens_as_any_other__rfc9126_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        for method in ["client_secret_basic", "client_secret_post", "none"] {
            let app = server.app(|client| client.token_endpoint_auth_method = method.into()).await;
            let uri = pushed(&app, &[("nonce", "n-0S6"), ("scope", "openid email")]).await;
            let mut browser = server.browser();
            let answer = browser.authorize(&referring(&app.client_id, &uri, &[]), "ann@example.com").await;
            let query = answer.query();
            assert_eq!(query["state"], "af0ifjsldkj");
            assert_eq!(query["iss"], server.state.issuer());
            let tokens = app.exchange(&query["code"]).await.json(200);
            assert_eq!(tokens["scope"], "openid email");
            assert!(tokens["id_token"].is_string(), "{tokens}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_reference_may_come_by_post_as_well__rfc9126_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let uri = pushed(&app, &[]).await;
        let mut browser = server.browser();
        let form = [("client_id", app.client_id.as_str()), ("request_uri", &uri)];
        let answer = browser.post("/oauth/authorize", &form).await;
        let answer = browser.follow(answer, "ann@example.com").await;
        app.exchange(&answer.query()["code"]).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_silent_request_that_was_pushed_is_answered_at_the_client__oidc_core_3_1_2_6() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let uri = pushed(&app, &[("prompt", "none")]).await;
        let mut browser = server.browser();
        let answer = browser.authorize(&referring(&app.client_id, &uri, &[]), "ann@example.com").await;
        assert_eq!(answer.redirects_with_error("login_required")["state"], "af0ifjsldkj");
    })
    .await;
}

#[tokio::test]
async fn discovery_names_the_endpoint__rfc9126_5() {
    each_server(&[], |server| async move {
        for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
            let document = server.get(path).await.json(200);
            let endpoint = document["pushed_authorization_request_endpoint"].as_str().unwrap();
            assert_eq!(server.path_of(endpoint), Some("/oauth/par").or(Some("oauth/par")), "{endpoint}");
            assert_eq!(document["require_pushed_authorization_requests"], false);
        }
    })
    .await;
}
