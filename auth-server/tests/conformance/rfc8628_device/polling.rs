//! §3.4 and §3.5: the device asks whether its person has decided.

use axum::http::{Request, header};
use shared::http::ClientCertificate;
use shared::jose::jwt::Unverified;
use shared::testing::certificates::Identity;

use super::{GRANT, begin, decide, device, poll, wait};
use crate::harness::each_server;

#[tokio::test]
async fn a_device_waits_is_allowed_and_gets_its_tokens_once__rfc8628_3_5() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let app = device(&server).await;
        let begun = begin(&app).await;
        // That it asked, and when, is all that is written down.
        let before = server.rows().await.without(&["device_authorizations"]);
        poll(&app, &begun).await.is_error(400, "authorization_pending");
        wait(&server, 6);
        poll(&app, &begun).await.is_error(400, "authorization_pending");
        assert_eq!(server.rows().await.without(&["device_authorizations"]), before);

        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let done = decide(&mut browser, &begun, "allow").await;
        assert!(done.status == 200 && done.body.contains("Your device is connected"), "{done:?}");
        // Whether it asks in time or too soon: it is allowed.
        let answer = poll(&app, &begun).await;
        answer.is_not_cached();
        let tokens = answer.json(200);
        assert_eq!((&tokens["token_type"], &tokens["scope"]), (&"Bearer".into(), &"openid email".into()));
        let claims = Unverified::parse(tokens["id_token"].as_str().unwrap(), 8192).unwrap();
        assert_eq!(claims.claims()["sub"], ann.to_string());
        assert!(!claims.claims().contains_key("sid"), "it belongs to no browser session");
        let before = server.rows().await;
        poll(&app, &begun).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);

        // It goes on when the browser is signed out.
        let csrf = browser.get("/logout").await.hidden("csrf");
        browser.post("/logout", &[("csrf", &csrf)]).await.location();
        app.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn of_many_polls_at_once_exactly_one_gets_the_tokens__rfc8628_3_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = device(&server).await;
        let begun = begin(&app).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        decide(&mut browser, &begun, "allow").await;
        let answers = futures::future::join_all((0..8).map(|_| poll(&app, &begun))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        for refused in answers.iter().filter(|answer| answer.status != 200) {
            refused.is_error(400, "invalid_grant");
        }
    })
    .await;
}

#[tokio::test]
async fn who_asks_too_often_slows_down_by_five_seconds_each_time__rfc8628_3_5() {
    each_server(&[], |server| async move {
        let app = device(&server).await;
        let begun = begin(&app).await;
        // That it asked, and when, is all that is written down.
        let before = server.rows().await.without(&["device_authorizations"]);
        poll(&app, &begun).await.is_error(400, "authorization_pending");
        wait(&server, 4);
        poll(&app, &begun).await.is_error(400, "slow_down");
        wait(&server, 9);
        poll(&app, &begun).await.is_error(400, "slow_down");
        wait(&server, 14);
        poll(&app, &begun).await.is_error(400, "slow_down");
        wait(&server, 21);
        poll(&app, &begun).await.is_error(400, "authorization_pending");
        assert_eq!(server.rows().await.without(&["device_authorizations"]), before);
    })
    .await;
}

#[tokio::test]
async fn a_refusal_and_a_delay_are_told__rfc8628_3_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = device(&server).await;
        let (refused, late, allowed_late) = (begin(&app).await, begin(&app).await, begin(&app).await);
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let done = decide(&mut browser, &refused, "deny").await;
        assert!(done.body.contains("No access given"), "{done:?}");
        decide(&mut browser, &allowed_late, "allow").await;
        let before = server.rows().await;
        for _ in 0..2 {
            poll(&app, &refused).await.is_error(400, "access_denied");
        }
        wait(&server, 601);
        poll(&app, &late).await.is_error(400, "expired_token");
        poll(&app, &allowed_late).await.is_error(400, "expired_token");
        assert_eq!(server.rows().await, before);
        let page = browser.get(&format!("/device?user_code={}", late["user_code"].as_str().unwrap())).await;
        assert_eq!(page.status, 422);
    })
    .await;
}

