//! §2.2: `resource` at the token endpoint.

use serde_json::json;

use super::{claims, resources};
use crate::harness::each_server;

#[tokio::test]
async fn code_and_refresh_may_name_fewer_resources__rfc8707_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let (issuer, api) = resources(&server);
        let mut browser = server.browser();
        let code = app.code(&mut browser, "ann@example.com", &[("scope", "openid referral-codes:read")]).await;
        let mut form = app.exchange_form(&code);
        form.push(("resource", &api));
        let tokens = app.token(&form).await.json(200);
        assert_eq!(claims(&tokens["access_token"])["aud"], json!(api));
        // The grant keeps all of them: the next token is for the other one.
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("resource", issuer.as_str())];
        let tokens = app.token(&form).await.json(200);
        assert_eq!(claims(&tokens["access_token"])["aud"], json!(issuer));
    })
    .await;
}

#[tokio::test]
async fn more_than_was_granted_is_an_invalid_target_and_burns_nothing__rfc8707_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let (issuer, api) = resources(&server);
        let more = [("scope", "openid referral-codes:read"), ("resource", api.as_str())];
        let code = app.code(&mut server.browser(), "ann@example.com", &more).await;
        let before = server.rows().await;
        for wrong in [issuer.as_str(), "https://elsewhere.example", "x"] {
            let mut form = app.exchange_form(&code);
            form.push(("resource", wrong));
            app.token(&form).await.is_error(400, "invalid_target");
        }
        assert_eq!(server.rows().await, before);
        let tokens = app.exchange(&code).await.json(200);
        assert_eq!(claims(&tokens["access_token"])["aud"], json!(api));

        let refresh = tokens["refresh_token"].as_str().unwrap();
        let before = server.rows().await;
        for wrong in [issuer.as_str(), "https://elsewhere.example"] {
            let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("resource", wrong)];
            app.token(&form).await.is_error(400, "invalid_target");
        }
        assert_eq!(server.rows().await, before);
        assert_eq!(claims(&app.refresh(refresh).await.json(200)["access_token"])["aud"], json!(api));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_acts_for_itself_names_resources_too__rfc8707_2() {
    each_server(&[], |server| async move {
        let app = server
            .app(|client| {
                client.grant_types = vec!["client_credentials".into()];
                client.scopes = vec!["referral-codes:read".into()];
            })
            .await;
        let (issuer, api) = resources(&server);
        let grant = ("grant_type", "client_credentials");
        for (named, expected) in [(vec![], json!(api)), (vec![("resource", issuer.as_str())], json!(issuer))] {
            let tokens = app.token(&[vec![grant], named].concat()).await.json(200);
            assert_eq!(claims(&tokens["access_token"])["aud"], expected);
        }
        let both = [grant, ("resource", &api), ("resource", &issuer)];
        let tokens = app.token(&both).await.json(200);
        assert_eq!(claims(&tokens["access_token"])["aud"].as_array().unwrap().len(), 2);
        let before = server.rows().await;
        for wrong in ["https://elsewhere.example", "x", &format!("{api}#x")] {
            app.token(&[grant, ("resource", wrong)]).await.is_error(400, "invalid_target");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}
