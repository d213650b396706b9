//! §5.4, the claims of each scope; §5.1, what they are.

use axum::http::Request;
use serde_json::{Value, json};

use crate::harness::{App, Server, each_server};

async fn userinfo(server: &Server, app: &App, scope: &str) -> Value {
    let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("scope", scope)]).await;
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().expect("an access token"));
    let mut claims = server.send(Request::get("/oauth/userinfo").header("authorization", bearer), "").await.json(200);
    let sub = claims.as_object_mut().expect("an object").remove("sub");
    assert!(sub.is_some(), "always there");
    // Where an access token goes with it, the ID token says nothing of the person.
    if let Some(id_token) = tokens["id_token"].as_str() {
        let (_, id_token) = server.jwt(id_token).await;
        assert!(id_token.get("email").is_none() && id_token.get("name").is_none(), "{id_token}");
    }
    claims
}

#[tokio::test]
async fn each_scope_tells_its_claims_and_no_others__oidc_core_5_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let now = server.state.platform.clock.timestamp();
        let own = server.own_app(|m| m.scopes = vec!["openid".into(), "account:write".into()]).await;
        let profile = json!({
            "middle_name": "May", "nickname": "Annie", "preferred_username": "ann", "locale": "en-GB",
            "profile": "https://ann.example/about", "picture": "https://ann.example/me.png",
            "website": "https://ann.example", "gender": "female", "birthdate": "1990-05-17",
            "zoneinfo": "Europe/London",
        });
        let address = json!({"street_address": "1 High Street", "locality": "Oxford", "country": "United Kingdom"});
        let mut change = profile.clone();
        change["phone_number"] = json!("+441865000000");
        change["address"] = address.clone();
        super::profile::patch(&server, &own, &change).await.json(200);

        assert_eq!(userinfo(&server, &app, "openid").await, json!({}));
        let mut expected = profile;
        for (name, value) in [("name", json!("Ann Lee")), ("given_name", json!("Ann")), ("family_name", json!("Lee"))] {
            expected[name] = value;
        }
        let told = userinfo(&server, &app, "openid profile").await;
        expected["updated_at"] = told["updated_at"].clone();
        assert!(told["updated_at"].as_i64().unwrap() >= now);
        assert_eq!(told, expected);
        let email = json!({"email": "ann@example.com", "email_verified": false});
        assert_eq!(userinfo(&server, &app, "openid email").await, email);
        assert_eq!(userinfo(&server, &app, "openid address").await, json!({"address": address}));
        let phone = json!({"phone_number": "+441865000000", "phone_number_verified": false});
        assert_eq!(userinfo(&server, &app, "openid phone").await, phone);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_known_is_left_out__oidc_core_5_3_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        assert_eq!(userinfo(&server, &app, "openid address phone").await, json!({}));
        let claims = userinfo(&server, &app, "openid profile").await;
        let mut names: Vec<&String> = claims.as_object().unwrap().keys().collect();
        names.sort();
        names.retain(|name| *name != "locale");
        assert_eq!(names, ["family_name", "given_name", "name", "updated_at"]);
    })
    .await;
}
