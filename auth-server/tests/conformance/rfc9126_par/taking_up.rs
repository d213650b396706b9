//! §4: the browser brings the reference.

use std::time::Duration;

use futures::future::join_all;

use super::{pushed, referring};
use crate::harness::each_server;

#[tokio::test]
async fn however_many_browsers_bring_a_reference_one_authorization_request_comes_of_it__rfc9126_4() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let uri = pushed(&app, &[]).await;
        let url = referring(&app.client_id, &uri, &[]);
        let before = server.rows().await;
        let answers = join_all((0..12).map(|_| server.get(&url))).await;
        let mut places: Vec<&str> = answers.iter().map(|answer| answer.location()).collect();
        places.dedup();
        assert_eq!(places.len(), 1, "{places:?}");
        let after = server.rows().await;
        // The reference is used up, for one request.
        let changed = [("authorization_requests", 1), ("pushed_requests", 1)];
        assert_eq!(after.changed_since(&before), changed.into());
    })
    .await;
}

#[tokio::test]
async fn a_reference_serves_once__rfc9126_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let uri = pushed(&app, &[]).await;
        let url = referring(&app.client_id, &uri, &[]);
        let mut browser = server.browser();
        // A browser that loads ahead does not use it up (FAPI 2.0 Security Profile §5.3.2.2).
        server.browser().get(&url).await.location();
        app.code(&mut browser, "ann@example.com", &[]).await;
        let code = browser.code(&url, "ann@example.com").await;
        let before = server.rows().await;
        let again = browser.get(&url).await;
        again.is_error_page();
        assert_eq!(again.status.as_u16(), 400);
        server.browser().get(&url).await.is_error_page();
        assert_eq!(server.rows().await, before);
        app.exchange(&code).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn a_reference_is_the_clients_own_and_does_not_last__rfc9126_4() {
    each_server(&[], |server| async move {
        let (app, other) = (server.app(|_| {}).await, server.app(|_| {}).await);
        let uri = pushed(&app, &[]).await;
        let before = server.rows().await;
        let shown = server.get(&referring(&other.client_id, &uri, &[])).await;
        shown.is_error_page();
        assert_eq!(shown.status.as_u16(), 400);
        for broken in [&uri[..uri.len() - 1], "urn:ietf:params:oauth:request_uri:", "urn:ietf:params:oauth:request_uri"]
        {
            server.get(&referring(&app.client_id, broken, &[])).await.is_error_page();
        }
        server.get(&referring("nobody", &uri, &[])).await.is_error_page();
        assert_eq!(server.rows().await, before);
        // Where the client's redirect URI stands beside it, the client is told (RFC 9101 §7).
        let beside = [("redirect_uri", app.redirect_uri.as_str()), ("state", "xyz")];
        let told = server.get(&referring(&app.client_id, "urn:ietf:params:oauth:request_uri:x", &beside)).await;
        assert_eq!(told.redirects_with_error("invalid_request_uri")["state"], "xyz");
        let evil = [("redirect_uri", "https://evil.example/callback")];
        server.get(&referring(&app.client_id, "urn:ietf:params:oauth:request_uri:x", &evil)).await.is_error_page();

        server.state.platform.clock.advance(Duration::from_secs(89));
        let still = pushed(&app, &[]).await;
        server.get(&referring(&app.client_id, &uri, &[])).await.location();
        server.state.platform.clock.advance(Duration::from_secs(90));
        let before = server.rows().await;
        server.get(&referring(&app.client_id, &still, &[])).await.is_error_page();
        server.get(&referring(&app.client_id, &uri, &[])).await.is_error_page();
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn what_did_not_come_from_here_is_not_fetched__rfc9101_5_2() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        for uri in ["https://app.example/request.jwt", "http://127.0.0.1:1/", "urn:example:x", "x"] {
            let told = server.get(&app.authorization(&[("request_uri", uri)])).await;
            told.redirects_with_error("request_uri_not_supported");
        }
        let both = [("request_uri", "urn:ietf:params:oauth:request_uri:x"), ("request", "x.y.z")];
        server.get(&app.authorization(&both)).await.redirects_with_error("invalid_request");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn what_stands_beside_the_reference_changes_nothing__rfc9101_6_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|client| client.redirect_uris.push("https://app.example/second".into())).await;
        let uri = pushed(&app, &[("scope", "openid")]).await;
        let beside = [
            ("scope", "openid email phone"),
            ("state", "another"),
            ("redirect_uri", "https://app.example/second"),
            ("response_type", "token"),
        ];
        let mut browser = server.browser();
        let answer = browser.authorize(&referring(&app.client_id, &uri, &beside), "ann@example.com").await;
        assert!(answer.location().starts_with("https://app.example/callback?"), "{answer:?}");
        assert_eq!(answer.query()["state"], "af0ifjsldkj");
        assert_eq!(app.exchange(&answer.query()["code"]).await.json(200)["scope"], "openid");
    })
    .await;
}
