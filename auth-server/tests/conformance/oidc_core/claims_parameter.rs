//! §5.5, the `claims` parameter.

use auth_server::protocol::claims::SCOPE_CLAIMS;
use serde_json::json;

use crate::harness::each_server;
use crate::rfc7591_registration::{self, OPEN, register, web_app};
use crate::rfc7592_management::Registration;
use crate::rfc8693_token_exchange;

#[tokio::test]
async fn claims_asked_for_by_name_come_where_they_were_asked_for__oidc_core_5_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let claims = json!({
            "userinfo": {"given_name": {"essential": true}, "email": null, "https://example.com/x": null, "name#ru": null},
            "id_token": {"family_name": null, "email_verified": {"essential": false}, "auth_time": {"essential": true}},
            "elsewhere": {"anything": 1},
        });
        let claims = claims.to_string();
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("claims", &claims)]).await;
        let (_, id_token) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
        assert_eq!((&id_token["family_name"], &id_token["email_verified"]), (&json!("Lee"), &json!(false)));
        assert!(id_token["auth_time"].is_i64());
        for absent in ["given_name", "email", "name"] {
            assert!(id_token.get(absent).is_none(), "{id_token}");
        }
        let userinfo = userinfo(&server, &tokens).await;
        let expected = json!({"sub": id_token["sub"], "given_name": "Ann", "email": "ann@example.com"});
        assert_eq!(userinfo, expected);

        // They go on through a refresh.
        let refreshed = app.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
        assert_eq!(self::userinfo(&server, &refreshed).await, expected);
        assert_eq!(server.jwt(refreshed["id_token"].as_str().unwrap()).await.1["family_name"], "Lee");
    })
    .await;
}

async fn userinfo(server: &crate::harness::Server, tokens: &serde_json::Value) -> serde_json::Value {
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    server.send(axum::http::Request::get("/oauth/userinfo").header("authorization", bearer), "").await.json(200)
}

#[tokio::test]
async fn the_person_is_asked_about_them_like_about_their_scope__oidc_core_5_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        app.tokens(&mut browser, "ann@example.com", &[]).await;
        let claims = ("claims", r#"{"userinfo":{"email":null}}"#);
        let silent = app.authorization(&[claims, ("prompt", "none")]);
        browser.get(&silent).await.redirects_with_error("consent_required");
        let consent = browser.get(&app.authorization(&[claims])).await;
        let page = browser.get(consent.location()).await;
        assert!(page.body.contains("email"), "{page:?}");
        app.tokens(&mut browser, "ann@example.com", &[claims]).await;
        assert!(browser.get(&silent).await.query().contains_key("code"));

        // What the client's registration does not let it ask for by scope, it can't ask for by name either.
        let modest = server.app(|m| m.scopes = vec!["openid".into()]).await;
        let tokens = modest.tokens(&mut browser, "ann@example.com", &[claims]).await;
        let (_, id_token) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
        assert_eq!(userinfo(&server, &tokens).await, json!({"sub": id_token["sub"]}));
    })
    .await;
}

