//! §5.2 and §4.1.2.1 `temporarily_unavailable`: too often, or the database is away. Then `Retry-After` says when to come
//! again.

use crate::harness::{Answer, PASSWORD, each_server};
use crate::rfc7591_registration::{OPEN, app, register};

#[track_caller]
fn says_when(answer: &Answer, status: u16) {
    answer.is_error(status, "temporarily_unavailable");
    let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&seconds), "{answer:?}");
}

#[tokio::test]
async fn while_the_database_is_away_every_endpoint_says_when_to_come_again__rfc6749_5_2() {
    each_server(&[], |server| async move {
        let client = server.app(|_| {}).await;
        server.state.platform.db.close().await;
        for (path, form) in [
            ("/oauth/token", client.exchange_form("code")),
            ("/oauth/revoke", vec![("token", "x")]),
            ("/oauth/introspect", vec![("token", "x")]),
            ("/oauth/device_authorization", vec![("scope", "openid")]),
            ("/oauth/par", client.parameters(&[])),
        ] {
            says_when(&client.post(path, &form).await, 503);
        }
    })
    .await;
}

#[tokio::test]
async fn a_password_that_is_tried_too_often_is_not_looked_at__rfc6585_4() {
    let settings = [("LIMITS__ENABLED", "true"), ("LIMITS__SIGNINS_PER_MINUTE", "2")];
    each_server(&settings, |server| async move {
        server.person("ann@example.com").await;
        let own = server.own_app(|metadata| metadata.grant_types = vec!["password".into()]).await;
        let ask = |password: &'static str| {
            let own = own.clone();
            async move {
                let form = [("grant_type", "password"), ("username", "ann@example.com"), ("password", password)];
                own.token(&form).await
            }
        };
        for _ in 0..2 {
            ask("wrong horse").await.is_error(400, "invalid_grant");
        }
        let before = server.rows().await;
        says_when(&ask(PASSWORD).await, 429);
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn devices_that_begin_too_often_wait__rfc6585_4() {
    let settings = [("LIMITS__ENABLED", "true"), ("LIMITS__AUTHORIZATIONS_PER_MINUTE", "2")];
    each_server(&settings, |server| async move {
        let device = "urn:ietf:params:oauth:grant-type:device_code";
        let client = server
            .app(|metadata| {
                metadata.redirect_uris.clear();
                metadata.grant_types = vec![device.into()];
            })
            .await;
        let path = "/oauth/device_authorization";
        for _ in 0..2 {
            client.post(path, &[("scope", "openid")]).await.json(200);
        }
        let before = server.rows().await;
        says_when(&client.post(path, &[("scope", "openid")]).await, 429);
        assert_eq!(server.rows().await, before);
    })
    .await;
}

/// Each is an entry in the memory of every process: who registers many clients gets no further than with one.
#[tokio::test]
async fn access_tokens_are_revoked_so_often_from_one_address_whatever_the_client__rfc6585_4() {
    each_server(&[OPEN, ("LIMITS__ENABLED", "true")], |server| async move {
        let machine = serde_json::json!({
            "client_name": "Machine", "grant_types": ["client_credentials"], "scope": "referral-codes:read",
            "response_types": [],
        });
        let form = [("grant_type", "client_credentials")];
        let mut clients = vec![];
        for _ in 0..2 {
            clients.push(app(&server, &register(&server, &machine).await.json(201)).await);
        }
        for n in 0..120 {
            let client = &clients[n % 2];
            let token = client.token(&form).await.json(200)["access_token"].as_str().unwrap().to_owned();
            assert_eq!(client.post("/oauth/revoke", &[("token", &token)]).await.status, 200);
        }
        let before = server.rows().await;
        for client in &clients {
            let token = client.token(&form).await.json(200)["access_token"].as_str().unwrap().to_owned();
            says_when(&client.post("/oauth/revoke", &[("token", &token)]).await, 429);
        }
        assert_eq!(server.rows().await, before);
        // The operator's own are counted by themselves.
        let own = server.app(|metadata| metadata.grant_types = vec!["client_credentials".into()]).await;
        let token = own.token(&form).await.json(200)["access_token"].as_str().unwrap().to_owned();
        assert_eq!(own.post("/oauth/revoke", &[("token", &token)]).await.status, 200);
    })
    .await;
}
