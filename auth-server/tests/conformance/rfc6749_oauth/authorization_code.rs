//! §4.1, the authorization code grant.

use auth_server::clients;
use shared::execute;
use sqlx::types::Json;

use crate::harness::{Answer, App, Server, each_server};
use crate::rfc9126_par::{pushed, referring};

#[tokio::test]
async fn a_code_becomes_tokens_and_a_second_use_ends_them__rfc6749_4_1_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        let code = app.code(&mut browser, "ann@example.com", &[("scope", "openid email")]).await;
        let answer = app.exchange(&code).await;
        let tokens = answer.json(200);
        answer.is_not_cached();
        assert_eq!((&tokens["token_type"], &tokens["scope"]), (&"Bearer".into(), &"openid email".into()));
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let bearer = [("authorization", bearer.as_str())];
        server.post_with("/oauth/userinfo", &bearer, &[]).await.json(200);
        app.exchange(&code).await.is_error(400, "invalid_grant");
        // At once: the list of revocations is not read anew here.
        assert_eq!(server.post_with("/oauth/userinfo", &bearer, &[]).await.status, 401);
        app.refresh(tokens["refresh_token"].as_str().unwrap()).await.is_error(400, "invalid_grant");

        // Who goes on showing it writes nothing more: not even for the audit.
        let (rows, written) = (server.rows().await, audited(&server).await);
        assert_eq!(written, 1);
        for _ in 0..3 {
            app.exchange(&code).await.is_error(400, "invalid_grant");
        }
        assert_eq!((server.rows().await, audited(&server).await), (rows, written));
    })
    .await;
}

#[tokio::test]
async fn what_nobody_came_for_is_alive_no_longer_than_its_code__rfc6749_4_1_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        let live = async || {
            let sql = "SELECT COUNT(*) FROM grants WHERE revoked_at IS NULL AND expires_at > $1";
            let platform = &server.state.platform;
            let mut conn = platform.db.read().await.unwrap();
            let (count,): (i64,) = shared::fetch_one!(&mut conn, (i64,), sql, platform.clock.now()).unwrap();
            count
        };
        let fetched = app.code(&mut browser, "ann@example.com", &[("scope", "openid email")]).await;
        for _ in 0..3 {
            app.code(&mut browser, "ann@example.com", &[("scope", "openid email")]).await;
        }
        assert_eq!(live().await, 4);
        let tokens = app.exchange(&fetched).await.json(200);
        server.state.platform.clock.advance(std::time::Duration::from_secs(120));
        assert_eq!(live().await, 1, "only what was exchanged is left");
        app.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn another_scheme_than_basic_authenticates_no_client__rfc6749_2_3_1__rfc6749_5_2() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        for authorization in ["Bearer x", "DPoP x", "Digest username=x", "Basic"] {
            let headers = [("authorization", authorization)];
            let answer = server.post_with("/oauth/token", &headers, &app.exchange_form("code")).await;
            answer.is_error(401, "invalid_client");
            assert!(answer.header("www-authenticate").starts_with("Basic realm="), "{answer:?}");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

/// How often the audit tells of a code that was used again.
async fn audited(server: &Server) -> i64 {
    let sql = "SELECT COUNT(*) FROM audit_events WHERE kind = 'authorization_code.reused'";
    let (count,): (i64,) =
        shared::fetch_one!(&mut server.state.platform.db.read().await.unwrap(), (i64,), sql).unwrap();
    count
}

#[tokio::test]
async fn nothing_is_sent_to_a_redirect_uri_that_is_not_registered__rfc6749_4_1_2_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        for wrong in ["https://evil.example/", "https://app.example/callback/", "https://app.example/callback?x=1"] {
            server.get(&app.authorization(&[("redirect_uri", wrong)])).await.is_error_page();
        }
        server.post("/oauth/token", &app.exchange_form("nothing")).await.is_error(401, "invalid_client");
        server.get(&app.authorization(&[("client_id", "nobody")])).await.is_error_page();
        let query = server
            .get(&app.authorization(&[("response_type", "token")]))
            .await
            .redirects_with_error("unsupported_response_type");
        assert_eq!(query["state"], "af0ifjsldkj");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_narrows_the_access_token_and_never_widens_it__rfc6749_6() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let asked = [("scope", "openid email referral-codes:read")];
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &asked).await;
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let with = |scope| [("grant_type", "refresh_token"), ("refresh_token", refresh), ("scope", scope)];
        let before = server.rows().await;
        app.token(&with("openid profile")).await.is_error(400, "invalid_scope");
        assert_eq!(server.rows().await, before);
        assert_eq!(app.token(&with("email")).await.json(200)["scope"], "email");
    })
    .await;
}

