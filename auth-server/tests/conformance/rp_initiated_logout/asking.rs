//! §2: whoever is not certain to ask for this very session has the person asked.

use super::{BYE, app, id_token, is_signed_in, logout};
use crate::harness::each_server;

#[tokio::test]
async fn without_a_hint_the_person_is_asked_and_then_sent_on__rp_initiated_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = app(&server).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let asked = [("client_id", app.client_id.as_str()), ("post_logout_redirect_uri", BYE), ("state", "s")];
        let before = server.rows().await;
        let page = browser.get(&logout(&asked)).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("Wonder App would like to sign you out"), "{page:?}");
        assert_eq!(server.rows().await, before);

        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        for forged in [[("csrf", ""), ("request", &*request)], [("csrf", "AAAA"), ("request", &request)]] {
            assert_eq!(browser.post("/logout", &forged).await.status, 403);
        }
        assert_eq!(server.rows().await, before);
        let answer = browser.post("/logout", &[("csrf", &csrf), ("request", &request)]).await;
        assert_eq!(answer.location(), format!("{BYE}&state=s"));
        assert!(!is_signed_in(&mut browser).await);
        // A post from another site comes without the SameSite cookie, and must not take the session's away.
        for request in ["x", &*request] {
            let forged = server.post("/logout", &[("request", request)]).await;
            assert!(!format!("{:?}", forged.headers).contains("-session="), "{forged:?}");
        }
        // Pressed twice.
        let answer = browser.post("/logout", &[("csrf", &csrf), ("request", &request)]).await;
        assert_eq!(answer.location(), format!("{BYE}&state=s"));
    })
    .await;
}

#[tokio::test]
async fn a_hint_for_another_person_or_session_signs_nobody_out_unasked__rp_initiated_2() {
    each_server(&[], |server| async move {
        for email in ["ann@example.com", "bob@example.com"] {
            server.person(email).await;
        }
        let app = app(&server).await;
        let hint = id_token(&app, &mut server.browser()).await;
        let url = logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)]);
        for email in ["bob@example.com", "ann@example.com"] {
            let mut browser = server.browser();
            browser.sign_in(email).await;
            let before = server.rows().await;
            assert_eq!(browser.get(&url).await.status, 200);
            assert_eq!(server.rows().await, before);
            assert!(is_signed_in(&mut browser).await, "{email} was asked, no more");
        }
    })
    .await;
}

#[tokio::test]
async fn with_no_parameters_the_person_is_asked_and_stays_here__rp_initiated_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let page = browser.get("/oauth/logout").await;
        let answer =
            browser.post("/logout", &[("csrf", &page.hidden("csrf")), ("request", &page.hidden("request"))]).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("You are signed out"), "{answer:?}");
        assert!(!is_signed_in(&mut browser).await);
        let nobody = browser.get("/oauth/logout?logout_hint=ann%40example.com").await;
        assert!(nobody.status == 200 && nobody.body.contains("You are signed out"), "{nobody:?}");
    })
    .await;
}

#[tokio::test]
async fn the_pages_speak_the_language_of_ui_locales__rp_initiated_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = app(&server).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let answer = browser.post("/oauth/logout", &[("client_id", &app.client_id), ("ui_locales", "xx ru")]).await;
        let page = browser.get(answer.location()).await;
        assert!(page.body.contains("lang=\"ru\"") && page.body.contains("Wonder App"), "{page:?}");
    })
    .await;
}

#[tokio::test]
async fn a_hint_that_names_no_session_has_the_person_asked__rp_initiated_2() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let app = app(&server).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        // As a device has it, which knows the person and none of their browsers.
        let (state, now) = (&server.state, server.state.platform.clock.timestamp());
        let claims = serde_json::json!({
            "iss": state.issuer(), "aud": app.client_id, "sub": ann, "iat": now, "exp": now + 600,
        });
        let key = state.keys.signing(auth_server::keys::Algorithm::Rs256, state.platform.clock.now());
        let hint = key.sign_jwt("JWT", &claims).unwrap();
        let before = server.rows().await;
        let page = browser.get(&logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)])).await;
        assert!(page.body.contains("Wonder App would like to sign you out"), "{page:?}");
        assert_eq!(server.rows().await, before);
        assert!(is_signed_in(&mut browser).await);
        let form = [("csrf", &*page.hidden("csrf")), ("request", &page.hidden("request"))];
        assert_eq!(browser.post("/logout", &form).await.location(), BYE);
    })
    .await;
}
