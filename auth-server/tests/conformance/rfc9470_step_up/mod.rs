//! RFC 9470: OAuth 2.0 Step Up Authentication Challenge Protocol, at the one resource here that asks for it: who deletes
//! an account must have signed in within five minutes. The referral API's own is told in its tests, and both ends
//! together in `e2e`.

use axum::http::Request;

use crate::harness::{Answer, App, Server, each_server};

const SCOPE: &str = "openid offline_access account:read account:write";
const ME: &str = "/api/v1/me";

async fn app(server: &Server) -> App {
    let scopes: Vec<String> = SCOPE.split(' ').map(str::to_owned).collect();
    server.own_app(|metadata| metadata.scopes = scopes).await
}

async fn delete(server: &Server, tokens: &serde_json::Value) -> Answer {
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().expect("an access token"));
    server.send(Request::delete(ME).header("authorization", bearer), "").await
}

/// The `max_age` of the challenge.
#[track_caller]
fn max_age(answer: &Answer) -> String {
    assert_eq!(answer.status, 401, "{answer:?}");
    answer.is_not_cached();
    let challenge = answer.header("www-authenticate");
    assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{answer:?}");
    let (_, rest) = challenge.split_once("max_age=\"").expect("a max_age");
    rest.split('"').next().expect("it ends").to_owned()
}

#[tokio::test]
async fn the_challenge_leads_to_a_sign_in_that_is_enough_and_a_refresh_does_not__rfc9470_4__rfc9470_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, mut browser) = (app(&server).await, server.browser());
        let tokens = app.tokens(&mut browser, "ann@example.com", &[("scope", SCOPE)]).await;
        server.state.platform.clock.advance(std::time::Duration::from_secs(301));
        let before = server.rows().await;
        let asked = max_age(&delete(&server, &tokens).await);
        assert_eq!((asked.as_str(), server.rows().await), ("300", before));

        // A new token tells of the old sign-in (§6.2).
        let refreshed = app.refresh(tokens["refresh_token"].as_str().expect("a refresh token")).await.json(200);
        max_age(&delete(&server, &refreshed).await);
        // So does one of a request that asks nobody.
        let silent = app.tokens(&mut browser, "ann@example.com", &[("scope", SCOPE), ("prompt", "none")]).await;
        max_age(&delete(&server, &silent).await);

        let more = [("scope", SCOPE), ("max_age", asked.as_str())];
        assert!(
            browser.get(&app.authorization(&more)).await.location().starts_with("/login"),
            "asked, though signed in"
        );
        let recent = app.tokens(&mut browser, "ann@example.com", &more).await;
        assert_eq!(delete(&server, &recent).await.status, 204);
        let bearer = format!("Bearer {}", recent["access_token"].as_str().expect("an access token"));
        let gone = server.send(Request::get(ME).header("authorization", bearer), "").await;
        assert_eq!(gone.status, 401, "{gone:?}");
    })
    .await;
}
