//! §3.1.2.1, the authentication request: what it may say, and how it may be sent.

use crate::harness::each_server;

#[tokio::test]
async fn a_request_may_be_posted__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        let answer = browser.post("/oauth/authorize", &app.parameters(&[("nonce", "n-0S6")])).await;
        assert!(answer.location().starts_with("/oauth/authorize/continue?request="), "{answer:?}");
        answer.is_not_cached();
        let answer = browser.follow(answer, "ann@example.com").await;
        let tokens = app.exchange(&answer.query()["code"]).await.json(200);
        assert_eq!(server.jwt(tokens["id_token"].as_str().unwrap()).await.1["nonce"], "n-0S6");
    })
    .await;
}

#[tokio::test]
async fn without_openid_it_is_plain_oauth__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let asked = [("scope", "email"), ("nonce", "n")];
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &asked).await;
        assert!(tokens.get("id_token").is_none(), "{tokens}");
        assert_eq!(tokens["scope"], "email");
    })
    .await;
}

#[tokio::test]
async fn unknown_parameters_are_ignored_and_doubled_ones_refused__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        app.tokens(&mut server.browser(), "ann@example.com", &[("extra", "foobar"), ("claims_locales", "se")]).await;
        let before = server.rows().await;
        let doubled = |name: &str| format!("{}&{name}=a&{name}=b", app.authorization(&[(name, "")]));
        // Which of the two is meant, nobody knows; where to answer is known all the same (RFC 6749 §4.1.2.1).
        for name in ["scope", "nonce", "unheard_of", "claims", "audience", "code_challenge", "state", "response_mode"] {
            let mut forms = app.parameters(&[(name, "")]);
            forms.extend([(name, "a"), (name, "b")]);
            for answer in [server.get(&doubled(name)).await, server.post("/oauth/authorize", &forms).await] {
                let told = answer.redirects_with_error("invalid_request");
                assert!(told["error_description"].contains(name), "{told:?}");
                // Neither of two states is given back.
                assert_eq!(told.get("state").map(String::as_str), (name != "state").then_some("af0ifjsldkj"), "{name}");
            }
        }
        // Not even that.
        for name in ["client_id", "redirect_uri", "request", "request_uri"] {
            let page = server.get(&doubled(name)).await;
            assert_eq!(page.status, 400);
            page.is_error_page();
        }
        let both = format!("{}&redirect_uri=https%3A%2F%2Fevil.example%2F", app.authorization(&[]));
        server.get(&both).await.is_error_page();
        let unknown = format!("{}&nonce=a&nonce=b", app.authorization(&[("client_id", "nobody")]));
        server.get(&unknown).await.is_error_page();
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn redirect_uri_is_required_where_openid_is_asked_for__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        for scope in ["openid", "email openid"] {
            let without = [("redirect_uri", ""), ("scope", scope)];
            let page = server.get(&app.authorization(&without)).await;
            assert_eq!(page.status, 400);
            page.is_error_page();
            crate::rfc9126_par::push(&app, &without).await.is_error(400, "invalid_request");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn display_fits_every_page_and_nonsense_is_refused__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        for display in ["page", "popup", "touch", "wap"] {
            let login = server.get(&app.authorization(&[("display", display)])).await;
            assert!(login.location().starts_with("/login?"), "{login:?}");
        }
        let before = server.rows().await;
        server.get(&app.authorization(&[("display", "cinema")])).await.redirects_with_error("invalid_request");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_supported_or_too_long_is_refused__oidc_core_3_1_2_6() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        let long = "n".repeat(2049);
        for (wrong, code) in [
            (("registration", "{}"), "registration_not_supported"),
            (("nonce", long.as_str()), "invalid_request"),
            (("max_age", "-1"), "invalid_request"),
            (("max_age", "+1"), "invalid_request"),
            (("max_age", "soon"), "invalid_request"),
            (("prompt", "perhaps"), "invalid_request"),
            (("response_type", ""), "invalid_request"),
            (("response_type", "id_token"), "unsupported_response_type"),
        ] {
            let query = server.get(&app.authorization(&[wrong])).await.redirects_with_error(code);
            assert_eq!(query["state"], "af0ifjsldkj", "{wrong:?}");
        }
        // A state that is too long is not given back.
        let query = server.get(&app.authorization(&[("state", &long)])).await.redirects_with_error("invalid_request");
        assert!(!query.contains_key("state"));
        assert_eq!(server.rows().await, before);
        let fits = "n".repeat(2048);
        let login = server.get(&app.authorization(&[("state", &fits), ("nonce", &fits)])).await;
        assert!(login.location().starts_with("/login?"), "{login:?}");
    })
    .await;
}

#[tokio::test]
async fn login_hint_fills_in_the_address__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        let login = browser.get(&app.authorization(&[("login_hint", "ann@example.com\"><b>")])).await;
        let page = browser.get(login.location()).await;
        assert!(page.body.contains("value=\"ann@example.com&#34;&#62;&#60;b&#62;\""), "{page:?}");
    })
    .await;
}
