//! Security Profile §5.3.2.1: codes, tokens and refresh.

use std::time::Duration;

use serde_json::json;

use super::FapiApp;
use crate::harness::each_server;
use crate::rfc8707_resource::claims;

#[tokio::test]
async fn a_code_lives_a_minute_whatever_is_configured__fapi2_sp_5_3_2_1() {
    each_server(&[("TOKENS__CODE_SECONDS", "600")], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        let plain = server.app(|_| {}).await;
        let code = fapi.code("ann@example.com").await;
        let plain_code = plain.code(&mut server.browser(), "ann@example.com", &[]).await;
        server.state.platform.clock.advance(Duration::from_secs(61));
        let before = server.rows().await;
        fapi.token(&fapi.app().exchange_form(&code)).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
        plain.exchange(&plain_code).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn tokens_are_bound_to_their_holder__fapi2_sp_5_3_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        let code = fapi.code("ann@example.com").await;
        let before = server.rows().await;
        fapi.post("/oauth/token", &[], &fapi.app().exchange_form(&code)).await.is_error(400, "invalid_dpop_proof");
        assert_eq!(server.rows().await, before);
        let tokens = fapi.token(&fapi.app().exchange_form(&code)).await.json(200);
        assert_eq!(tokens["token_type"], "DPoP");
        let jkt = fapi.dpop.public_key().thumbprint().to_owned();
        assert_eq!(claims(&tokens["access_token"])["cnf"], json!({"jkt": jkt}));
    })
    .await;
}

#[tokio::test]
async fn refresh_tokens_do_not_rotate__fapi2_sp_5_3_2_1() {
    each_server(&[("TOKENS__REFRESH_TOKEN_DAYS", "2")], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        let code = fapi.code("ann@example.com").await;
        let tokens = fapi.token(&fapi.app().exchange_form(&code)).await.json(200);
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        let before = server.rows().await;
        // Days apart, again and again: using it keeps it alive.
        for _ in 0..3 {
            server.state.platform.clock.advance(Duration::from_secs(86_400 + 3600));
            let refreshed = fapi.token(&form).await.json(200);
            assert!(refreshed.get("refresh_token").is_none_or(|same| same == refresh), "{refreshed}");
            assert!(refreshed["access_token"].is_string(), "{refreshed}");
        }
        let kept = server.rows().await;
        assert_eq!(
            kept.changed_since(&before),
            [("refresh_tokens", 1)].into(),
            "it expires later, and is the only one"
        );
        server.state.platform.clock.advance(Duration::from_secs(2 * 86_400 + 1));
        fapi.token(&form).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, kept);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_that_was_revoked_is_not_kept__rfc7009_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        let code = fapi.code("ann@example.com").await;
        let tokens = fapi.token(&fapi.app().exchange_form(&code)).await.json(200);
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let revoked = fapi.post("/oauth/revoke", &[], &[("token", refresh)]).await;
        assert_eq!(revoked.status.as_u16(), 200, "{revoked:?}");
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        let before = server.rows().await;
        fapi.token(&form).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
    })
    .await;
}
