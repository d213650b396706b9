//! RFC 7662, OAuth 2.0 Token Introspection.

use serde_json::json;

use crate::harness::each_server;

#[tokio::test]
async fn a_client_learns_of_its_own_tokens_and_nothing_of_others__rfc7662_2_2() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let (app, other) = (server.app(|_| {}).await, server.app(|_| {}).await);
        let own = server.own_app(|_| {}).await;
        let asked = [("scope", "openid email")];
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &asked).await;
        let [access, refresh, id] = ["access_token", "refresh_token", "id_token"].map(|t| tokens[t].as_str().unwrap());
        for token in [access, refresh] {
            let answer = app.post("/oauth/introspect", &[("token", token), ("token_type_hint", "no_such_hint")]).await;
            answer.is_not_cached();
            let said = answer.json(200);
            assert_eq!((&said["active"], &said["sub"]), (&json!(true), &json!(ann.to_string())));
            assert_eq!((&said["client_id"], &said["scope"]), (&json!(app.client_id), &json!("openid email")));
            assert!(said["exp"].as_i64() > said["iat"].as_i64());
            let inactive = other.post("/oauth/introspect", &[("token", token)]).await.json(200);
            assert_eq!(inactive, json!({ "active": false }));
        }
        // A resource server of our own may ask about any access token, and about no refresh token.
        assert_eq!(own.post("/oauth/introspect", &[("token", access)]).await.json(200)["active"], true);
        assert_eq!(own.post("/oauth/introspect", &[("token", refresh)]).await.json(200)["active"], false);
        for token in [id, "nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
            assert_eq!(app.post("/oauth/introspect", &[("token", token)]).await.json(200), json!({ "active": false }));
        }
    })
    .await;
}

#[tokio::test]
async fn who_does_not_prove_to_be_a_client_is_told_nothing__rfc7662_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let public = server.app(|metadata| metadata.token_endpoint_auth_method = "none".into()).await;
        server.post("/oauth/introspect", &[("token", "x")]).await.is_error(401, "invalid_client");
        public.post("/oauth/introspect", &[("token", "x")]).await.is_error(401, "invalid_client");
        let wrong = [("authorization", "Basic YXBwOnNlY3JldA==")];
        let refused = server.post_with("/oauth/introspect", &wrong, &[("token", "x")]).await;
        assert!(refused.is_error(401, "invalid_client").header("www-authenticate").starts_with("Basic "));
        app.post("/oauth/introspect", &[]).await.is_error(400, "invalid_request");
        app.post("/oauth/introspect", &[("token", "x"), ("token", "y")]).await.is_error(400, "invalid_request");
        assert_eq!(server.get("/oauth/introspect?token=x").await.status, 405);
    })
    .await;
}