#[tokio::test]
async fn a_code_is_for_its_client_and_its_redirect_uri_alone__rfc6749_4_1_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let second = "https://app.example/second";
        let (app, thief) = (server.app(|m| m.redirect_uris.push(second.into())).await, server.app(|_| {}).await);
        let code = app.code(&mut server.browser(), "ann@example.com", &[]).await;
        let before = server.rows().await;
        thief.exchange(&code).await.is_error(400, "invalid_grant");
        for (uri, error) in [
            (second, "invalid_grant"),
            ("https://app.example/callback/", "invalid_grant"),
            ("https://APP.example/callback", "invalid_grant"),
            ("", "invalid_request"),
        ] {
            let mut form = app.exchange_form(&code);
            form.retain(|(name, _)| *name != "redirect_uri");
            form.push(("redirect_uri", uri));
            app.token(&form).await.is_error(400, error);
        }
        assert_eq!(server.rows().await, before);
        // A thief did not use it up.
        app.exchange(&code).await.json(200);
    })
    .await;
}

/// Exchanges a code without saying where it was sent.
async fn exchange_without(app: &App, code: &str) -> Answer {
    let mut form = app.exchange_form(code);
    form.retain(|(name, _)| *name != "redirect_uri");
    app.token(&form).await
}

#[tokio::test]
async fn where_one_redirect_uri_is_registered_it_may_be_left_out__rfc6749_3_1_2_3__rfc6749_4_1_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        let code = app.code(&mut browser, "ann@example.com", &[("scope", "email"), ("redirect_uri", "")]).await;
        exchange_without(&app, &code).await.json(200);
        // Who named it names it again, and of two, one has to be named.
        let two = server.app(|client| client.redirect_uris.push("https://app.example/other".into())).await;
        let code = app.code(&mut browser, "ann@example.com", &[("scope", "email")]).await;
        let before = server.rows().await;
        exchange_without(&app, &code).await.is_error(400, "invalid_request");
        server.get(&two.authorization(&[("scope", "email"), ("redirect_uri", "")])).await.is_error_page();
        assert_eq!(server.rows().await, before);
        app.exchange(&code).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_code_that_lay_about_for_a_minute_is_an_invalid_grant__rfc6749_4_1_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let code = app.code(&mut server.browser(), "ann@example.com", &[]).await;
        server.state.platform.clock.advance(std::time::Duration::from_secs(61));
        let before = server.rows().await;
        app.exchange(&code).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_client_without_the_grant_is_told_so__rfc6749_4_1_2_1() {
    each_server(&[], |server| async move {
        let machine = server.app(|client| client.grant_types = vec!["client_credentials".into()]).await;
        let before = server.rows().await;
        let told = server.get(&machine.authorization(&[])).await.redirects_with_error("unauthorized_client");
        assert_eq!(told["state"], "af0ifjsldkj");
        server.get(&machine.authorization(&[("redirect_uri", "https://evil.example/")])).await.is_error_page();
        assert_eq!(server.rows().await, before);

        // Also when it lost the grant after it pushed a request.
        let app = server.app(|_| {}).await;
        let uri = pushed(&app, &[]).await;
        let id = app.client_id.as_str().into();
        let mut tx = server.state.platform.db.begin().await.unwrap();
        let mut client = clients::by_id(&mut tx, &id).await.unwrap().unwrap();
        client.metadata.grant_types = vec!["client_credentials".into()];
        execute!(&mut tx, "UPDATE clients SET metadata = $2 WHERE client_id = $1", &id, Json(&client.metadata))
            .unwrap();
        tx.commit().await.unwrap();
        server.state.clients.forget(&id).await;
        let before = server.rows().await;
        let beside = [("redirect_uri", app.redirect_uri.as_str())];
        let told = server.get(&referring(&app.client_id, &uri, &beside)).await;
        told.redirects_with_error("unauthorized_client");
        server.get(&referring(&app.client_id, &uri, &[])).await.is_error_page();
        // A parameter that comes twice is no better beside a request_uri.
        let two = format!("{}&x=1&x=2", referring(&machine.client_id, &uri, &beside));
        server.get(&two).await.redirects_with_error("invalid_request");
        assert_eq!(server.rows().await, before);
    })
    .await;
}
