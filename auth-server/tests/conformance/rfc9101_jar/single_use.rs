//! An object with a `jti` serves once (RFC 7519 §4.1.7): a signature that somebody saw is no request of theirs.

use futures::future::join_all;
use serde_json::json;

use super::SigningApp;
use crate::harness::each_server;

const ANN: &str = "ann@example.com";

#[tokio::test]
async fn an_object_is_pushed_once__rfc7519_4_1_7() {
    each_server(&[], |server| async move {
        let (signing, other) = (SigningApp::new(&server, |_| {}).await, SigningApp::new(&server, |_| {}).await);
        let object = signing.object(json!({"jti": "one"}));
        signing.push(&object).await.json(201);
        let before = server.rows().await;
        for again in [&object, &signing.object(json!({"jti": "one", "state": "another"}))] {
            signing.push(again).await.is_error(400, "invalid_request_object");
        }
        assert_eq!(server.rows().await, before);
        // What was refused for another reason was not used, ids are each client's own, and who writes none repeats it.
        let wrong = signing.object(json!({"jti": "two", "scope": "nonsense"}));
        signing.push(&wrong).await.is_error(400, "invalid_scope");
        signing.push(&signing.object(json!({"jti": "two"}))).await.json(201);
        other.push(&other.object(json!({"jti": "one"}))).await.json(201);
        let without = signing.object(json!({}));
        for _ in 0..2 {
            signing.push(&without).await.json(201);
        }
    })
    .await;
}

#[tokio::test]
async fn of_many_who_push_one_object_one_is_served__rfc7519_4_1_7() {
    each_server(&[], |server| async move {
        let signing = SigningApp::new(&server, |_| {}).await;
        let object = signing.object(json!({"jti": "one", "exp": null}));
        let answers = join_all((0..8).map(|_| signing.push(&object))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    })
    .await;
}

#[tokio::test]
async fn one_object_gives_one_code_and_may_be_loaded_again_until_then__rfc7519_4_1_7() {
    each_server(&[], |server| async move {
        server.person(ANN).await;
        let signing = SigningApp::new(&server, |_| {}).await;
        let object = signing.object(json!({"jti": "one"}));
        let url = signing.carrying(&object, &[]);
        let mut browser = server.browser();
        for _ in 0..2 {
            assert!(browser.get(&url).await.location().starts_with("/login?"));
        }
        browser.sign_in(ANN).await;
        let consent = browser.get(&url).await.location().to_owned();
        assert!(consent.starts_with("/consent?"), "{consent}");
        let answer = browser.authorize(&url, ANN).await;
        signing.app.exchange(&answer.query()["code"]).await.json(200);

        // By itself, now that consent is given; on the page that was open all along; by whoever found the URL; pushed. The
        // request that waited behind the page is used up by its answer.
        let waiting = ["authorization_requests"];
        let before = server.rows().await.without(&waiting);
        let told = browser.get(&url).await.redirects_with_error("invalid_request_object");
        assert_eq!(told["state"], "af0ifjsldkj");
        let page = browser.get(&consent).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let decision = [("csrf", csrf.as_str()), ("request", request.as_str()), ("decision", "allow")];
        browser.post("/consent", &decision).await.redirects_with_error("invalid_request_object");
        // The page has been answered with that.
        assert_eq!(browser.get(&consent).await.status, 410);
        signing.push(&object).await.is_error(400, "invalid_request_object");
        assert_eq!(server.rows().await.without(&waiting), before);
        let other = server.browser().authorize(&url, ANN).await;
        other.redirects_with_error("invalid_request_object");
    })
    .await;
}

#[tokio::test]
async fn of_many_tabs_with_one_object_one_gets_a_code__rfc7519_4_1_7() {
    each_server(&[], |server| async move {
        server.person(ANN).await;
        let signing = SigningApp::new(&server, |_| {}).await;
        signing.app.tokens(&mut server.browser(), ANN, &[]).await;
        let object = signing.object(json!({"jti": "one"}));
        let url = signing.carrying(&object, &[]);
        let mut browsers = vec![];
        for _ in 0..6 {
            let mut browser = server.browser();
            browser.sign_in(ANN).await;
            browsers.push(browser);
        }
        let answers = join_all(browsers.iter_mut().map(|browser| browser.get(&url))).await;
        let codes = answers.iter().filter(|answer| answer.query().contains_key("code"));
        assert_eq!(codes.count(), 1, "{answers:?}");
    })
    .await;
}

#[tokio::test]
async fn a_jti_is_a_text_of_a_bearable_length__rfc7519_4_1_7() {
    each_server(&[], |server| async move {
        let signing = SigningApp::new(&server, |_| {}).await;
        for wrong in [json!(7), json!(""), json!(["one"]), json!("x".repeat(257))] {
            signing.refuses(&signing.object(json!({"jti": wrong}))).await;
        }
        signing.push(&signing.object(json!({"jti": "x".repeat(256)}))).await.json(201);
    })
    .await;
}
