//! §2, §3, §5: the parameter at the authorization endpoint, pushed and in a request object; what the person is shown.

use serde_json::{Value, json};

use super::{DETAILS, rich_app};
use crate::harness::each_server;
use crate::rfc8707_resource::{claims, resources};
use crate::rfc9101_jar::SigningApp;
use crate::rfc9126_par::{push, pushed, referring};

#[tokio::test]
async fn what_is_not_understood_whole_is_refused__rfc9396_5() {
    each_server(&[], |server| async move {
        let app = rich_app(&server).await;
        let before = server.rows().await;
        let many = format!("[{}]", [r#"{"type":"referral_code","actions":["read"]}"#; 11].join(","));
        let long = format!("[{}{{\"type\":\"referral_code\",\"actions\":[\"read\"]}}]", " ".repeat(4096));
        for wrong in [
            "x",
            "{}",
            "[]",
            "[{}]",
            r#"[{"type":"payment_initiation","actions":["read"]}]"#,
            r#"[{"type":"referral_code"}]"#,
            r#"[{"type":"referral_code","actions":[]}]"#,
            r#"[{"type":"referral_code","actions":["fly"]}]"#,
            r#"[{"type":"referral_code","actions":["read"],"unknown":1}]"#,
            r#"[{"type":"referral_code","actions":["read"],"code":"???"}]"#,
            r#"[{"type":"referral_code","actions":["read"],"max_uses":5}]"#,
            r#"[{"type":"referral_code","actions":["create"],"max_uses":0}]"#,
            r#"[{"type":"referral_code","actions":["create"],"max_uses":"5"}]"#,
            r#"[{"type":"referral_code","actions":["read"],"locations":["https://elsewhere.example"]}]"#,
            r#"[{"type":"referral_code","actions":["read"],"actions":["create"]}]"#,
            r#"[{"type":"referral_code","actions":[[[[[[[["read"]]]]]]]]}]"#,
            r#"[{"type":"referral_code","actions":["read"]},{"type":"x"}]"#,
            &many,
            &long,
        ] {
            let told = server.get(&app.authorization(&[("authorization_details", wrong)])).await;
            assert_eq!(told.redirects_with_error("invalid_authorization_details")["state"], "af0ifjsldkj", "{wrong}");
            push(&app, &[("authorization_details", wrong)]).await.is_error(400, "invalid_authorization_details");
        }
        assert_eq!(server.rows().await, before);
        // A client that has not registered the type.
        let other = server.app(|_| {}).await;
        let before_other = server.rows().await;
        server
            .get(&other.authorization(&[("authorization_details", DETAILS)]))
            .await
            .redirects_with_error("invalid_authorization_details");
        assert_eq!(server.rows().await, before_other);
    })
    .await;
}

#[tokio::test]
async fn the_person_is_shown_what_is_asked_for_each_time__rfc9396_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = rich_app(&server).await;
        let only = r#"[{"type":"referral_code","actions":["delete"],"code":"SPRING"}]"#;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        for _ in 0..2 {
            let consent = browser.get(&app.authorization(&[("authorization_details", DETAILS)])).await;
            let page = browser.get(consent.location()).await;
            assert!(page.body.contains("Create referral codes for you"), "{page:?}");
            assert!(page.body.contains("10") && page.body.contains("See your referral codes"), "{page:?}");
            assert!(!page.body.contains("Delete your referral codes"), "{page:?}");
            app.code(&mut browser, "ann@example.com", &[("authorization_details", DETAILS)]).await;
        }
        let consent = browser.get(&app.authorization(&[("authorization_details", only)])).await;
        let page = browser.get(consent.location()).await;
        assert!(page.body.contains("Delete your referral codes") && page.body.contains("SPRING"), "{page:?}");
        let silent = [("authorization_details", DETAILS), ("prompt", "none")];
        browser.get(&app.authorization(&silent)).await.redirects_with_error("consent_required");
    })
    .await;
}

#[tokio::test]
async fn details_come_pushed_and_signed_as_well__rfc9396_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let expected: Value = serde_json::from_str(DETAILS).unwrap();
        let app = rich_app(&server).await;
        let uri = pushed(&app, &[("authorization_details", DETAILS)]).await;
        let code = server.browser().code(&referring(&app.client_id, &uri, &[]), "ann@example.com").await;
        assert_eq!(app.exchange(&code).await.json(200)["authorization_details"], expected);

        let types = vec!["referral_code".into()];
        let signing = SigningApp::new(&server, |client| client.authorization_details_types = types).await;
        let object = signing.object(json!({"authorization_details": expected}));
        let code = server.browser().code(&signing.carrying(&object, &[]), "ann@example.com").await;
        assert_eq!(signing.app.exchange(&code).await.json(200)["authorization_details"], expected);
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_details_alone_gets_these_alone__rfc9396_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = rich_app(&server).await;
        let more = [("authorization_details", DETAILS), ("scope", "")];
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &more).await;
        assert_eq!(tokens["scope"], "");
        let claims = claims(&tokens["access_token"]);
        assert_eq!(claims["scope"], "");
        assert_eq!(claims["aud"], json!(resources(&server).1));
        let refreshed = app.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
        assert_eq!(refreshed["authorization_details"], tokens["authorization_details"]);
    })
    .await;
}

#[tokio::test]
async fn discovery_names_the_types_and_clients_register_them__rfc9396_10() {
    each_server(&[], |server| async move {
        let document = server.get("/.well-known/oauth-authorization-server").await.json(200);
        assert_eq!(document["authorization_details_types_supported"], json!(["referral_code"]));
    })
    .await;
}
