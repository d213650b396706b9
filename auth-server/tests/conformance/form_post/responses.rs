//! §2, what the form carries: the code, and every error, whenever it happens.

use std::time::Duration;

use crate::harness::{Answer, each_server};

const MODE: (&str, &str) = ("response_mode", "form_post");

#[track_caller]
fn error(page: &Answer, code: &str) {
    assert_eq!(page.status, 200, "{page:?}");
    let (action, fields) = page.form();
    assert_eq!(action, "https://app.example/callback");
    assert_eq!((fields["error"].as_str(), fields["state"].as_str()), (code, "af0ifjsldkj"));
    assert!(fields.contains_key("iss") && fields.contains_key("error_description"), "{fields:?}");
    assert!(!fields.contains_key("code"), "{fields:?}");
}

#[tokio::test]
async fn the_code_comes_in_a_form_with_state_and_iss__form_post_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let page = server.browser().authorize(&app.authorization(&[MODE]), "ann@example.com").await;
        let (action, fields) = page.form();
        assert_eq!(action, app.redirect_uri);
        assert_eq!(fields["state"], "af0ifjsldkj");
        assert_eq!(fields["iss"], server.state.issuer());
        assert_eq!(fields.len(), 3, "{fields:?}");
        app.exchange(&fields["code"]).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn errors_come_in_a_form_as_well_and_change_nothing__form_post_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        let before = server.rows().await;
        for (wrong, code) in [
            (("scope", "nonsense"), "invalid_scope"),
            (("response_type", "token"), "unsupported_response_type"),
            (("code_challenge", ""), "invalid_request"),
            (("prompt", "none"), "login_required"),
            (("prompt", "none login"), "invalid_request"),
            (("registration", "{}"), "registration_not_supported"),
            (("resource", "https://elsewhere.example"), "invalid_target"),
        ] {
            error(&browser.get(&app.authorization(&[MODE, wrong])).await, code);
        }
        let posted = browser.post("/oauth/authorize", &app.parameters(&[MODE, ("scope", "nonsense")])).await;
        error(&posted, "invalid_scope");
        assert_eq!(server.rows().await, before);
        browser.sign_in("ann@example.com").await;
        let before = server.rows().await;
        error(&browser.get(&app.authorization(&[MODE, ("prompt", "none")])).await, "consent_required");
        assert_eq!(server.rows().await, before);
        // A redirect URI that is not the client's gets no form either.
        let elsewhere = app.authorization(&[MODE, ("redirect_uri", "https://evil.example/")]);
        browser.get(&elsewhere).await.is_error_page();
    })
    .await;
}

#[tokio::test]
async fn a_refusal_and_an_expired_request_lead_back_by_form__form_post_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let consent = browser.get(&app.authorization(&[MODE])).await.location().to_owned();
        let page = browser.get(&consent).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let decision = |what| [("csrf", csrf.as_str()), ("request", request.as_str()), ("decision", what)];
        error(&browser.post("/consent", &decision("deny")).await, "access_denied");
        let decided = browser.get(&consent).await;
        assert_eq!(decided.status, 410);
        let (action, fields) = decided.form();
        assert_eq!((action.as_str(), fields["error"].as_str()), (app.redirect_uri.as_str(), "access_denied"));

        let login = server.browser().get(&app.authorization(&[MODE])).await.location().to_owned();
        server.state.platform.clock.advance(Duration::from_secs(3601));
        let late = browser.get(&login).await;
        assert_eq!(late.status, 410);
        assert_eq!(late.form().1["error"], "access_denied");
    })
    .await;
}