#[tokio::test]
async fn what_was_allowed_and_never_fetched_is_over_with_its_code__rfc8628_3_5() {
    use auth_server::protocol::grants::revocation::{Which, list};

    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = device(&server).await;
        let (fetched, left) = (begin(&app).await, begin(&app).await);
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        for begun in [&fetched, &left] {
            decide(&mut browser, begun, "allow").await;
        }
        let tokens = poll(&app, &fetched).await.json(200);
        wait(&server, 601);
        let platform = &server.state.platform;
        let mut conn = platform.db.read().await.unwrap();
        let live = list(&mut conn, &Which::default(), platform.clock.now(), 10).await.unwrap();
        drop(conn);
        let claims = Unverified::parse(tokens["access_token"].as_str().unwrap(), 8192).unwrap();
        let ids: Vec<_> = live.iter().map(|grant| grant.grant_id.to_string()).collect();
        assert_eq!(ids, [claims.claims()["grant_id"].as_str().unwrap()]);
        app.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_device_code_serves_the_client_it_was_issued_to__rfc8628_3_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, thief, other) = (device(&server).await, device(&server).await, server.app(|_| {}).await);
        let begun = begin(&app).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        decide(&mut browser, &begun, "allow").await;
        let before = server.rows().await;
        poll(&thief, &begun).await.is_error(400, "invalid_grant");
        poll(&other, &begun).await.is_error(400, "unauthorized_client");
        app.token(&[("grant_type", GRANT)]).await.is_error(400, "invalid_request");
        app.token(&[("grant_type", GRANT), ("device_code", "unknown")]).await.is_error(400, "invalid_grant");
        let code = begun["device_code"].as_str().unwrap();
        let elsewhere = [("grant_type", GRANT), ("device_code", code), ("resource", "https://evil.example")];
        app.token(&elsewhere).await.is_error(400, "invalid_target");
        assert_eq!(server.rows().await, before);
        poll(&app, &begun).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn what_was_revoked_before_it_was_fetched_is_gone__rfc8628_3_4() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let app = device(&server).await;
        let begun = begin(&app).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        decide(&mut browser, &begun, "allow").await;
        let platform = &server.state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        auth_server::sessions::end_all_of(&mut tx, platform, ann).await.unwrap();
        tx.commit().await.unwrap();
        poll(&app, &begun).await.is_error(400, "invalid_grant");
        poll(&app, &begun).await.is_error(400, "invalid_grant");
    })
    .await;
}

#[tokio::test]
async fn tokens_are_for_the_resource_that_was_allowed__rfc8707_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = device(&server).await;
        let api = server.state.platform.config.api.public_url.as_str();
        let asked = [("scope", "referral-codes:read"), ("resource", api)];
        let begun = app.post("/oauth/device_authorization", &asked).await.json(200);
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        decide(&mut browser, &begun, "allow").await;
        let code = begun["device_code"].as_str().unwrap();
        let wider = [("grant_type", GRANT), ("device_code", code), ("resource", server.state.issuer())];
        app.token(&wider).await.is_error(400, "invalid_target");
        let tokens = poll(&app, &begun).await.json(200);
        let claims = Unverified::parse(tokens["access_token"].as_str().unwrap(), 8192).unwrap();
        assert_eq!(claims.claims()["aud"], api);
        assert!(tokens.get("id_token").is_none(), "openid was not asked for");
    })
    .await;
}

#[tokio::test]
async fn tokens_are_bound_to_the_key_that_the_device_proves__rfc8705_3() {
    let settings = [
        ("TRUSTED_PROXIES", "[\"10.0.0.5/32\"]"),
        ("CLIENT_CERTIFICATE_HEADER", "Client-Cert"),
        ("AUTH__MTLS_PUBLIC_URL", "https://mtls.id.example.com"),
    ];
    each_server(&settings, |server| async move {
        server.person("ann@example.com").await;
        let app = server
            .app(|m| {
                m.redirect_uris = vec![];
                m.grant_types = vec![GRANT.into(), "refresh_token".into()];
                m.token_endpoint_auth_method = "none".into();
                m.tls_client_certificate_bound_access_tokens = true;
            })
            .await;
        let begun = begin(&app).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        decide(&mut browser, &begun, "allow").await;
        let identity = Identity::self_signed("device");
        let post = |form: String| {
            let certificate = ClientCertificate::parse(&identity.der, vec![]).unwrap();
            let request = Request::post("/oauth/token")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .extension(certificate);
            let (server, client) = (server.clone(), app.client_id.clone());
            async move { server.send(request, format!("{form}&client_id={client}")).await }
        };
        let code = begun["device_code"].as_str().unwrap();
        let tokens = post(format!("grant_type={GRANT}&device_code={code}")).await.json(200);
        let claims = Unverified::parse(tokens["access_token"].as_str().unwrap(), 8192).unwrap();
        assert!(claims.claims()["cnf"]["x5t#S256"].is_string(), "{:?}", claims.claims());
        // A public client's refresh token is of no use without the key either.
        let refresh = tokens["refresh_token"].as_str().unwrap();
        assert_eq!(app.refresh(refresh).await.status, 400);
        post(format!("grant_type=refresh_token&refresh_token={refresh}")).await.json(200);
    })
    .await;
}
