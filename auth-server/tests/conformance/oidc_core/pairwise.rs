//! §8.1, pairwise identifiers, wherever a `sub` is told.

use auth_server::clients::{ClientMetadata, SubjectType};
use axum::http::Request;
use serde_json::{Value, json};
use shared::ids::UserId;

use super::userinfo::delete;
use crate::harness::{ALLOWED, Answer, App, Server, Site, each_server};

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

/// The session in both tokens of this client: one and the same.
async fn sid(server: &Server, tokens: &Value) -> String {
    let [id_token, access_token] = ["id_token", "access_token"].map(|name| tokens[name].as_str().unwrap().to_owned());
    let sid = server.jwt(&id_token).await.1["sid"].as_str().expect("a sid").to_owned();
    assert_eq!(server.jwt(&access_token).await.1["sid"], sid);
    sid
}

async fn refresh_revocations(server: &Server) {
    let platform = &server.state.platform;
    platform.revocations.refresh(&platform.db, platform.clock.now()).await.unwrap();
}

#[tokio::test]
async fn two_sectors_see_different_sids_of_one_session_and_its_end_is_the_same_for_all__oidc_core_8_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let mut browser = server.browser();
        let (mut sids, mut access_tokens) = (vec![], vec![]);
        let one = server.app(pairwise("https://a.example/one")).await;
        let two = server.app(pairwise("https://a.example/two")).await;
        let other = server.app(pairwise("https://b.example/one")).await;
        let public = server.app(|_| {}).await;
        let mut hint = String::new();
        for app in [&one, &two, &other, &public] {
            let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
            sids.push(sid(&server, &tokens).await);
            let refreshed = app.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
            assert_eq!(sid(&server, &refreshed).await, *sids.last().unwrap());
            access_tokens.push(tokens["access_token"].as_str().unwrap().to_owned());
            access_tokens.push(refreshed["access_token"].as_str().unwrap().to_owned());
            hint += if app.client_id == other.client_id { tokens["id_token"].as_str().unwrap() } else { "" };
        }
        // One that is to outlast the session, and whose tokens of the session end with it all the same.
        let lasting = server.app(pairwise("https://c.example/one")).await;
        let tokens = lasting.tokens(&mut browser, "ann@example.com", &[("scope", "openid offline_access")]).await;
        sids.push(sid(&server, &tokens).await);
        access_tokens.push(tokens["access_token"].as_str().unwrap().to_owned());

        assert_eq!(sids[0], sids[1], "a sector is one");
        let mut different = sids[1..].to_vec();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), 4, "{sids:?}");
        for told in [&sids[0], &sids[2], &sids[4]] {
            assert!(told.parse::<UserId>().is_err(), "no UUID with a time in it: {told}");
        }

        for token in &access_tokens {
            userinfo(&server, token).await.json(200);
        }
        // A hint with the sector's own sid names the session.
        let answer = browser.get(&format!("/oauth/logout?id_token_hint={hint}")).await;
        assert!(answer.body.contains("You are signed out"), "{answer:?}");
        refresh_revocations(&server).await;
        for token in &access_tokens {
            assert_eq!(userinfo(&server, token).await.status, 401);
        }
        let refreshed = lasting.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
        let access_token = refreshed["access_token"].as_str().unwrap();
        assert!(server.jwt(access_token).await.1.get("sid").is_none());
        userinfo(&server, access_token).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn the_hint_of_one_sector_names_no_session_of_another_person__oidc_core_8_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(pairwise("https://a.example/one")).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let hint = tokens["id_token"].as_str().unwrap();
        let mut later = server.browser();
        later.sign_in("ann@example.com").await;
        let before = server.rows().await;
        let asked = later.get(&format!("/oauth/logout?id_token_hint={hint}")).await;
        assert!(asked.body.contains("would like to sign you out"), "another session: {asked:?}");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn what_came_of_a_pairwise_token_by_exchange_ends_with_its_session__oidc_core_8_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
        let app = server.app(pairwise("https://a.example/one")).await;
        let service = server
            .own_app(|m| {
                m.grant_types.push(exchange.into());
                pairwise("https://service.example/cb")(m);
            })
            .await;
        let mut browser = server.browser();
        // To outlast the session, so that it is the session's end that counts and not the grant's.
        let tokens = app.tokens(&mut browser, "ann@example.com", &[("scope", "openid offline_access")]).await;
        let form = [
            ("grant_type", exchange),
            ("subject_token", tokens["access_token"].as_str().unwrap()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ];
        let exchanged = service.token(&form).await.json(200);
        let exchanged = exchanged["access_token"].as_str().unwrap();
        userinfo(&server, exchanged).await.json(200);
        let csrf = browser.get("/logout").await.hidden("csrf");
        browser.post("/logout", &[("csrf", &csrf)]).await.location();
        refresh_revocations(&server).await;
        assert_eq!(userinfo(&server, exchanged).await.status, 401);
    })
    .await;
}

#[tokio::test]
async fn a_sector_identifier_uri_decides_the_sub_and_else_the_host_or_the_client_itself__oidc_core_8_1() {
    each_server(&[ALLOWED], |server| async move {
        server.person("ann@example.com").await;
        let site = Site::start().await;
        let sector = site.publish("/sector", &json!(["https://a.example/one", "https://b.example/one"]));
        let shared = |uri: &'static str| {
            let sector = sector.clone();
            move |m: &mut ClientMetadata| {
                pairwise(uri)(m);
                m.sector_identifier_uri = Some(sector);
            }
        };
        let (one, _) = sub(&server, &server.app(shared("https://a.example/one")).await).await;
        let (two, _) = sub(&server, &server.app(shared("https://b.example/one")).await).await;
        let (alone, _) = sub(&server, &server.app(pairwise("https://a.example/one")).await).await;
        assert_eq!(one, two);
        assert_ne!(one, alone);
        // A private scheme's host is anybody's to write, and a loopback address everybody's: the client is a sector of one.
        let mut subs = vec![one, alone];
        for uri in ["com.example.app://a.example/one", "http://127.0.0.1/one"] {
            for _ in 0..2 {
                subs.push(sub(&server, &server.app(pairwise(uri)).await).await.0);
            }
        }
        let all = subs.len();
        subs.sort();
        subs.dedup();
        assert_eq!(subs.len(), all, "{subs:?}");
    })
    .await;
}
