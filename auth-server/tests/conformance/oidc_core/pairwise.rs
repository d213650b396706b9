//! §8.1, pairwise identifiers, wherever a `sub` is told.

use auth_server::clients::{ClientMetadata, SubjectType};
use axum::http::Request;
use serde_json::Value;
use shared::ids::UserId;

use super::userinfo::delete;
use crate::harness::{Answer, App, Server, each_server};

fn pairwise(uri: &'static str) -> impl FnOnce(&mut ClientMetadata) {
    move |m| {
        m.subject_type = SubjectType::Pairwise;
        m.redirect_uris = vec![uri.into()];
    }
}

async fn userinfo(server: &Server, access_token: &str) -> Answer {
    let bearer = format!("Bearer {access_token}");
    server.send(Request::get("/oauth/userinfo").header("authorization", bearer), "").await
}

/// Ann's `sub` wherever this client is told it: one and the same.
async fn sub(server: &Server, app: &App) -> (String, Value) {
    let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
    let access_token = tokens["access_token"].as_str().unwrap();
    let (_, id_token) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
    let sub = id_token["sub"].as_str().expect("a sub").to_owned();
    assert_eq!(server.jwt(access_token).await.1["sub"], sub);
    assert_eq!(userinfo(server, access_token).await.json(200)["sub"], sub);
    for token in [access_token, tokens["refresh_token"].as_str().unwrap()] {
        assert_eq!(app.post("/oauth/introspect", &[("token", token)]).await.json(200)["sub"], sub);
    }
    let refreshed = app.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
    assert_eq!(server.jwt(refreshed["access_token"].as_str().unwrap()).await.1["sub"], sub);
    (sub, refreshed)
}

#[tokio::test]
async fn a_sector_knows_a_person_by_one_sub_that_no_other_knows__oidc_core_8_1() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let (one, _) = sub(&server, &server.app(pairwise("https://a.example/one")).await).await;
        let (two, _) = sub(&server, &server.app(pairwise("https://a.example/two")).await).await;
        let (other, _) = sub(&server, &server.app(pairwise("https://b.example/one")).await).await;
        let (public, _) = sub(&server, &server.app(|_| {}).await).await;
        assert_eq!(one, two);
        assert_ne!(one, other);
        assert_eq!(public, ann.to_string());
        for sub in [&one, &other] {
            assert!(sub.parse::<UserId>().is_err() && !sub.contains(&ann.to_string()), "{sub}");
        }
    })
    .await;
}

#[tokio::test]
async fn hints_and_named_subjects_are_read_as_the_client_knows_them__oidc_core_8_1() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let app = server.app(pairwise("https://a.example/one")).await;
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
        let id_token = tokens["id_token"].as_str().unwrap();
        let sub = server.jwt(id_token).await.1["sub"].as_str().unwrap().to_owned();
        let silent = app.authorization(&[("prompt", "none"), ("id_token_hint", id_token)]);
        assert!(browser.get(&silent).await.query().contains_key("code"));
        let named = |sub: &str| serde_json::json!({"id_token": {"sub": {"value": sub}}}).to_string();
        let own = app.authorization(&[("prompt", "none"), ("claims", &named(&sub))]);
        assert!(browser.get(&own).await.query().contains_key("code"));
        // The account's own id is nobody to this client: it must not find out whose it is.
        let public = app.authorization(&[("prompt", "none"), ("claims", &named(&ann.to_string()))]);
        browser.get(&public).await.redirects_with_error("login_required");
    })
    .await;
}

#[tokio::test]
async fn deleting_the_account_ends_pairwise_tokens__oidc_core_8_1() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        let app = server.app(pairwise("https://a.example/one")).await;
        let (_, tokens) = sub(&server, &app).await;
        let access_token = tokens["access_token"].as_str().unwrap();
        delete(&server, ann).await;
        let answer = app.post("/oauth/introspect", &[("token", access_token)]).await.json(200);
        assert_eq!(answer, serde_json::json!({"active": false}));
        assert_eq!(userinfo(&server, access_token).await.status, 401);
        app.refresh(tokens["refresh_token"].as_str().unwrap()).await.is_error(400, "invalid_grant");
    })
    .await;
}
