//! §5.3, the userinfo endpoint.

use axum::http::Request;
use serde_json::{Value, json};

use crate::harness::{Answer, Server, each_server};

fn bearer(tokens: &Value) -> String {
    format!("Bearer {}", tokens["access_token"].as_str().expect("an access token"))
}

async fn get(server: &Server, tokens: &Value) -> Answer {
    server.send(Request::get("/oauth/userinfo").header("authorization", bearer(tokens)), "").await
}

#[tokio::test]
async fn it_answers_to_get_and_post_with_the_token_in_header_or_form__oidc_core_5_3_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("scope", "openid email")]).await;
        let (_, id_token) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
        let expected = json!({"sub": id_token["sub"], "email": "ann@example.com", "email_verified": false});
        let authorization = bearer(&tokens);
        let header = [("authorization", authorization.as_str())];
        let token = [("access_token", tokens["access_token"].as_str().unwrap())];
        for answer in [
            get(&server, &tokens).await,
            server.post_with("/oauth/userinfo", &header, &[]).await,
            server.send(Request::post("/oauth/userinfo").header("authorization", &authorization), "").await,
            server.post("/oauth/userinfo", &token).await,
        ] {
            assert_eq!(answer.json(200), expected);
            assert!(answer.header("content-type").starts_with("application/json"));
            answer.is_not_cached();
        }
        // Both at once, or twice, is neither (RFC 6750 §2).
        for answer in [
            server.post_with("/oauth/userinfo", &header, &token).await,
            server.post("/oauth/userinfo", &[token[0], token[0]]).await,
        ] {
            assert_eq!(answer.status, 400);
            assert!(answer.header("www-authenticate").contains("error=\"invalid_request\""), "{answer:?}");
        }
        // In the query it is not looked for (RFC 6750 §2.3 is not ours).
        let answer = server.get(&format!("/oauth/userinfo?access_token={}", token[0].1)).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate").contains("error")), (401, false));
    })
    .await;
}

#[tokio::test]
async fn a_token_that_does_not_serve_is_refused__oidc_core_5_3_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let plain = app.tokens(&mut server.browser(), "ann@example.com", &[("scope", "email")]).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let machine = server.app(|m| m.grant_types = vec!["client_credentials".into()]).await;
        let own = machine.token(&[("grant_type", "client_credentials"), ("scope", "openid")]).await.json(200);
        let before = server.rows().await;
        let answer = get(&server, &plain).await;
        assert_eq!(answer.status, 403);
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"openid\""),
            "{challenge}"
        );

        for wrong in ["nonsense", "a.b.c"] {
            let answer = get(&server, &json!({"access_token": wrong})).await;
            assert_eq!(answer.status, 401);
            assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{answer:?}");
        }
        // An ID token opens nothing.
        let answer = get(&server, &json!({"access_token": tokens["id_token"]})).await;
        assert_eq!(answer.status, 401);

        let answer = get(&server, &own).await;
        assert_eq!(answer.status, 403);
        assert!(!answer.body.contains("sub"), "{answer:?}");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn of_somebody_who_is_no_more_nothing_is_told__oidc_core_5_3_3() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        delete(&server, ann).await;
        let answer = get(&server, &tokens).await;
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{answer:?}");
    })
    .await;
}

/// Deletes an account; the token itself is not known to be revoked yet.
pub async fn delete(server: &Server, user: shared::ids::UserId) {
    let platform = &server.state.platform;
    let mut tx = platform.db.begin().await.expect("a transaction");
    auth_server::accounts::delete(&mut tx, platform, user, "own wish").await.expect("the account is deleted");
    tx.commit().await.expect("it commits");
}

#[tokio::test]
async fn a_client_may_have_it_signed__oidc_core_5_3_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        for alg in ["RS256", "ES256", "PS256", "EdDSA"] {
            let app = server.app(|m| m.userinfo_signed_response_alg = Some(alg.into())).await;
            let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("scope", "openid email")]).await;
            let (_, id_token) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
            let answer = get(&server, &tokens).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/jwt"));
            answer.is_not_cached();
            let (header, claims) = server.jwt(&answer.body).await;
            assert_eq!(header["alg"], alg);
            let expected = json!({
                "iss": server.state.issuer(), "aud": app.client_id, "sub": id_token["sub"],
                "email": "ann@example.com", "email_verified": false,
            });
            assert_eq!(claims, expected);
            // It is no ID token, and does not pass for one.
            let hint = app.authorization(&[("id_token_hint", &answer.body)]);
            server.get(&hint).await.redirects_with_error("invalid_request");
        }
    })
    .await;
}
