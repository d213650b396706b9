//! §2, `id_token_hint` and the other parameters; §4, what is wrong with them.

use std::time::Duration;

use axum::http::header;

use super::{BYE, app, id_token, is_signed_in, logout};
use crate::harness::each_server;
use crate::oidc_core::id_token_hint::forgeries;

#[tokio::test]
async fn a_hint_that_names_the_session_signs_out_at_once_and_ends_its_tokens__rp_initiated_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = app(&server).await;
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &[("scope", "openid email")]).await;
        let hint = tokens["id_token"].as_str().unwrap();
        let answer = browser
            .get(&logout(&[("id_token_hint", hint), ("post_logout_redirect_uri", BYE), ("state", "a b&c")]))
            .await;
        assert_eq!(answer.location(), "https://app.example/bye?from=op&state=a+b%26c");
        answer.is_not_cached();
        assert!(answer.headers.get_all(header::SET_COOKIE).iter().any(|c| c.to_str().unwrap().contains("Max-Age=0")));
        assert!(!is_signed_in(&mut browser).await);
        app.refresh(tokens["refresh_token"].as_str().unwrap()).await.is_error(400, "invalid_grant");

        // Signed out already is not an error, and it goes on just the same.
        let before = server.rows().await;
        let again = browser.get(&logout(&[("id_token_hint", hint), ("post_logout_redirect_uri", BYE)])).await;
        assert_eq!(again.location(), BYE);
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_hint_that_expired_or_whose_key_retired_still_serves__rp_initiated_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = app(&server).await;
        let mut browser = server.browser();
        let hint = id_token(&app, &mut browser).await;
        let platform = &server.state.platform;
        for days in [89, 2, 2] {
            platform.clock.advance(Duration::from_secs(days * 86_400));
            server.state.keys.refresh(platform).await.unwrap();
        }
        let old_kid = shared::jose::jwt::Unverified::parse(&hint, 8192).unwrap().kid().unwrap().to_owned();
        assert!(server.state.keys.published(&old_kid).is_none());
        let url = logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)]);
        assert_eq!(browser.get(&url).await.location(), BYE);
    })
    .await;
}

#[tokio::test]
async fn a_posted_request_goes_on_with_a_get_that_has_the_cookie_and_hides_the_hint__rp_initiated_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = app(&server).await;
        let mut browser = server.browser();
        let hint = id_token(&app, &mut browser).await;
        let form = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE), ("state", "xyz")];
        // From the client's site: without our cookie.
        let answer = server.post("/oauth/logout", &form).await;
        let onward = answer.location().to_owned();
        assert!(onward.starts_with("/oauth/logout/continue?request="), "{onward}");
        assert!(!onward.contains(&hint));
        assert!(is_signed_in(&mut browser).await);
        assert_eq!(browser.get(&onward).await.location(), format!("{BYE}&state=xyz"));
        assert!(!is_signed_in(&mut browser).await);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_id_token_of_ours_is_no_hint__rp_initiated_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = app(&server).await;
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
        let (_, claims) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
        let mut bad = forgeries(&server, &claims).await;
        bad.push(("an access token", tokens["access_token"].as_str().unwrap().to_owned()));
        bad.push(("no token at all", "a".repeat(20_000)));
        let before = server.rows().await;
        for (case, bad) in bad {
            let answer = browser.get(&logout(&[("id_token_hint", &bad), ("post_logout_redirect_uri", BYE)])).await;
            assert_eq!(answer.is_error_page().status.as_u16(), 400, "{case}");
        }
        assert_eq!(server.rows().await, before);
        assert!(is_signed_in(&mut browser).await);
    })
    .await;
}

#[tokio::test]
async fn a_hint_and_a_client_id_must_agree__rp_initiated_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, other) = (app(&server).await, app(&server).await);
        let mut browser = server.browser();
        let hint = id_token(&app, &mut browser).await;
        let before = server.rows().await;
        for client_id in [other.client_id.as_str(), "nobody"] {
            let asked = [("id_token_hint", hint.as_str()), ("client_id", client_id)];
            browser.get(&logout(&asked)).await.is_error_page();
        }
        browser.get(&logout(&[("client_id", "nobody")])).await.is_error_page();
        let twice = format!("{}&client_id=x", logout(&[("client_id", &app.client_id)]));
        browser.get(&twice).await.is_error_page();
        assert_eq!(server.rows().await, before);
        let asked =
            [("id_token_hint", hint.as_str()), ("client_id", &app.client_id), ("post_logout_redirect_uri", BYE)];
        assert_eq!(browser.get(&logout(&asked)).await.location(), BYE);
    })
    .await;
}

#[tokio::test]
async fn a_pairwise_hint_names_its_person__rp_initiated_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server
            .app(|m| {
                m.post_logout_redirect_uris = vec![BYE.into()];
                m.subject_type = auth_server::clients::SubjectType::Pairwise;
            })
            .await;
        let mut browser = server.browser();
        let hint = id_token(&app, &mut browser).await;
        let url = logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)]);
        assert_eq!(browser.get(&url).await.location(), BYE);
    })
    .await;
}
