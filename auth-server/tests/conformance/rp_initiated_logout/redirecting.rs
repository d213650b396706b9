//! §3: where the person is sent, and where never.

use auth_server::clients;
use shared::ids::ClientId;

use super::{BYE, app, id_token, is_signed_in, logout};
use crate::harness::each_server;
use crate::rfc7591_registration::{self, OPEN, register, web_app};

#[tokio::test]
async fn only_a_uri_that_is_registered_character_by_character_is_gone_to__rp_initiated_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = app(&server).await;
        let mut browser = server.browser();
        let hint = id_token(&app, &mut browser).await;
        let before = server.rows().await;
        for wrong in [
            "https://evil.example/",
            "https://app.example/callback",
            "https://app.example/bye",
            "https://app.example/bye?from=op&x=1",
            "https://APP.example/bye?from=op",
            "//app.example/bye?from=op",
        ] {
            for who in [("id_token_hint", hint.as_str()), ("client_id", app.client_id.as_str())] {
                let answer = browser.get(&logout(&[who, ("post_logout_redirect_uri", wrong)])).await;
                assert_eq!(answer.is_error_page().status.as_u16(), 400, "{wrong}");
                server.post("/oauth/logout", &[who, ("post_logout_redirect_uri", wrong)]).await.is_error_page();
            }
        }
        let long = "s".repeat(2049);
        let asked = [("client_id", app.client_id.as_str()), ("post_logout_redirect_uri", BYE), ("state", &long)];
        browser.get(&logout(&asked)).await.is_error_page();
        assert_eq!(server.rows().await, before);
        assert!(is_signed_in(&mut browser).await);
    })
    .await;
}

#[tokio::test]
async fn without_hint_and_client_nobody_vouches_for_a_uri__rp_initiated_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        app(&server).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let page = browser.get(&logout(&[("post_logout_redirect_uri", BYE), ("state", "s")])).await;
        let form = [("csrf", &*page.hidden("csrf")), ("request", &page.hidden("request"))];
        let answer = browser.post("/logout", &form).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains("app.example"), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn a_sealed_request_serves_for_an_hour_and_as_it_was_made__rp_initiated_3() {
    each_server(&[], |server| async move {
        let app = app(&server).await;
        let form = [("client_id", app.client_id.as_str()), ("post_logout_redirect_uri", BYE)];
        let onward = server.post("/oauth/logout", &form).await.location().to_owned();
        assert_eq!(server.get(&onward).await.location(), BYE);
        let mut changed = onward.clone().into_bytes();
        let last = changed.len() - 3;
        changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
        let stays = |answer: crate::harness::Answer| assert_eq!(answer.status, 200, "{answer:?}");
        stays(server.get(std::str::from_utf8(&changed).unwrap()).await);
        stays(server.get("/oauth/logout/continue").await);
        // The client is gone meanwhile.
        clients::delete(&server.state.platform, &ClientId(app.client_id.clone())).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        stays(server.get(&onward).await);
        server.state.platform.clock.advance(std::time::Duration::from_secs(3601));
        stays(server.get(&onward).await);
    })
    .await;
}

#[tokio::test]
async fn discovery_names_the_endpoint__rp_initiated_2_1() {
    each_server(&[], |server| async move {
        let metadata = server.get("/.well-known/openid-configuration").await.json(200);
        assert_eq!(metadata["end_session_endpoint"], format!("{}/oauth/logout", server.state.issuer()));
        for member in [
            "backchannel_logout_supported",
            "backchannel_logout_session_supported",
            "frontchannel_logout_supported",
            "frontchannel_logout_session_supported",
        ] {
            assert_eq!(metadata[member], true, "{member}");
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_hint_nobody_is_sent_on_to_a_strangers_page_without_a_click__rp_initiated_3() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        let mut asked = web_app();
        asked["post_logout_redirect_uris"] = serde_json::json!([BYE]);
        let app = rfc7591_registration::app(&server, &register(&server, &asked).await.json(201)).await;
        let unhinted = logout(&[("client_id", &app.client_id), ("post_logout_redirect_uri", BYE), ("state", "s")]);
        let stops = |page: crate::harness::Answer| {
            assert_eq!(page.status, 200, "{page:?}");
            assert!(page.body.contains(&format!("href=\"{BYE}&#38;state=s\"")), "{page:?}");
            assert!(page.body.contains("Go to app.example"), "{page:?}");
            assert!(!page.body.contains("data-onward") && !page.body.contains("http-equiv"), "{page:?}");
        };
        // Nobody is signed in: it is a link that anybody may have laid out.
        stops(server.browser().get(&unhinted).await);
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let page = browser.get(&unhinted).await;
        let form = [("csrf", &*page.hidden("csrf")), ("request", &page.hidden("request"))];
        stops(browser.post("/logout", &form).await);
        assert!(!is_signed_in(&mut browser).await);
        // With one it is the app's own.
        let hint = id_token(&app, &mut browser).await;
        let hinted = logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)]);
        assert_eq!(browser.get(&hinted).await.location(), BYE);
        // But not where it names no session: everybody has some ID token of their own to lay out.
        let link = logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE), ("state", "s")]);
        stops(server.browser().get(&link).await);
        let mut victim = server.browser();
        victim.sign_in("ann@example.com").await;
        let page = victim.get(&link).await;
        let form = [("csrf", &*page.hidden("csrf")), ("request", &page.hidden("request"))];
        stops(victim.post("/logout", &form).await);
    })
    .await;
}
