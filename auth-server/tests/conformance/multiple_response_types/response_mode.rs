//! §2.1, `response_mode`.

use crate::harness::each_server;

#[tokio::test]
async fn query_is_the_default_and_fragment_is_at_choice__multiple_response_types_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        for mode in ["", "query"] {
            let answer = browser.authorize(&app.authorization(&[("response_mode", mode)]), "ann@example.com").await;
            assert!(!answer.location().contains('#'), "{answer:?}");
            app.exchange(&answer.query()["code"]).await.json(200);
        }
        let asked = app.authorization(&[("response_mode", "fragment")]);
        let answer = browser.authorize(&asked, "ann@example.com").await;
        answer.is_not_cached();
        let fragment = answer.fragment();
        assert!(answer.location().starts_with(&format!("{}#", app.redirect_uri)), "{answer:?}");
        assert_eq!((&*fragment["state"], &*fragment["iss"]), ("af0ifjsldkj", server.state.issuer()));
        app.exchange(&fragment["code"]).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn errors_take_the_same_way_as_the_code__multiple_response_types_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        let asked = app.authorization(&[("response_mode", "fragment"), ("prompt", "none")]);
        let fragment = server.get(&asked).await.fragment();
        assert_eq!((&*fragment["error"], &*fragment["state"]), ("login_required", "af0ifjsldkj"));
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn refusals_and_what_is_wrong_with_an_object_or_a_reference_come_in_the_fragment__multiple_response_types_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let mode = ("response_mode", "fragment");
        let consent = browser.get(&app.authorization(&[mode])).await.location().to_owned();
        let page = browser.get(&consent).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let decision = [("csrf", csrf.as_str()), ("request", request.as_str()), ("decision", "deny")];
        let fragment = browser.post("/consent", &decision).await.fragment();
        assert_eq!((&*fragment["error"], &*fragment["state"]), ("access_denied", "af0ifjsldkj"));
        let decided = browser.get(&consent).await;
        assert_eq!(decided.status, 410);
        assert!(decided.body.contains("https://app.example/callback#error=access_denied"), "{decided:?}");
        let before = server.rows().await;
        for (wrong, code) in [
            (("request", "x.y.z"), "invalid_request_object"),
            (("request_uri", "https://app.example/request.jwt"), "request_uri_not_supported"),
        ] {
            let fragment = server.get(&app.authorization(&[mode, wrong])).await.fragment();
            assert_eq!((&*fragment["error"], &*fragment["state"]), (code, "af0ifjsldkj"));
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_response_mode_is_refused_in_the_default_way__multiple_response_types_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        for mode in ["web_message", "Query", "query fragment", "form_post.jwe"] {
            let asked = app.authorization(&[("response_mode", mode)]);
            let query = server.get(&asked).await.redirects_with_error("invalid_request");
            assert!(query["error_description"].contains("response_mode"), "{query:?}");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn discovery_lists_the_modes_that_work__oidc_discovery_3() {
    each_server(&[], |server| async move {
        let document = server.get("/.well-known/openid-configuration").await.json(200);
        let app = server.app(|_| {}).await;
        let modes = document["response_modes_supported"].as_array().expect("an array");
        assert_eq!(modes.len(), 7);
        for mode in modes {
            let asked = app.authorization(&[("response_mode", mode.as_str().unwrap()), ("prompt", "none")]);
            let answer = server.get(&asked).await;
            let told = format!("{} {}", answer.header("location"), answer.body);
            assert!(!told.contains("invalid_request"), "{answer:?}");
        }
    })
    .await;
}
