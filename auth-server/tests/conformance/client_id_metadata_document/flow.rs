//! A client nobody registered signs people in.

use super::{ON, app, publish};
use crate::harness::{ALLOWED, Site, each_server};

#[tokio::test]
async fn a_client_is_known_by_the_url_of_its_metadata__cimd_1() {
    each_server(&[ON, ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let site = Site::start().await;
        let app = app(&server, &publish(&site, "/client")).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        assert!(tokens["id_token"].is_string() && tokens["access_token"].is_string());
        // Fetched once for the whole flow.
        assert_eq!(site.asked("/client"), 1);
    })
    .await;
}

#[tokio::test]
async fn people_see_the_host_that_vouches_for_the_client__cimd_8_5() {
    each_server(&[ON, ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let site = Site::start().await;
        let app = app(&server, &publish(&site, "/client")).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let answer = browser.get(&app.authorization(&[])).await;
        let page = browser.get(answer.location()).await;
        let host = site.url.strip_prefix("http://").expect("http");
        assert!(page.status.is_success() && page.body.contains(host), "{page:?}");
        assert!(page.body.contains("Wonder App") && page.body.contains("app.example"));
    })
    .await;
}

#[tokio::test]
async fn a_redirect_uri_is_one_of_the_document__cimd_4_2() {
    each_server(&[ON, ALLOWED], |server| async move {
        let site = Site::start().await;
        let app = app(&server, &publish(&site, "/client")).await;
        for uri in ["https://app.example/callback/", "https://app.example/callback?x", "https://evil.example/"] {
            server.browser().get(&app.authorization(&[("redirect_uri", uri)])).await.is_error_page();
        }
        assert!(server.browser().get(&app.authorization(&[])).await.location().starts_with("/login"));
    })
    .await;
}

#[tokio::test]
async fn what_is_switched_off_is_not_fetched_and_not_announced__cimd_6() {
    each_server(&[ALLOWED], |server| async move {
        let site = Site::start().await;
        let app = app(&server, &publish(&site, "/client")).await;
        let before = server.rows().await;
        server.browser().get(&app.authorization(&[])).await.is_error_page();
        assert_eq!((site.asked("/client"), server.rows().await), (0, before));
        let discovery = server.get("/.well-known/oauth-authorization-server").await.json(200);
        assert!(discovery.get("client_id_metadata_document_supported").is_none());
    })
    .await;
    each_server(&[ON], |server| async move {
        let discovery = server.get("/.well-known/oauth-authorization-server").await.json(200);
        assert_eq!(discovery["client_id_metadata_document_supported"], true);
    })
    .await;
}

#[tokio::test]
async fn a_document_on_a_private_address_is_never_fetched__cimd_8_6() {
    each_server(&[ON], |server| async move {
        let site = Site::start().await;
        let app = app(&server, &publish(&site, "/client")).await;
        let before = server.rows().await;
        server.browser().get(&app.authorization(&[])).await.is_error_page();
        assert_eq!((site.asked("/client"), server.rows().await), (0, before));
    })
    .await;
}
