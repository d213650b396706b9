//! `PUT`: other metadata.

use serde_json::{Value, json};

use super::Registration;
use crate::harness::each_server;
use crate::rfc7591_registration::{OPEN, app, register, web_app};

#[tokio::test]
async fn metadata_is_replaced_as_a_whole_and_holds_at_once__rfc7592_2_2() {
    each_server(&[OPEN], |server| async move {
        let mut asked = web_app();
        asked["logo_uri"] = json!("https://app.example/logo.png");
        asked["grant_types"] = json!(["authorization_code", "refresh_token"]);
        let registration = Registration::of(&server, register(&server, &asked).await.json(201));
        let before = app(&server, &registration.said).await;
        server.browser().get(&before.authorization(&[])).await.location();

        let id = &registration.said["client_id"];
        let put = json!({ "client_id": id, "redirect_uris": ["https://app.example/new"], "client_name": "New" });
        let answer = registration.put(&put).await;
        let said = answer.json(200);
        answer.is_not_cached();
        assert_eq!(said["redirect_uris"], put["redirect_uris"]);
        assert_eq!(said["client_name"], "New");
        assert!(said.get("logo_uri").is_none(), "what is left out is gone: {said}");
        assert_eq!(said["grant_types"], json!(["authorization_code"]));
        assert_eq!(said["registration_access_token"], registration.token.as_str());
        assert!(said.get("client_secret").is_none(), "it stays as it was: {said}");
        assert_eq!(registration.get().await.json(200), said);

        server.browser().get(&before.authorization(&[])).await.is_error_page();
        let mut after = app(&server, &said).await;
        after.secret = before.secret;
        let answer = server.browser().get(&after.authorization(&[])).await;
        assert!(answer.location().starts_with("/login"), "{answer:?}");
        // The secret of before still proves who it is.
        after.exchange("no-such-code").await.is_error(400, "invalid_grant");
    })
    .await;
}

#[tokio::test]
async fn an_update_names_its_client_and_says_nothing_that_is_the_servers__rfc7592_2_2() {
    each_server(&[OPEN], |server| async move {
        let registration = Registration::of(&server, register(&server, &web_app()).await.json(201));
        let before = (server.rows().await, registration.get().await.body);
        let mut nameless = registration.with(&json!({}));
        nameless.as_object_mut().expect("an object").remove("client_id");
        for body in [
            nameless,
            registration.with(&json!({ "client_id": "another" })),
            registration.with(&json!({ "client_id": null })),
            registration.with(&json!({ "client_secret": "guessed" })),
            registration.with(&json!({ "client_secret": null })),
            registration.with(&json!({ "registration_access_token": registration.token })),
            registration.with(&json!({ "registration_client_uri": registration.said["registration_client_uri"] })),
            registration.with(&json!({ "client_id_issued_at": 1 })),
            registration.with(&json!({ "client_secret_expires_at": 0 })),
            registration.with(&json!({ "default_max_age": "soon" })),
        ] {
            registration.put(&body).await.is_error(400, "invalid_client_metadata");
        }
        let elsewhere = registration.with(&json!({ "redirect_uris": ["http://app.example/cb"] }));
        registration.put(&elsewhere).await.is_error(400, "invalid_redirect_uri");
        registration.send("PUT", Some(&registration.token), "[]").await.is_error(400, "invalid_client_metadata");
        assert_eq!((server.rows().await, registration.get().await.body), before);
        // With everything as it was told, the secret included, it is accepted.
        registration.put(&registration.with(&json!({}))).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn an_update_raises_nobody_above_what_they_could_have_registered__rfc7592_2_2() {
    each_server(&[OPEN], |server| async move {
        let registration = Registration::of(&server, register(&server, &web_app()).await.json(201));
        let before = registration.get().await.body;
        for changes in [
            json!({ "grant_types": ["authorization_code", "password"] }),
            json!({ "scope": "openid account:write" }),
            json!({ "scope": "referrals:admin" }),
        ] {
            registration.put(&registration.with(&changes)).await.is_error(400, "invalid_client_metadata");
        }
        assert_eq!(registration.get().await.body, before);
        registration.put(&registration.with(&json!({ "first_party": true, "require_pkce": false }))).await.json(200);
        let id = registration.said["client_id"].as_str().expect("an id").into();
        let client = server.state.clients.get(&id).await.expect("the database").expect("the client");
        assert!(!client.first_party && client.metadata.require_pkce);
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_issued_or_ended_as_the_way_to_authenticate_changes__rfc7592_2_2() {
    each_server(&[OPEN], |server| async move {
        let registration = Registration::of(&server, register(&server, &web_app()).await.json(201));
        let change = |method: &str| {
            let mut body = registration.with(&json!({ "token_endpoint_auth_method": method }));
            body.as_object_mut().expect("an object").remove("client_secret");
            body
        };
        let public: Value = registration.put(&change("none")).await.json(200);
        assert!(public.get("client_secret").is_none() && public.get("client_secret_expires_at").is_none());
        let confidential = registration.put(&change("client_secret_post")).await.json(200);
        let fresh = confidential["client_secret"].as_str().expect("a new secret");
        assert_ne!(fresh, registration.said["client_secret"].as_str().expect("the first one"));
        let mut app = app(&server, &confidential).await;
        app.exchange("no-such-code").await.is_error(400, "invalid_grant");
        app.secret = registration.said["client_secret"].as_str().map(str::to_owned);
        app.exchange("no-such-code").await.is_error(401, "invalid_client");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_moves_elsewhere_has_to_ask_people_again__rfc9700_4_1() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        let registration = Registration::of(&server, register(&server, &web_app()).await.json(201));
        let mut browser = server.browser();
        let before = app(&server, &registration.said).await;
        before.code(&mut browser, "ann@example.com", &[]).await;
        let again = browser.get(&before.authorization(&[])).await;
        assert!(again.location().starts_with("https://app.example/"), "{again:?}");
        let moved = registration.with(&json!({ "redirect_uris": ["https://elsewhere.example/"] }));
        let said = registration.put(&moved).await.json(200);
        let answer = browser.get(&app(&server, &said).await.authorization(&[])).await;
        assert!(answer.location().starts_with("/consent"), "{answer:?}");
    })
    .await;
}
