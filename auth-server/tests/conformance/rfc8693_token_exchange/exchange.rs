//! §2.1 and §2.2.1, the request and its answer; §4.1, who acts.

use std::time::Duration;

use serde_json::json;

use super::{ACCESS_TOKEN, GRANT, form, service};
use crate::harness::each_server;

#[tokio::test]
async fn a_service_gets_a_token_of_its_own_that_says_who_acts_for_whom__rfc8693_2_2_1() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let (app, service) = (server.app(|_| {}).await, service(&server).await);
        let asked = [("scope", "openid email referral-codes:read referral-codes:write")];
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &asked).await;
        let subject_token = tokens["access_token"].as_str().unwrap();
        server.state.platform.clock.advance(Duration::from_secs(60));

        let api = server.state.platform.config.api.public_url.as_str().to_owned();
        let more = [("scope", "referral-codes:read"), ("audience", api.as_str())];
        let answer = service.token(&form(subject_token, &more)).await;
        answer.is_not_cached();
        let answer = answer.json(200);
        assert_eq!(answer["issued_token_type"], ACCESS_TOKEN);
        assert_eq!((&answer["token_type"], &answer["scope"]), (&json!("Bearer"), &json!("referral-codes:read")));
        // Never longer than the token it came from.
        assert!((530..=540).contains(&answer["expires_in"].as_i64().unwrap()), "{answer}");
        assert!(answer.get("refresh_token").is_none() && answer.get("id_token").is_none());

        let token = answer["access_token"].as_str().unwrap();
        let said = service.post("/oauth/introspect", &[("token", token)]).await.json(200);
        assert_eq!(said["sub"], ann.to_string());
        assert_eq!((&said["client_id"], &said["aud"]), (&json!(service.client_id), &json!(api)));
        assert_eq!(said["act"], json!({ "sub": service.client_id, "client_id": service.client_id }));
        assert_eq!(said["scope"], "referral-codes:read");

        // The grant's end is its end too.
        app.post("/oauth/revoke", &[("token", tokens["refresh_token"].as_str().unwrap())]).await;
        let said = service.post("/oauth/introspect", &[("token", token)]).await.json(200);
        assert_eq!(said, json!({ "active": false }));
    })
    .await;
}

#[tokio::test]
async fn each_service_on_the_way_is_named_inside_the_next_until_the_chain_is_too_long__rfc8693_4_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("scope", "openid email")]).await;
        let mut token = tokens["access_token"].as_str().unwrap().to_owned();
        let mut names = vec![];
        for _ in 0..5 {
            let next = service(&server).await;
            names.insert(0, next.client_id.clone());
            let answer = next.token(&form(&token, &[])).await.json(200);
            token = answer["access_token"].as_str().unwrap().to_owned();
            let said = next.post("/oauth/introspect", &[("token", &token)]).await.json(200);
            let mut act = &said["act"];
            for name in &names {
                assert_eq!(act["sub"], **name);
                act = &act["act"];
            }
            assert!(act.is_null());
        }
        let last = service(&server).await;
        last.token(&form(&token, &[])).await.is_error(400, "invalid_request");
    })
    .await;
}

#[tokio::test]
async fn an_actor_token_names_the_actor__rfc8693_2_1() {
    each_server(&[], |server| async move {
        for email in ["ann@example.com", "bob@example.com"] {
            server.person(email).await;
        }
        let app = server.app(|_| {}).await;
        let desk = server.own_app(|metadata| metadata.grant_types.push(GRANT.into())).await;
        let ann = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let bob = desk.tokens(&mut server.browser(), "bob@example.com", &[]).await;
        let (ann, bob) = (ann["access_token"].as_str().unwrap(), bob["access_token"].as_str().unwrap());
        let bob_said = desk.post("/oauth/introspect", &[("token", bob)]).await.json(200);

        let actor = [("actor_token", bob), ("actor_token_type", ACCESS_TOKEN)];
        let answer = desk.token(&form(ann, &actor)).await.json(200);
        let token = answer["access_token"].as_str().unwrap();
        let said = desk.post("/oauth/introspect", &[("token", token)]).await.json(200);
        assert_eq!(said["act"], json!({ "sub": bob_said["sub"], "client_id": desk.client_id }));

        // Somebody else's token makes nobody an actor.
        let actor = [("actor_token", ann), ("actor_token_type", ACCESS_TOKEN)];
        desk.token(&form(ann, &actor)).await.is_error(400, "invalid_request");
    })
    .await;
}

#[tokio::test]
async fn a_third_party_may_only_make_less_of_its_own_tokens__rfc8693_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let with_exchange = server.app(|metadata| metadata.grant_types.push(GRANT.into())).await;
        let other = server.app(|metadata| metadata.grant_types.push(GRANT.into())).await;
        let asked = [("scope", "openid email")];
        let tokens = with_exchange.tokens(&mut server.browser(), "ann@example.com", &asked).await;
        let token = tokens["access_token"].as_str().unwrap();
        let answer = with_exchange.token(&form(token, &[("scope", "email")])).await.json(200);
        let said =
            with_exchange.post("/oauth/introspect", &[("token", answer["access_token"].as_str().unwrap())]).await;
        let said = said.json(200);
        assert_eq!((&said["scope"], &said["act"]), (&json!("email"), &json!(null)));
        let before = server.rows().await;
        other.token(&form(token, &[])).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
    })
    .await;
}
