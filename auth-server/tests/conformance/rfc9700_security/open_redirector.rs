//! §4.11.2: the authorization endpoint as an open redirector.

use crate::harness::{ALLOWED, Site, each_server};
use crate::rfc7591_registration::{OPEN, app, register, web_app};
use crate::{client_id_metadata_document as document, harness::App};

const WRONG: (&str, &str) = ("response_type", "token");

async fn strangers(server: &crate::harness::Server) -> [App; 2] {
    let site = Site::start().await;
    let published = document::app(server, &document::publish(&site, "/client")).await;
    [app(server, &register(server, &web_app()).await.json(201)).await, published]
}

#[tokio::test]
async fn an_error_of_a_strangers_client_is_shown_to_a_browser_nobody_is_signed_in_with__rfc9700_4_11_2() {
    each_server(&[OPEN, document::ON, ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        for app in strangers(&server).await {
            // The client is known by now, if it was not before.
            server.browser().get(&app.authorization(&[])).await.location();
            let before = server.rows().await;
            let page = server.browser().get(&app.authorization(&[WRONG])).await;
            assert_eq!(page.is_error_page().status, 400);
            assert!(page.body.contains("Go to app.example</a>"), "{page:?}");
            assert!(page.body.contains("https://app.example/callback?error=unsupported_response_type"), "{page:?}");
            page.is_not_cached();
            // Posted, where no browser sends our cookie along; as a form; of a request object; of a pushed request.
            server.post("/oauth/authorize", &app.parameters(&[WRONG])).await.is_error_page();
            let form = server.browser().get(&app.authorization(&[WRONG, ("response_mode", "form_post")])).await;
            let (action, fields) = form.is_error_page().form();
            assert_eq!(
                (action.as_str(), fields["error"].as_str()),
                ("https://app.example/callback", "unsupported_response_type")
            );
            for wrong in [("request", "x.y.z"), ("request_uri", "urn:ietf:params:oauth:request_uri:x")] {
                server.browser().get(&app.authorization(&[wrong])).await.is_error_page();
            }
            assert_eq!(server.rows().await, before);
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_is_signed_in_asks_in_silence_or_comes_from_an_operators_client_is_sent_on__rfc9700_4_11_2() {
    each_server(&[OPEN, document::ON, ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let mut ann = server.browser();
        ann.sign_in("ann@example.com").await;
        for app in strangers(&server).await {
            ann.get(&app.authorization(&[WRONG])).await.redirects_with_error("unsupported_response_type");
            let silent = app.authorization(&[WRONG, ("prompt", "none")]);
            server.browser().get(&silent).await.redirects_with_error("unsupported_response_type");
        }
        let known = server.app(|_| {}).await.authorization(&[WRONG]);
        server.browser().get(&known).await.redirects_with_error("unsupported_response_type");
    })
    .await;
}
