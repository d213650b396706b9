//! Whatever an authorization request says: it is answered, and never at an address that the client did not register
//! (RFC 6749 §10.15, §3.1.2.4).

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::harness::arbitrary::{AUTHORIZATION, AUTHORIZATION_VALUES, changed, changes};
use crate::harness::{CHALLENGE, each_server};

#[tokio::test]
async fn any_request_is_answered_and_never_elsewhere__rfc6749_10_15() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let mut runner = TestRunner::deterministic();
        let changes = changes(&AUTHORIZATION, &AUTHORIZATION_VALUES);
        let (mut posted, mut redirected, mut shown) = (0, 0, 0);
        for turn in 0..300 {
            let changes = changes.new_tree(&mut runner).expect("a strategy").current();
            let right: [(&str, &str); 6] = [
                ("response_type", "code"),
                ("client_id", &app.client_id),
                ("redirect_uri", &app.redirect_uri),
                ("scope", "openid"),
                ("code_challenge", CHALLENGE),
                ("code_challenge_method", "S256"),
            ];
            let parameters = changed(&right, &changes);
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
