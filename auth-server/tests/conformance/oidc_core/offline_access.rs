//! §11, `offline_access`: what it takes to be given access while the person is away.

use crate::harness::{PASSWORD, each_server};

const ANN: &str = "ann@example.com";
const OFFLINE: (&str, &str) = ("scope", "openid offline_access");
const IN_WORDS: &str = "Keep this access while you are away";

#[tokio::test]
async fn offline_access_is_ignored_where_there_is_no_refresh_token__oidc_core_11() {
    each_server(&[], |server| async move {
        server.person(ANN).await;
        let app = server.app(|client| client.grant_types = vec!["authorization_code".into()]).await;
        let mut browser = server.browser();
        browser.sign_in(ANN).await;
        let consent = browser.get(&app.authorization(&[OFFLINE])).await;
        let page = browser.get(consent.location()).await;
        assert!(page.body.contains("name=\"decision\"") && !page.body.contains(IN_WORDS), "{page:?}");
        let tokens = app.tokens(&mut browser, ANN, &[OFFLINE]).await;
        assert_eq!(tokens["scope"], "openid");
        assert!(tokens.get("refresh_token").is_none(), "{tokens}");
        // Nothing is left of a request for it alone.
        let before = server.rows().await;
        let alone = browser.get(&app.authorization(&[("scope", "offline_access")])).await;
        alone.redirects_with_error("invalid_scope");
        assert_eq!(server.rows().await, before);
        // Nor where no browser takes part.
        let own = server.own_app(|client| client.grant_types = vec!["password".into()]).await;
        let form = [("grant_type", "password"), ("username", ANN), ("password", PASSWORD), OFFLINE];
        assert_eq!(own.token(&form).await.json(200)["scope"], "openid");
    })
    .await;
}

#[tokio::test]
async fn it_is_asked_for_in_words_and_remembered__oidc_core_11() {
    each_server(&[], |server| async move {
        server.person(ANN).await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        app.tokens(&mut browser, ANN, &[]).await;
        // Consent to signing in is none to this.
        let answer = browser.get(&app.authorization(&[OFFLINE])).await;
        let page = browser.get(answer.location()).await;
        assert!(page.body.contains(IN_WORDS), "{page:?}");
        let tokens = app.tokens(&mut browser, ANN, &[OFFLINE]).await;
        assert_eq!(tokens["scope"], "openid offline_access");
        // What was allowed in these very words is the other condition of §11, besides prompt=consent.
        assert!(browser.get(&app.authorization(&[OFFLINE])).await.query().contains_key("code"));
    })
    .await;
}

#[tokio::test]
async fn our_own_apps_ask_for_it_too__oidc_core_11() {
    each_server(&[], |server| async move {
        server.person(ANN).await;
        let own = server.own_app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in(ANN).await;
        // For nothing else.
        let other = own.authorization(&[("scope", "openid email")]);
        assert!(browser.get(&other).await.query().contains_key("code"));
        let answer = browser.get(&own.authorization(&[OFFLINE])).await;
        assert!(answer.location().starts_with("/consent?"), "{answer:?}");
        assert!(browser.get(answer.location()).await.body.contains(IN_WORDS));
        let tokens = own.tokens(&mut browser, ANN, &[OFFLINE]).await;
        assert!(tokens["refresh_token"].is_string(), "{tokens}");
        assert!(browser.get(&own.authorization(&[OFFLINE])).await.query().contains_key("code"));
    })
    .await;
}

#[tokio::test]
async fn silent_without_consent_is_consent_required__oidc_core_11() {
    each_server(&[], |server| async move {
        server.person(ANN).await;
        let silent = [OFFLINE, ("prompt", "none")];
        for app in [server.app(|_| {}).await, server.own_app(|_| {}).await] {
            let mut browser = server.browser();
            app.tokens(&mut browser, ANN, &[]).await;
            let before = server.rows().await;
            browser.get(&app.authorization(&silent)).await.redirects_with_error("consent_required");
            assert_eq!(server.rows().await, before);
            app.tokens(&mut browser, ANN, &[OFFLINE]).await;
            let code = browser.get(&app.authorization(&silent)).await.query()["code"].clone();
            assert!(app.exchange(&code).await.json(200)["refresh_token"].is_string());
        }
    })
    .await;
}
