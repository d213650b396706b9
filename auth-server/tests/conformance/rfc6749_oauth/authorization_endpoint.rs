//! §3.1 and §4.1.2.1: what comes back from the authorization endpoint.

use std::collections::BTreeMap;

use crate::harness::{Answer, each_server};

/// The error is told at the redirect URI with the state, described in the characters that are allowed.
#[track_caller]
fn told(answer: &Answer, code: &str) -> BTreeMap<String, String> {
    let told = answer.redirects_with_error(code);
    assert!(answer.location().starts_with("https://app.example/callback?"), "{answer:?}");
    assert_eq!(told["state"], "af0ifjsldkj");
    let description = &told["error_description"];
    assert!(description.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\'), "{description}");
    told
}

#[tokio::test]
async fn a_request_that_is_malformed_is_an_invalid_request__rfc6749_4_1_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        for wrong in [("response_type", ""), ("code_challenge", "short"), ("max_age", "soon"), ("prompt", "\"\\é")] {
            told(&server.get(&app.authorization(&[wrong])).await, "invalid_request");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn other_response_types_are_unsupported__rfc6749_4_1_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        for wrong in ["token", "id_token", "code token", "code id_token", "none", "Code"] {
            told(&server.get(&app.authorization(&[("response_type", wrong)])).await, "unsupported_response_type");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_scope_beyond_the_clients_or_malformed_is_invalid_scope__rfc6749_4_1_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        for wrong in ["openid dragons", "openid account:write", "open\"id", "open\\id", "\u{e9}"] {
            told(&server.get(&app.authorization(&[("scope", wrong)])).await, "invalid_scope");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_person_who_refuses_is_access_denied_and_nothing_is_granted__rfc6749_4_1_2_1__oidc_core_3_1_2_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let granted = async || {
            let counts = "SELECT (SELECT COUNT(*) FROM grants) + (SELECT COUNT(*) FROM authorization_codes) \
                          + (SELECT COUNT(*) FROM consents)";
            let mut conn = server.state.platform.db.read().await.expect("the database answers");
            let (granted,): (i64,) = shared::fetch_one!(&mut conn, (i64,), counts).expect("rows can be counted");
            granted
        };
        let consent = browser.get(&app.authorization(&[("scope", "openid email")])).await;
        assert!(consent.location().starts_with("/consent?"), "{consent:?}");
        let page = browser.get(consent.location()).await;
        assert!(page.body.contains("Wonder App") && page.body.contains("See your email address"), "{page:?}");
        // Nothing before the person has decided.
        assert_eq!(granted().await, 0);
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", &*csrf), ("request", &request), ("decision", "deny")];
        told(&browser.post("/consent", &form).await, "access_denied");
        assert_eq!(granted().await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_state_comes_back_as_it_was_sent__rfc6749_4_1_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        for state in ["a b&c=d+e%20f#g", "é\"'<>\\", "{\"a\":1}"] {
            let answer = browser.authorize(&app.authorization(&[("state", state)]), "ann@example.com").await;
            let query = answer.query();
            assert_eq!(query["state"], state);
            assert!(!query["code"].is_empty());
        }
        let answer = browser.authorize(&app.authorization(&[("state", "")]), "ann@example.com").await;
        assert!(!answer.query().contains_key("state"), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn a_redirect_uri_is_left_out_only_where_there_is_one__rfc6749_3_1_2_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        // Plain OAuth: OpenID Connect wants it named.
        let asked = [("redirect_uri", ""), ("scope", "email")];
        let app = server.app(|_| {}).await;
        let code = app.code(&mut server.browser(), "ann@example.com", &asked).await;
        let form: Vec<_> = app.exchange_form(&code).into_iter().filter(|(name, _)| *name != "redirect_uri").collect();
        app.token(&form).await.json(200);
        let several = server.app(|m| m.redirect_uris.push("https://app.example/second".into())).await;
        let before = server.rows().await;
        let page = server.get(&several.authorization(&asked)).await;
        assert_eq!(page.is_error_page().status, 400);
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_parameter_without_a_value_is_as_if_it_were_not_sent__rfc6749_3_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let good = format!("{}&nonce=&prompt=&max_age=&claims=&display=&unheard_of=", app.authorization(&[]));
        let login = server.get(&good).await;
        assert!(login.location().starts_with("/login?"), "{login:?}");
        let without = format!("{}&response_type=", app.authorization(&[("response_type", "")]));
        told(&server.get(&without).await, "invalid_request");
    })
    .await;
}
