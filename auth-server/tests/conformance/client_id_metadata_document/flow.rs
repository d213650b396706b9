//! A client nobody registered signs people in.

use auth_server::clients::DEVICE_CODE;

use super::{ON, app, document, publish};
use crate::harness::{ALLOWED, Site, Trap, each_server};

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
        let trap = Trap::start().await;
        let site = Site::start().await;
        let mut app = app(&server, "").await;
        let before = server.rows().await;
        for id in trap.urls("/client").into_iter().chain([publish(&site, "/client")]) {
            app.client_id = id;
            server.browser().get(&app.authorization(&[])).await.is_error_page();
        }
        assert_eq!((trap.came(), site.asked("/client"), server.rows().await), (0, 0, before));
    })
    .await;
}

#[tokio::test]
async fn every_flow_is_open_to_it__cimd_1() {
    each_server(&[ON, ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let site = Site::start().await;
        let id = format!("{}/client", site.url);
        let mut document = document(&id);
        document["grant_types"] = serde_json::json!(["authorization_code", "refresh_token", DEVICE_CODE]);
        site.publish("/client", &document);
        let app = app(&server, &id).await;
        let mut browser = server.browser();
        let pushed = app.post("/oauth/par", &app.parameters(&[("client_id", "")])).await.json(201);
        let request_uri = pushed["request_uri"].as_str().expect("a request_uri").to_owned();
        let code = app.code(&mut browser, "ann@example.com", &[("request_uri", &request_uri)]).await;
        let tokens = app.exchange(&code).await.json(200);
        let refreshed = app.refresh(tokens["refresh_token"].as_str().expect("a refresh token")).await.json(200);
        assert!(refreshed["access_token"].is_string());

        let device = app.post("/oauth/device_authorization", &[("scope", "openid")]).await.json(200);
        let polled = [("grant_type", DEVICE_CODE), ("device_code", device["device_code"].as_str().expect("a code"))];
        app.token(&polled).await.is_error(400, "authorization_pending");
        assert_eq!(site.asked("/client"), 1);
    })
    .await;
}
