//! RFC 7662, OAuth 2.0 Token Introspection.

use serde_json::json;

use crate::harness::{App, each_server};

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
        assert_eq!(own.post("/oauth/introspect", &[("token", refresh)]).await.json(200)["active"], false);
        for token in [id, "nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
            assert_eq!(app.post("/oauth/introspect", &[("token", token)]).await.json(200), json!({ "active": false }));
        }
    })
    .await;
}

#[tokio::test]
async fn a_resource_server_learns_of_tokens_that_are_meant_for_it__rfc7662_4__rfc9701_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, other) = (server.app(|_| {}).await, server.app(|_| {}).await);
        let own = server.own_app(|_| {}).await;
        let jwt = [("accept", "application/token-introspection+jwt")];
        for (scope, for_the_api) in
            [("openid email", false), ("referral-codes:read", true), ("openid referral-codes:read", true)]
        {
            let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("scope", scope)]).await;
            let form = [("token", tokens["access_token"].as_str().unwrap())];
            let plain = own.post("/oauth/introspect", &form).await.json(200);
            let (_, signed) = server.jwt(&own.post_with("/oauth/introspect", &jwt, &form).await.body).await;
            for said in [&plain, &signed["token_introspection"]] {
                if for_the_api {
                    assert_eq!((&said["active"], &said["scope"]), (&json!(true), &json!(scope)));
                } else {
                    assert_eq!(*said, json!({ "active": false }), "{scope}");
                }
            }
            // A third party is no resource server of ours.
            let said = other.post("/oauth/introspect", &form).await.json(200);
            assert_eq!(said, json!({ "active": false }));
        }
    })
    .await;
}

#[tokio::test]
async fn what_has_ended_is_not_active_however_it_ended__rfc7662_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let own = server.own_app(|_| {}).await;
        let asked = [("scope", "openid referral-codes:read")];
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &asked).await;
        let text = |tokens: &serde_json::Value, name: &str| tokens[name].as_str().unwrap().to_owned();
        let (first, access) = (text(&tokens, "refresh_token"), text(&tokens, "access_token"));
        let is_active = |app: &App, token: &str| {
            let (app, token) = (app.clone(), token.to_owned());
            async move {
                let said = app.post("/oauth/introspect", &[("token", &token)]).await.json(200);
                assert!(said["active"] == true || said == json!({ "active": false }), "{said}");
                said["active"] == true
            }
        };
        assert!(is_active(&app, &first).await && is_active(&app, &access).await);
        // A refresh token that was used.
        let second = text(&app.refresh(&first).await.json(200), "refresh_token");
        assert!(!is_active(&app, &first).await && is_active(&app, &second).await);
        // A session that ended.
        let csrf = browser.get("/logout").await.hidden("csrf");
        browser.post("/logout", &[("csrf", &csrf)]).await.location();
        assert!(!is_active(&app, &second).await && !is_active(&app, &access).await);
        // What has expired.
        let tokens = app.tokens(&mut browser, "ann@example.com", &asked).await;
        let (refresh, access) = (text(&tokens, "refresh_token"), text(&tokens, "access_token"));
        server.state.platform.clock.advance(std::time::Duration::from_secs(601));
        assert!(is_active(&app, &refresh).await && !is_active(&app, &access).await);
        server.state.platform.clock.advance(std::time::Duration::from_secs(31 * 86_400));
        assert!(!is_active(&app, &refresh).await);
        // A client that was deleted: asked about by a resource server.
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &asked).await;
        let access = text(&tokens, "access_token");
        assert!(is_active(&own, &access).await);
        let id = shared::ids::ClientId(app.client_id.clone());
        assert!(auth_server::clients::delete(&server.state.platform, &id).await.unwrap());
        assert!(!is_active(&own, &access).await);
    })
    .await;
}

#[tokio::test]
async fn who_does_not_prove_to_be_a_client_is_told_nothing__rfc7662_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let public = server.app(|metadata| metadata.token_endpoint_auth_method = "none".into()).await;
        let before = server.rows().await;
        server.post("/oauth/introspect", &[("token", "x")]).await.is_error(401, "invalid_client");
        public.post("/oauth/introspect", &[("token", "x")]).await.is_error(401, "invalid_client");
        let wrong = [("authorization", "Basic YXBwOnNlY3JldA==")];
        let refused = server.post_with("/oauth/introspect", &wrong, &[("token", "x")]).await;
        assert!(refused.is_error(401, "invalid_client").header("www-authenticate").starts_with("Basic "));
        app.post("/oauth/introspect", &[]).await.is_error(400, "invalid_request");
        app.post("/oauth/introspect", &[("token", "x"), ("token", "y")]).await.is_error(400, "invalid_request");
        assert_eq!(server.get("/oauth/introspect?token=x").await.status, 405);
        assert_eq!(server.rows().await, before);
    })
    .await;
}
