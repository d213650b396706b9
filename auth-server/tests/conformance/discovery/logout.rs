//! What is said of signing out, happens.

use super::each_document;
use crate::back_channel_logout::{settled, sign_out, worker};
use crate::harness::RelyingParty;

#[tokio::test]
async fn clients_are_told_of_a_sign_out_behind_the_scenes_as_announced__back_channel_2_1() {
    each_document(|server, document| async move {
        assert_eq!(document["backchannel_logout_supported"], true);
        assert_eq!(document["backchannel_logout_session_supported"], true);
        server.person("ann@example.com").await;
        let party = RelyingParty::start().await;
        let url = party.url.clone();
        let app = server
            .app(|metadata| {
                metadata.backchannel_logout_uri = Some(url);
                metadata.backchannel_logout_session_required = true;
            })
            .await;
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
        let (_, id_token) = server.jwt(tokens["id_token"].as_str().expect("an ID token")).await;
        sign_out(&mut browser).await;
        let _worker = worker(&server);
        party.hears(1).await;
        settled(&server).await;
        let told = party.logout_token(&server.state).claims;
        assert!(id_token["sid"].is_string() && told["sid"] == id_token["sid"], "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn clients_are_told_of_a_sign_out_in_frames_as_announced__front_channel_3() {
    each_document(|server, document| async move {
        assert_eq!(document["frontchannel_logout_supported"], true);
        assert_eq!(document["frontchannel_logout_session_supported"], true);
        server.person("ann@example.com").await;
        let app = server
            .app(|metadata| {
                metadata.frontchannel_logout_uri = Some("https://app.example/out".into());
                metadata.frontchannel_logout_session_required = true;
            })
            .await;
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
        let hint = tokens["id_token"].as_str().expect("an ID token");
        let (_, id_token) = server.jwt(hint).await;
        let page = browser.get(&format!("/oauth/logout?id_token_hint={hint}")).await;
        let frame = page.body.split("<iframe src=\"").nth(1).unwrap_or_else(|| panic!("no frame: {page:?}"));
        let frame = frame.split('"').next().expect("it ends");
        assert!(frame.starts_with("https://app.example/out?"), "{frame}");
        let sid = id_token["sid"].as_str().expect("a sid");
        assert!(frame.contains("iss=") && frame.contains(&format!("sid={sid}")), "{frame}");
    })
    .await;
}
