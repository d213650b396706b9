//! §2.1: what ends with a token.

use serde_json::Value;

use crate::harness::{App, Server, each_server};

/// Does userinfo accept this access token?
async fn works(server: &Server, tokens: &Value) -> bool {
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let answer = server.post_with("/oauth/userinfo", &[("authorization", &bearer)], &[]).await;
    answer.status == 200
}

async fn revoke(app: &App, token: &Value) {
    let answer = app.post("/oauth/revoke", &[("token", token.as_str().unwrap())]).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
}

#[tokio::test]
async fn a_refresh_token_ends_with_its_family_and_their_access_tokens__rfc7009_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let other = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let first = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let second = app.refresh(first["refresh_token"].as_str().unwrap()).await.json(200);
        assert!(works(&server, &first).await && works(&server, &second).await);
        // Even by a token of the family that was used already.
        revoke(&app, &first["refresh_token"]).await;
        for tokens in [&first, &second] {
            assert!(!works(&server, tokens).await);
            app.refresh(tokens["refresh_token"].as_str().unwrap()).await.is_error(400, "invalid_grant");
        }
        assert!(works(&server, &other).await, "another grant goes on");
        app.refresh(other["refresh_token"].as_str().unwrap()).await.json(200);
        let before = server.rows().await;
        revoke(&app, &first["refresh_token"]).await;
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn an_access_token_ends_alone__rfc7009_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let first = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let second = app.refresh(first["refresh_token"].as_str().unwrap()).await.json(200);
        revoke(&app, &second["access_token"]).await;
        assert!(!works(&server, &second).await);
        assert!(works(&server, &first).await);
        app.refresh(second["refresh_token"].as_str().unwrap()).await.json(200);
        let introspected = app.post("/oauth/introspect", &[("token", second["access_token"].as_str().unwrap())]).await;
        assert_eq!(introspected.json(200)["active"], false);
    })
    .await;
}

#[tokio::test]
async fn a_public_client_revokes_its_own_tokens_without_a_secret__rfc7009_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|m| m.token_endpoint_auth_method = "none".into()).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        revoke(&app, &tokens["refresh_token"]).await;
        app.refresh(tokens["refresh_token"].as_str().unwrap()).await.is_error(400, "invalid_grant");
        assert!(!works(&server, &tokens).await);
    })
    .await;
}
