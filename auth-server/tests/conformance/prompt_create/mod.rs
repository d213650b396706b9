//! Initiating User Registration via OpenID Connect 1.0: `prompt=create`.

use crate::harness::{Answer, App, Browser, PASSWORD, Server, each_server};

/// The sign-up page, in a browser in which Ann is signed in.
async fn opened(server: &Server, app: &App) -> (Browser, Answer) {
    let mut browser = server.browser();
    browser.sign_in("ann@example.com").await;
    let answer = browser.get(&app.authorization(&[("prompt", "create")])).await;
    assert!(answer.location().starts_with("/signup?request="), "{answer:?}");
    let page = browser.get(answer.location()).await;
    (browser, page)
}

async fn sub(server: &Server, app: &App, answer: &Answer) -> String {
    let tokens = app.exchange(&answer.query()["code"]).await.json(200);
    server.jwt(tokens["id_token"].as_str().unwrap()).await.1["sub"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn create_leads_to_the_sign_up_page__prompt_create_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let answer = browser.get(&app.authorization(&[("prompt", "create")])).await;
        assert!(answer.location().starts_with("/signup?request="), "{answer:?}");
        for wrong in ["none create", "none consent", "none select_account", "login none", "CREATE", "none,login"] {
            let answer = browser.get(&app.authorization(&[("prompt", wrong)])).await;
            answer.redirects_with_error("invalid_request");
        }
    })
    .await;
}

#[tokio::test]
async fn the_code_is_for_the_account_that_was_made__prompt_create_4() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await.to_string();
        let app = server.app(|_| {}).await;
        let (mut browser, page) = opened(&server, &app).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("email", "new@example.com"), ("password", PASSWORD)];
        let answer = browser.post("/signup", &form).await;
        assert_eq!(answer.location(), format!("/oauth/authorize/continue?request={request}"));
        // Not the sign-up page once more: what was asked for is done.
        let answer = browser.follow(answer, "nobody@example.com").await;
        assert_eq!(answer.query()["state"], "af0ifjsldkj");
        let made = sub(&server, &app, &answer).await;
        assert_ne!(made, ann);
        assert_eq!(server.rows().await.count("users"), 2);
    })
    .await;
}

#[tokio::test]
async fn whoever_has_an_account_already_signs_in_from_there__prompt_create_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let bob = server.person("bob@example.com").await.to_string();
        let app = server.app(|_| {}).await;
        let (mut browser, page) = opened(&server, &app).await;
        let login = format!("/login?request={}", page.hidden("request"));
        assert!(page.body.contains(&format!("href=\"{login}\"")), "{page:?}");
        let answer = browser.authorize(&login, "bob@example.com").await;
        let page = answer;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("email", "bob@example.com"), ("password", PASSWORD)];
        let answer = browser.post("/login", &form).await;
        let answer = browser.follow(answer, "bob@example.com").await;
        assert_eq!(sub(&server, &app, &answer).await, bob);
    })
    .await;
}

#[tokio::test]
async fn where_addresses_are_confirmed_first_there_is_no_code_before_that__prompt_create_4() {
    each_server(&[("ACCOUNTS__EMAIL_VERIFICATION", "required")], |server| async move {
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        let answer = browser.get(&app.authorization(&[("prompt", "create")])).await;
        let page = browser.get(answer.location()).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("email", "new@example.com"), ("password", PASSWORD)];
        let answer = browser.post("/signup", &form).await;
        assert!(answer.status == 200 && answer.body.contains("new@example.com"), "{answer:?}");
        let answer = browser.get(&format!("/oauth/authorize/continue?request={request}")).await;
        assert_eq!(answer.location(), format!("/signup?request={request}"), "it goes on waiting");
        let rows = server.rows().await;
        assert_eq!((rows.count("users"), rows.count("grants")), (0, 0), "{rows:?}");
    })
    .await;
}
