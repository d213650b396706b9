//! Whatever an authorization request says: it is answered, and never at an address that the client did not register
//! (RFC 6749 §10.15, §3.1.2.4).

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::harness::{CHALLENGE, each_server};

const NAMES: [&str; 22] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "response_mode",
    "nonce",
    "display",
    "prompt",
    "max_age",
    "ui_locales",
    "id_token_hint",
    "login_hint",
    "acr_values",
    "claims",
    "registration",
    "request",
    "request_uri",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "authorization_details",
];

const VALUES: [&str; 24] = [
    "code",
    "code id_token",
    "https://app.example/callback",
    "https://evil.example/callback",
    "//evil.example",
    "https://app.example/callback@evil.example",
    "javascript:alert(1)",
    "https://app.example/callback#x",
    "openid",
    "openid email",
    "none",
    "login consent",
    "query",
    "fragment",
    "form_post",
    "form_post.jwt",
    "jwt",
    "S256",
    "plain",
    "0",
    "{}",
    r#"{"id_token":{"acr":{"essential":true,"values":["x"]}}}"#,
    "a.b.c",
    "\r\nLocation: https://evil.example",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(VALUES.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[{}\\[\\]\":,a-z0-9 ]{0,40}",
    ]
}

#[tokio::test]
async fn any_request_is_answered_and_never_elsewhere__rfc6749_10_15() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let mut runner = TestRunner::deterministic();
        let changes = proptest::collection::vec((proptest::sample::select(NAMES.to_vec()), value()), 0..6);
        let (mut posted, mut redirected, mut shown) = (0, 0, 0);
        for turn in 0..300 {
            let changes = changes.new_tree(&mut runner).expect("a strategy").current();
            let mut parameters: Vec<(&str, &str)> = vec![
                ("response_type", "code"),
                ("client_id", &app.client_id),
                ("redirect_uri", &app.redirect_uri),
                ("scope", "openid"),
                ("code_challenge", CHALLENGE),
                ("code_challenge_method", "S256"),
            ];
            for (name, value) in &changes {
                // Now and then both, now and then in place of it.
                if turn % 7 != 0 {
                    parameters.retain(|(known, _)| known != name);
                }
                parameters.push((name, value));
            }
            let answer = if turn % 3 == 0 {
                browser.post("/oauth/authorize", &parameters).await
            } else {
                let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&parameters).finish();
                browser.get(&format!("/oauth/authorize?{query}")).await
            };
            assert!(!answer.status.is_server_error(), "{parameters:?} {answer:?}");
            if answer.status.is_redirection() {
                redirected += 1;
                let location = answer.location();
                let rest = location.strip_prefix(&app.redirect_uri);
                let at_client = rest.is_some_and(|rest| rest.starts_with(['?', '#']));
                let at_home = ["/login?", "/signup?", "/consent?", "/oauth/authorize/continue?"];
                assert!(
                    at_client || at_home.iter().any(|path| location.starts_with(path)),
                    "{parameters:?} {location}"
                );
            } else if answer.status.is_success() {
                posted += 1;
                assert_eq!(answer.form().0, app.redirect_uri, "{parameters:?}");
            } else {
                shown += 1;
                answer.is_error_page();
            }
        }
        assert!(posted >= 3 && redirected > 50 && shown > 20, "each way was taken: {posted} {redirected} {shown}");
    })
    .await;
}
