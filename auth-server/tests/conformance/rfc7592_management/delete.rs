//! `DELETE`: the end of a client.

use super::Registration;
use crate::harness::each_server;
use crate::rfc7591_registration::{OPEN, app, register, web_app};

#[tokio::test]
async fn a_client_that_is_deleted_is_gone_with_all_it_was_granted__rfc7592_2_3() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        let empty = server.rows().await;
        let mut asked = web_app();
        asked["grant_types"] = serde_json::json!(["authorization_code", "refresh_token"]);
        let registration = Registration::of(&server, register(&server, &asked).await.json(201));
        let app = app(&server, &registration.said).await;
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &[("scope", "openid offline_access")]).await;
        let access = tokens["access_token"].as_str().expect("an access token");
        let authorization = format!("Bearer {access}");
        let userinfo = || axum::http::Request::get("/oauth/userinfo").header("authorization", &authorization);
        server.send(userinfo(), "").await.json(200);

        let answer = registration.send("DELETE", Some(&registration.token), "").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
        answer.is_not_cached();

        let refreshed = app.refresh(tokens["refresh_token"].as_str().expect("a refresh token")).await;
        refreshed.is_error(401, "invalid_client");
        assert_eq!(server.send(userinfo(), "").await.status.as_u16(), 401);
        browser.get(&app.authorization(&[])).await.is_error_page();
        registration.get().await.is_error(401, "invalid_token");
        registration.send("DELETE", Some(&registration.token), "").await.is_error(401, "invalid_token");
        // Ann is still signed in; the client's tokens, and those that came of its grant in others' names, are listed until
        // the last would have expired.
        let left = [("browser_sessions", 1), ("revocations", 2)];
        assert_eq!(server.rows().await.changed_since(&empty), left.into());
    })
    .await;
}
