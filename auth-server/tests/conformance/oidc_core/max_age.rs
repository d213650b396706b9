//! §3.1.2.1, `max_age`; §2, `auth_time`.

use std::time::Duration;

use crate::harness::{Server, each_server};

async fn auth_time(server: &Server, tokens: &serde_json::Value) -> i64 {
    server.jwt(tokens["id_token"].as_str().unwrap()).await.1["auth_time"].as_i64().expect("auth_time")
}

#[tokio::test]
async fn a_sign_in_that_is_too_old_is_asked_for_again__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|_| {}).await;
        let clock = &server.state.platform.clock;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        clock.advance(Duration::from_secs(50));
        let young = app.authorization(&[("max_age", "100")]);
        let tokens = app.exchange(&browser.get(&young).await.query()["code"]).await.json(200);
        let first = auth_time(&server, &tokens).await;
        assert!(first <= clock.timestamp() - 50);

        clock.advance(Duration::from_secs(60));
        let before = server.rows().await;
        let silent = app.authorization(&[("max_age", "100"), ("prompt", "none")]);
        browser.get(&silent).await.redirects_with_error("login_required");
        assert_eq!(server.rows().await, before);
        assert!(browser.get(&young).await.location().starts_with("/login?"));
        let code = browser.code(&young, "ann@example.com").await;
        assert!(auth_time(&server, &app.exchange(&code).await.json(200)).await >= first + 110);
        // Nobody is this old.
        let endless = app.authorization(&[("max_age", "18446744073709551615"), ("prompt", "none")]);
        assert!(browser.get(&endless).await.query().contains_key("code"));
    })
    .await;
}

#[tokio::test]
async fn max_age_0_always_asks__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let url = app.authorization(&[("max_age", "0")]);
        assert!(browser.get(&url).await.location().starts_with("/login?"));
        let silent = app.authorization(&[("max_age", "0"), ("prompt", "none")]);
        browser.get(&silent).await.redirects_with_error("login_required");
        let code = browser.code(&url, "ann@example.com").await;
        app.exchange(&code).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn the_client_may_register_a_default__oidc_registration_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|m| m.default_max_age = Some(60)).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        server.state.platform.clock.advance(Duration::from_secs(61));
        let silent = app.authorization(&[("prompt", "none")]);
        browser.get(&silent).await.redirects_with_error("login_required");
        // What the request says comes first.
        let patient = app.authorization(&[("prompt", "none"), ("max_age", "3600")]);
        assert!(browser.get(&patient).await.query().contains_key("code"));
    })
    .await;
}