#[tokio::test]
async fn a_sub_that_is_named_must_be_who_signs_in__oidc_core_5_5_1() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        server.person("bob@example.com").await;
        let app = server.own_app(|_| {}).await;
        let mut bob = server.browser();
        bob.sign_in("bob@example.com").await;
        let named = json!({"id_token": {"sub": {"value": ann}}}).to_string();
        let before = server.rows().await;
        let silent = app.authorization(&[("claims", &named), ("prompt", "none")]);
        bob.get(&silent).await.redirects_with_error("login_required");
        for nobody in [json!({"value": "nobody"}), json!({"values": []}), json!({"value": 7})] {
            let nobody = json!({"userinfo": {"sub": nobody}}).to_string();
            bob.get(&app.authorization(&[("claims", &nobody)])).await.redirects_with_error("login_required");
        }
        assert_eq!(server.rows().await, before);
        let url = app.authorization(&[("claims", &named)]);
        assert!(bob.authorize(&url, "ann@example.com").await.query().contains_key("code"));
        let either = json!({"id_token": {"sub": {"values": ["nobody", ann]}}}).to_string();
        let either = app.authorization(&[("claims", &either), ("prompt", "none")]);
        assert!(bob.get(&either).await.query().contains_key("code"));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_claims_request_is_refused__oidc_core_5_5() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let before = server.rows().await;
        let (deep, large) =
            (format!("{}1{}", "{\"a\":".repeat(9), "}".repeat(9)), format!("{{\"a\":\"{}\"}}", "x".repeat(9000)));
        let many = json!({"id_token": {"sub": {"values": vec!["x"; 11]}}}).to_string();
        for wrong in [
            "nonsense",
            "[]",
            "\"userinfo\"",
            r#"{"userinfo":{},"userinfo":{}}"#,
            r#"{"userinfo":{"email":null,"email":{"essential":true}}}"#,
            r#"{"userinfo":[]}"#,
            r#"{"id_token":null}"#,
            r#"{"id_token":{"email":true}}"#,
            r#"{"id_token":{"email":{"essential":"yes"}}}"#,
            r#"{"id_token":{"acr":{"values":"gold"}}}"#,
            r#"{"id_token":{"acr":{"value":"gold","values":["gold"]}}}"#,
            r#"{"id_token":{"email":"\u0000"}}"#,
            &deep,
            &large,
            &many,
        ] {
            let query = server.get(&app.authorization(&[("claims", wrong)])).await;
            let query = query.redirects_with_error("invalid_request");
            assert!(query["error_description"].starts_with("claims: "), "{wrong}: {query:?}");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn they_are_told_to_the_client_they_were_granted_to_and_no_other__oidc_core_5_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let claims = ("claims", r#"{"userinfo":{"email":null,"given_name":null}}"#);
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[claims]).await;
        assert_eq!(userinfo(&server, &tokens).await["email"], "ann@example.com");
        let service = server.own_app(|m| m.grant_types.push(rfc8693_token_exchange::GRANT.into())).await;
        let form = [
            ("grant_type", rfc8693_token_exchange::GRANT),
            ("subject_token", tokens["access_token"].as_str().unwrap()),
            ("subject_token_type", rfc8693_token_exchange::ACCESS_TOKEN),
        ];
        let exchanged = service.token(&form).await.json(200);
        assert_eq!(exchanged["scope"], "openid");
        let told = userinfo(&server, &exchanged).await;
        assert_eq!(told.as_object().unwrap().keys().collect::<Vec<_>>(), ["sub"]);
    })
    .await;
}

#[tokio::test]
async fn they_end_where_the_clients_registration_ends__oidc_core_5_5() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        let mut asked = web_app();
        asked["grant_types"] = json!(["authorization_code", "refresh_token"]);
        let registration = Registration::of(&server, register(&server, &asked).await.json(201));
        let app = rfc7591_registration::app(&server, &registration.said).await;
        let claims = ("claims", r#"{"userinfo":{"email":null,"given_name":null},"id_token":{"email":null}}"#);
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[claims]).await;
        assert_eq!(userinfo(&server, &tokens).await["email"], "ann@example.com");
        registration.put(&registration.with(&json!({ "scope": "openid profile" }))).await.json(200);
        let told = userinfo(&server, &tokens).await;
        assert_eq!((&told["given_name"], told.get("email")), (&json!("Ann"), None));
        let refreshed = app.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
        assert!(server.jwt(refreshed["id_token"].as_str().unwrap()).await.1.get("email").is_none());
    })
    .await;
}

#[tokio::test]
async fn every_claim_that_userinfo_tells_the_id_token_tells_alike__oidc_core_5_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let own = server.own_app(|m| m.scopes = vec!["openid".into(), "account:write".into()]).await;
        let profile = json!({
            "middle_name": "May", "nickname": "Annie", "preferred_username": "ann", "locale": "en-GB",
            "profile": "https://ann.example/about", "picture": "https://ann.example/me.png",
            "website": "https://ann.example", "gender": "female", "birthdate": "0000-05-17",
            "zoneinfo": "Europe/London", "phone_number": "+441865000000",
            "address": {
                "street_address": "1 High Street", "locality": "Oxford", "region": "Oxfordshire",
                "postal_code": "OX1 4AA", "country": "United Kingdom",
            },
        });
        super::profile::patch(&server, &own, &profile).await.json(200);
        let names = SCOPE_CLAIMS.iter().flat_map(|(_, names)| *names);
        let all: serde_json::Map<String, serde_json::Value> =
            names.clone().map(|name| ((*name).to_owned(), json!(null))).collect();
        let claims = json!({ "userinfo": all, "id_token": all }).to_string();
        let app = server.app(|_| {}).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("claims", &claims)]).await;
        let (_, id_token) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
        let told = userinfo(&server, &tokens).await;
        for name in names {
            assert!(!told[*name].is_null(), "{name} is there: {told}");
            assert_eq!(id_token[*name], told[*name], "{name}");
        }
    })
    .await;
}
