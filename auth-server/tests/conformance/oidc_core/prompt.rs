//! §3.1.2.1, `prompt`; §3.1.2.6, what is answered when it can't be had.

use axum::http::Request;

use crate::harness::each_server;

#[tokio::test]
async fn with_prompt_none_nobody_is_asked_anything__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, own) = (server.app(|_| {}).await, server.own_app(|_| {}).await);
        let mut browser = server.browser();
        let before = server.rows().await;
        browser.get(&own.authorization(&[("prompt", "none")])).await.redirects_with_error("login_required");
        assert_eq!(server.rows().await, before);
        browser.sign_in("ann@example.com").await;
        let query = browser.get(&own.authorization(&[("prompt", "none")])).await.query();
        own.exchange(&query["code"]).await.json(200);
        let before = server.rows().await;
        browser.get(&app.authorization(&[("prompt", "none")])).await.redirects_with_error("consent_required");
        browser.get(&own.authorization(&[("prompt", "none login")])).await.redirects_with_error("invalid_request");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn the_page_speaks_the_language_of_ui_locales_before_the_browsers__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        for (language, asked, shown) in
            [("ru", "", "lang=\"ru\""), ("ru", "en", "lang=\"en\""), ("en", "xx ru", "lang=\"ru\"")]
        {
            let mut browser = server.browser();
            browser.language = language;
            let login = browser.get(&app.authorization(&[("ui_locales", asked)])).await;
            let page = browser.get(login.location()).await;
            assert!(page.body.contains(shown), "{language} {asked}: {page:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_clients_wish_for_a_language_leaves_the_persons_choice_alone__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let wrong = app.authorization(&[("redirect_uri", "https://evil.example/"), ("ui_locales", "ru")]);
        let paths = [wrong.as_str(), "/oauth/logout?ui_locales=ru", "/login?ui_locales=ru"];
        let keeps = |answer: &crate::harness::Answer| {
            let cookies = answer.headers.get_all("set-cookie").iter();
            !cookies.into_iter().any(|cookie| cookie.to_str().unwrap().contains("-lang="))
        };
        // Nobody chose: the wish counts, for this page.
        for path in paths {
            let answer = server.browser().get(path).await;
            assert!(answer.body.contains("lang=\"ru\"") && keeps(&answer), "{path}: {answer:?}");
        }
        let mut browser = server.browser();
        browser.get("/login?lang=en").await;
        browser.language = "ru";
        for path in paths {
            let answer = browser.get(path).await;
            assert!(answer.body.contains("<html lang=\"en\">") && keeps(&answer), "{path}: {answer:?}");
        }
        // Nor does a link of somebody else's to a page of ours choose for the person.
        for site in ["cross-site", "same-site"] {
            let elsewhere = Request::get("/login?lang=ru").header("sec-fetch-site", site);
            let answer = browser.send(elsewhere, "").await;
            assert!(answer.body.contains("<html lang=\"en\">") && keeps(&answer), "{site}: {answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn login_and_select_account_ask_who_is_there_however_recent_the_sign_in__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        server.person("bob@example.com").await;
        let app = server.own_app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        for prompt in ["login", "select_account", "login select_account", "login consent", "select_account consent"] {
            let url = app.authorization(&[("prompt", prompt)]);
            assert!(browser.get(&url).await.location().starts_with("/login?"), "{prompt}");
            // Whoever is chosen is who the code is for.
            let tokens = app.exchange(&browser.code(&url, "bob@example.com").await).await.json(200);
            let bob = server.jwt(tokens["id_token"].as_str().unwrap()).await.1["sub"].clone();
            let tokens = app.exchange(&browser.code(&url, "ann@example.com").await).await.json(200);
            assert_ne!(server.jwt(tokens["id_token"].as_str().unwrap()).await.1["sub"], bob, "{prompt}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_is_signed_in_is_chosen_with_one_click_and_signs_in_nowhere_again__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        let (ann, bob) = (server.person("ann@example.com").await, server.person("bob@example.com").await);
        let app = server.own_app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let login = browser.get(&app.authorization(&[("prompt", "select_account")])).await.location().to_owned();
        let choice = browser.get(&login).await.location().to_owned();
        assert!(choice.starts_with("/choose-account?request="), "{choice}");
        let page = browser.get(&choice).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        // Opening the way on by hand is no choice; nor is somebody else, who is not signed in.
        let onward = format!("/oauth/authorize/continue?request={request}");
        assert!(browser.get(&onward).await.location().starts_with("/login"));
        let choose = |who: String| [("csrf", csrf.clone()), ("request", request.clone()), ("account", who)];
        let form = choose(bob.to_string());
        let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let sent = browser.post("/choose-account", &form).await;
        assert_eq!(sent.location(), format!("/login?request={request}&account={bob}"));
        assert!(browser.get(&onward).await.location().starts_with("/login"));

        let form = choose(ann.to_string());
        let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(browser.post("/choose-account", &form).await.location(), onward);
        let query = browser.get(&onward).await.query();
        let tokens = app.exchange(&query["code"]).await.json(200);
        assert_eq!(server.jwt(tokens["id_token"].as_str().unwrap()).await.1["sub"], ann.to_string());

        // Where a sign-in is asked for besides, the choice is none.
        let both = app.authorization(&[("prompt", "login select_account")]);
        let login = browser.get(&both).await.location().to_owned();
        let choice = browser.get(&login).await.location().to_owned();
        let page = browser.get(&choice).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("account", &ann.to_string())];
        let onward = browser.post("/choose-account", &form).await.location().to_owned();
        let login = browser.get(&onward).await.location().to_owned();
        assert!(browser.get(&login).await.body.contains("type=\"password\""), "{login}");
    })
    .await;
}

#[tokio::test]
async fn consent_asks_also_who_consented_before_and_our_own_apps__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        for app in [server.app(|_| {}).await, server.own_app(|_| {}).await] {
            let mut browser = server.browser();
            app.tokens(&mut browser, "ann@example.com", &[]).await;
            assert!(browser.get(&app.authorization(&[])).await.query().contains_key("code"));
            let url = app.authorization(&[("prompt", "consent")]);
            assert!(browser.get(&url).await.location().starts_with("/consent?"));
            app.tokens(&mut browser, "ann@example.com", &[("prompt", "consent")]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_consent_that_anybody_could_pretend_to_have_must_be_confirmed__oidc_core_3_1_2_6() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let loopback = |client: &mut auth_server::clients::ClientMetadata| {
            client.redirect_uris = vec!["http://127.0.0.1/callback".into()];
            client.token_endpoint_auth_method = "none".into();
        };
        let (app, own) = (server.app(loopback).await, server.own_app(loopback).await);
        let silent = [("prompt", "none")];
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let before = server.rows().await;
        browser.get(&app.authorization(&silent)).await.redirects_with_error("consent_required");
        // One of our own needs no consent, and may be somebody else's program all the same (RFC 8252 §8.6).
        browser.get(&own.authorization(&silent)).await.redirects_with_error("interaction_required");
        assert_eq!(server.rows().await, before);
        for app in [app, own] {
            app.tokens(&mut browser, "ann@example.com", &[]).await;
            let before = server.rows().await;
            browser.get(&app.authorization(&silent)).await.redirects_with_error("interaction_required");
            assert_eq!(server.rows().await, before);
            assert!(browser.get(&app.authorization(&[])).await.location().starts_with("/consent?"));
        }
    })
    .await;
}
