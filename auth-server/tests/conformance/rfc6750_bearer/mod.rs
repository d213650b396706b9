//! RFC 6750: Bearer Token Usage, at the resources of the authorization server itself. (The referral API's are in
//! `referral-api/tests/api/tokens.rs`; the ways of sending a token at userinfo in `oidc_core/userinfo.rs`.)

use std::time::Duration;

use axum::http::Request;

use crate::harness::{Answer, App, Server, each_server};

const RESOURCES: [(&str, &str); 2] = [("/oauth/userinfo", "openid"), ("/api/v1/me", "account:read")];

async fn ask(server: &Server, path: &str, authorization: &[&str]) -> Answer {
    let request = authorization.iter().fold(Request::get(path), |request, a| request.header("authorization", *a));
    server.send(request, "").await
}

/// The Bearer challenge is exactly this, and the answer is kept by nobody.
#[track_caller]
fn challenged(answer: &Answer, status: u16, challenge: &str) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), challenge, "{answer:?}");
    answer.is_not_cached();
}

async fn own_app(server: &Server) -> App {
    server.own_app(|m| m.scopes = vec!["openid".into(), "account:read".into()]).await
}

async fn token(app: &App, scope: &str) -> String {
    let tokens = app.tokens(&mut app.server.browser(), "ann@example.com", &[("scope", scope)]).await;
    format!("Bearer {}", tokens["access_token"].as_str().expect("an access token"))
}

#[tokio::test]
async fn who_sends_no_token_is_told_the_scheme_and_no_error__rfc6750_3__rfc6750_3_1() {
    each_server(&[], |server| async move {
        for (path, _) in RESOURCES {
            for authorization in [&[][..], &["Basic YTpi"]] {
                challenged(&ask(&server, path, authorization).await, 401, "Bearer realm=\"referris\"");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_not_one_token_in_one_header_is_an_invalid_request__rfc6750_3_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let good = token(&own_app(&server).await, "openid account:read").await;
        let token = good.as_str();
        let before = server.rows().await;
        let challenge = "Bearer realm=\"referris\", error=\"invalid_request\"";
        for (path, _) in RESOURCES {
            for authorization in [&["Bearer"][..], &[token, token], &[token, "Basic YTpi"]] {
                challenged(&ask(&server, path, authorization).await, 400, challenge);
            }
            // A scheme has no case (RFC 9110 §11.1).
            ask(&server, path, &[&token.replacen("Bearer", "bEARER", 1)]).await.json(200);
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_none_or_expired_or_revoked_is_an_invalid_token__rfc6750_3_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = own_app(&server).await;
        let challenge = "Bearer realm=\"referris\", error=\"invalid_token\"";
        let (old, platform) = (token(&app, "openid account:read").await, &server.state.platform);
        platform.clock.advance(Duration::from_secs(601));
        let revoked = token(&app, "openid account:read").await;
        app.post("/oauth/revoke", &[("token", revoked.trim_start_matches("Bearer "))]).await;
        platform.revocations.refresh(&platform.db, platform.clock.now()).await.unwrap();
        for (path, _) in RESOURCES {
            for wrong in ["Bearer a.b.c", "Bearer nonsense", &old, &revoked] {
                challenged(&ask(&server, path, &[wrong]).await, 401, challenge);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_without_the_scope_is_told_which_is_needed__rfc6750_3_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = own_app(&server).await;
        let (openid, account) = (token(&app, "openid").await, token(&app, "account:read").await);
        for (path, scope) in RESOURCES {
            let token = if scope == "openid" { account.as_str() } else { openid.as_str() };
            let challenge = format!("Bearer realm=\"referris\", error=\"insufficient_scope\", scope=\"{scope}\"");
            challenged(&ask(&server, path, &[token]).await, 403, &challenge);
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_in_the_uri_is_not_looked_at__rfc6750_2_3__rfc6750_5_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let token = token(&own_app(&server).await, "openid account:read").await;
        for (path, _) in RESOURCES {
            let path = format!("{path}?access_token={}", token.trim_start_matches("Bearer "));
            challenged(&ask(&server, &path, &[]).await, 401, "Bearer realm=\"referris\"");
        }
    })
    .await;
}
