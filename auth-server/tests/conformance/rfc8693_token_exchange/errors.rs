//! §2.2.2, what is refused.

use super::{ACCESS_TOKEN, form, service};
use crate::harness::each_server;

#[tokio::test]
async fn each_mistake_has_its_error_and_changes_nothing__rfc8693_2_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, service) = (server.app(|_| {}).await, service(&server).await);
        let asked = [("scope", "openid email")];
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &asked).await;
        let token = tokens["access_token"].as_str().unwrap();
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let id_token = tokens["id_token"].as_str().unwrap();
        let own =
            service.token(&[("grant_type", "client_credentials"), ("scope", "referral-codes:read")]).await.json(200);
        let own = own["access_token"].as_str().unwrap();
        let mut tampered = token.to_owned();
        tampered.replace_range(
            token.len() - 6..token.len() - 5,
            if &token[token.len() - 6..token.len() - 5] == "A" { "B" } else { "A" },
        );
        let before = server.rows().await;
        let refresh_type = "urn:ietf:params:oauth:token-type:refresh_token";
        for (subject, more, code) in [
            ("", vec![], "invalid_request"),
            (token, vec![("subject_token_type", "")], "invalid_request"),
            (token, vec![("subject_token_type", refresh_type)], "invalid_request"),
            (refresh, vec![("subject_token_type", refresh_type)], "invalid_request"),
            (refresh, vec![], "invalid_request"),
            (id_token, vec![], "invalid_request"),
            ("nonsense", vec![], "invalid_request"),
            (&tampered, vec![], "invalid_request"),
            // A client's own token stands for nobody.
            (own, vec![], "invalid_request"),
            (token, vec![("actor_token_type", ACCESS_TOKEN)], "invalid_request"),
            (token, vec![("actor_token", own)], "invalid_request"),
            (token, vec![("actor_token", "nonsense"), ("actor_token_type", ACCESS_TOKEN)], "invalid_request"),
            (token, vec![("requested_token_type", refresh_type)], "invalid_request"),
            (token, vec![("scope", "openid referral-codes:read")], "invalid_scope"),
            (token, vec![("scope", "\u{e9}")], "invalid_scope"),
            (token, vec![("audience", "https://elsewhere.example")], "invalid_target"),
            (token, vec![("resource", "https://elsewhere.example")], "invalid_target"),
        ] {
            service.token(&form(subject, &more)).await.is_error(400, code);
        }
        assert_eq!(server.rows().await, before);
        app.token(&form(token, &[])).await.is_error(400, "unauthorized_client");
    })
    .await;
}

#[tokio::test]
async fn an_expired_token_and_a_deleted_persons_are_refused__rfc8693_2_2_2() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let (app, service) = (server.app(|_| {}).await, service(&server).await);
        let mut browser = server.browser();
        let token = |tokens: &serde_json::Value| tokens["access_token"].as_str().unwrap().to_owned();
        let first = token(&app.tokens(&mut browser, "ann@example.com", &[]).await);
        server.state.platform.clock.advance(std::time::Duration::from_secs(601));
        service.token(&form(&first, &[])).await.is_error(400, "invalid_request");
        let second = token(&app.tokens(&mut browser, "ann@example.com", &[]).await);
        let platform = &server.state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        auth_server::accounts::delete(&mut tx, platform, ann, "test").await.unwrap();
        tx.commit().await.unwrap();
        service.token(&form(&second, &[])).await.is_error(400, "invalid_request");
    })
    .await;
}

#[tokio::test]
async fn several_audiences_may_be_named_in_an_exchange_and_nowhere_else__rfc8693_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, service) = (server.app(|_| {}).await, service(&server).await);
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let token = tokens["access_token"].as_str().unwrap();
        let (issuer, api) = (server.state.issuer(), server.state.platform.config.api.public_url.as_str());
        let answer = service.token(&form(token, &[("audience", issuer), ("audience", api)])).await.json(200);
        let said = service.post("/oauth/introspect", &[("token", answer["access_token"].as_str().unwrap())]).await;
        assert_eq!(said.json(200)["aud"], serde_json::json!([issuer, api]));
        let twice = [("grant_type", "client_credentials"), ("audience", issuer), ("audience", api)];
        service.token(&twice).await.is_error(400, "invalid_request");
    })
    .await;
}

#[tokio::test]
async fn a_public_client_exchanges_nothing_whatever_its_row_says__rfc8693_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, service) = (server.app(|_| {}).await, service(&server).await);
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let token = tokens["access_token"].as_str().unwrap();
        service.token(&form(token, &[])).await.json(200);
        // It can't be registered, and would be let in by its id alone.
        let public = service.altered(|metadata| metadata.token_endpoint_auth_method = "none".into()).await;
        let before = server.rows().await;
        public.token(&form(token, &[])).await.is_error(400, "unauthorized_client");
        assert_eq!(server.rows().await, before);
    })
    .await;
}
