//! §2.1 and §2.2: who may ask, for what, and what is answered.

use crate::harness::each_server;

#[tokio::test]
async fn a_client_proves_who_it_is_first__rfc7009_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let token = tokens["refresh_token"].as_str().unwrap();
        let before = server.rows().await;
        let none = server.post("/oauth/revoke", &[("token", token)]).await;
        none.is_error(401, "invalid_client");
        server
            .post("/oauth/revoke", &[("token", token), ("client_id", &app.client_id)])
            .await
            .is_error(401, "invalid_client");
        let wrong = [("token", token), ("client_id", &app.client_id), ("client_secret", "wrong")];
        server.post("/oauth/revoke", &wrong).await.is_error(401, "invalid_client");
        let basic = server.post_with("/oauth/revoke", &[("authorization", "Basic YTpi")], &[("token", token)]).await;
        basic.is_error(401, "invalid_client");
        assert!(basic.header("www-authenticate").starts_with("Basic "));
        app.post("/oauth/revoke", &[]).await.is_error(400, "invalid_request");
        app.post("/oauth/revoke", &[("token", "")]).await.is_error(400, "invalid_request");
        app.post("/oauth/revoke", &[("token", token), ("token", token)]).await.is_error(400, "invalid_request");
        assert_eq!(server.get(&format!("/oauth/revoke?token={token}")).await.status, 405);
        assert_eq!(server.rows().await, before);
        app.refresh(token).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_unknown_or_another_clients_is_answered_like_one_revoked__rfc7009_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, other) = (server.app(|_| {}).await, server.app(|_| {}).await);
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let [access, refresh, id] = ["access_token", "refresh_token", "id_token"].map(|t| tokens[t].as_str().unwrap());
        let before = server.rows().await;
        for (client, token) in
            [(&app, "unknown"), (&app, "a.b.c"), (&app, id), (&other, access), (&other, refresh), (&app, "\u{1F511}")]
        {
            let answer = client.post("/oauth/revoke", &[("token", token)]).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""), "{token}");
            answer.is_not_cached();
        }
        assert_eq!(server.rows().await, before);
        app.refresh(refresh).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_hint_only_hints__rfc7009_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        for hint in ["refresh_token", "access_token", "some_token", ""] {
            let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
            let refresh = tokens["refresh_token"].as_str().unwrap();
            let answer = app.post("/oauth/revoke", &[("token", refresh), ("token_type_hint", hint)]).await;
            assert_eq!(answer.status, 200);
            app.refresh(refresh).await.is_error(400, "invalid_grant");
        }
    })
    .await;
}

#[tokio::test]
async fn discovery_names_the_endpoint__rfc8414_2() {
    each_server(&[], |server| async move {
        let metadata = server.get("/.well-known/oauth-authorization-server").await.json(200);
        assert_eq!(metadata["revocation_endpoint"], format!("{}/oauth/revoke", server.state.issuer()));
    })
    .await;
}
