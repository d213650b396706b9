//! A client that moves into another sector (OpenID Connect Core §8.1): whom it knew, it knows by no name there.

use auth_server::clients::{self, ClientMetadata, SubjectType};
use axum::http::Request;
use serde_json::{Value, json};
use shared::execute;
use sqlx::types::Json;

use super::Registration;
use crate::back_channel_logout::{listening, settled, sign_out, waiting, worker};
use crate::harness::{ALLOWED, Answer, App, RelyingParty, Server, each_server};
use crate::rfc7591_registration::{OPEN, app, register};

async fn userinfo(server: &Server, tokens: &Value) -> Answer {
    let platform = &server.state.platform;
    platform.revocations.refresh(&platform.db, platform.clock.now()).await.unwrap();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().expect("an access token"));
    server.send(Request::get("/oauth/userinfo").header("authorization", bearer), "").await
}

async fn sub(server: &Server, tokens: &Value) -> Value {
    server.jwt(tokens["id_token"].as_str().expect("an ID token")).await.1["sub"].clone()
}

#[tokio::test]
async fn a_client_that_changes_its_sector_starts_anew__oidc_core_8_1() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        let asked = json!({
            "redirect_uris": ["https://app.example/cb"],
            "subject_type": "pairwise",
            "grant_types": ["authorization_code", "refresh_token"],
        });
        let registration = Registration::of(&server, register(&server, &asked).await.json(201));
        let secret = registration.said["client_secret"].as_str().map(str::to_owned);
        let before = app(&server, &registration.said).await;
        let mut browser = server.browser();
        let tokens = before.tokens(&mut browser, "ann@example.com", &[]).await;
        // Within the sector it keeps what it has.
        let same =
            registration.with(&json!({ "redirect_uris": ["https://app.example/cb", "https://app.example/other"] }));
        registration.put(&same).await.json(200);
        let refreshed = before.refresh(tokens["refresh_token"].as_str().expect("a refresh token")).await.json(200);
        assert_eq!(userinfo(&server, &refreshed).await.json(200)["sub"], sub(&server, &tokens).await);
        let code = before.code(&mut browser, "ann@example.com", &[]).await;

        let moved = registration.with(&json!({ "redirect_uris": ["https://victim.example/cb"] }));
        let said = registration.put(&moved).await.json(200);
        let mut after = app(&server, &said).await;
        after.secret = secret;
        let rows = server.rows().await;
        after.refresh(refreshed["refresh_token"].as_str().expect("another")).await.is_error(400, "invalid_grant");
        before.exchange(&code).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, rows);
        assert_eq!(userinfo(&server, &refreshed).await.status.as_u16(), 401);
        // It asks people anew, and knows them by another name, which works.
        assert!(browser.get(&after.authorization(&[])).await.location().starts_with("/consent"));
        let anew = after.tokens(&mut browser, "ann@example.com", &[]).await;
        assert_ne!(sub(&server, &anew).await, sub(&server, &tokens).await);
        assert_eq!(userinfo(&server, &anew).await.json(200)["sub"], sub(&server, &anew).await);
    })
    .await;
}

/// Moves the client and nothing else, as if its grants had been made while it moved.
async fn moved(server: &Server, app: &App, uri: &str) {
    let platform = &server.state.platform;
    let id = app.client_id.as_str().into();
    let mut tx = platform.db.begin().await.unwrap();
    let mut client = clients::by_id(&mut tx, &id).await.unwrap().unwrap();
    client.metadata.redirect_uris = vec![uri.into()];
    execute!(&mut tx, "UPDATE clients SET metadata = $2 WHERE client_id = $1", &id, Json(&client.metadata)).unwrap();
    tx.commit().await.unwrap();
    server.state.clients.forget(&id).await;
}

#[tokio::test]
async fn a_grant_serves_in_the_sector_it_was_made_in__oidc_core_8_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|m| m.subject_type = SubjectType::Pairwise).await;
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
        let code = app.code(&mut browser, "ann@example.com", &[]).await;
        let token = tokens["refresh_token"].as_str().expect("a refresh token");
        moved(&server, &app, "https://victim.example/cb").await;
        let before = server.rows().await;
        app.refresh(token).await.is_error(400, "invalid_grant");
        app.exchange(&code).await.is_error(400, "invalid_grant");
        let introspected = app.post("/oauth/introspect", &[("token", token)]).await.json(200);
        assert_eq!(introspected, json!({ "active": false }));
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_logout_token_names_nobody_in_a_sector_that_they_never_met_the_client_in__oidc_core_8_1() {
    each_server(&[ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let party = RelyingParty::start().await;
        let pairwise = |m: &mut ClientMetadata| {
            listening(&party)(m);
            m.subject_type = SubjectType::Pairwise;
        };
        let mut browser = server.browser();
        // One moves before the person signs out, the other while it is to be told.
        let (early, late) = (server.app(pairwise).await, server.app(pairwise).await);
        for app in [&early, &late] {
            app.tokens(&mut browser, "ann@example.com", &[]).await;
        }
        moved(&server, &early, "https://victim.example/cb").await;
        sign_out(&mut browser).await;
        assert_eq!(waiting(&server).await.len(), 1);
        moved(&server, &late, "https://victim.example/cb").await;
        let _worker = worker(&server);
        settled(&server).await;
        assert_eq!(party.received(), 0);
    })
    .await;
}
