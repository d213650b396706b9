//! §4.4.1 and RFC 9700 §2.1.1: requests that wait for a person while their client comes to need a challenge.

use auth_server::clients::ClientMetadata;

use crate::harness::{App, Browser, each_server};

const NO_CHALLENGE: [(&str, &str); 2] = [("code_challenge", ""), ("code_challenge_method", "")];

/// A request that waits for Ann's consent: its id, and what proves that the form is ours.
async fn waiting(app: &App, browser: &mut Browser, more: &[(&str, &str)]) -> (String, String) {
    let asked = browser.get(&app.authorization(more)).await;
    let page = browser.get(asked.location()).await;
    (page.hidden("request"), page.hidden("csrf"))
}

#[tokio::test]
async fn a_waiting_request_without_a_challenge_is_gone_once_its_client_needs_one__rfc7636_4_4_1__rfc9700_2_1_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let changes: [fn(&mut ClientMetadata); 2] =
            [|m| m.require_pkce = true, |m| m.token_endpoint_auth_method = "none".into()];
        for change in changes {
            let app = server.app(|m| m.require_pkce = false).await;
            let (bare, csrf) = waiting(&app, &mut browser, &NO_CHALLENGE).await;
            let (good, good_csrf) = waiting(&app, &mut browser, &[]).await;
            let app = app.altered(change).await;

            let before = server.rows().await;
            for path in [format!("/consent?request={bare}"), format!("/oauth/authorize/continue?request={bare}")] {
                let page = browser.get(&path).await;
                assert!(!page.is_error_page().body.contains(&app.redirect_uri), "{page:?}");
            }
            for decision in ["allow", "deny"] {
                let form = [("csrf", &*csrf), ("request", &bare), ("decision", decision)];
                browser.post("/consent", &form).await.is_error_page();
            }
            assert_eq!(server.rows().await, before);

            // One that has a challenge goes on.
            let form = [("csrf", &*good_csrf), ("request", &good), ("decision", "allow")];
            let code = browser.post("/consent", &form).await.query()["code"].clone();
            app.exchange(&code).await.json(200);
        }
    })
    .await;
}
