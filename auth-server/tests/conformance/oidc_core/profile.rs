//! §5.1: the standard claims that people write themselves, through `PATCH /api/v1/me`.

use axum::http::Request;
use serde_json::{Value, json};

use crate::harness::{Answer, App, Server, each_server};

/// Changes Ann's account through one of our own apps.
pub async fn patch(server: &Server, own: &App, change: &Value) -> Answer {
    let asked = [("scope", "openid account:write")];
    let tokens = own.tokens(&mut server.browser(), "ann@example.com", &asked).await;
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().expect("an access token"));
    let request =
        Request::patch("/api/v1/me").header("authorization", bearer).header("content-type", "application/json");
    server.send(request, change.to_string()).await
}

#[tokio::test]
async fn what_is_named_changes_and_null_removes__oidc_core_5_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let own = server.own_app(|m| m.scopes = vec!["openid".into(), "account:write".into()]).await;
        let me =
            patch(&server, &own, &json!({"nickname": " Annie ", "website": "https://ann.example"})).await.json(200);
        assert_eq!((&me["nickname"], &me["website"]), (&json!("Annie"), &json!("https://ann.example")));
        let me = patch(&server, &own, &json!({"address": {"locality": "Oxford"}, "birthdate": "0000-02-29"})).await;
        let me = me.json(200);
        assert_eq!((&me["nickname"], &me["address"]), (&json!("Annie"), &json!({"locality": "Oxford"})));
        let me = patch(&server, &own, &json!({"nickname": null, "website": "", "address": null})).await.json(200);
        for gone in ["nickname", "website", "address"] {
            assert!(me.get(gone).is_none(), "{me}");
        }
        assert_eq!(me["birthdate"], "0000-02-29");
    })
    .await;
}

#[tokio::test]
async fn what_could_do_harm_in_an_app_is_refused_all_at_once_and_nothing_changes__oidc_core_5_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let own = server.own_app(|m| m.scopes = vec!["openid".into(), "account:write".into()]).await;
        let wrong = json!({
            "given_name": "Anna", "picture": "javascript:alert(1)", "birthdate": "17.05.1990", "phone_number": "12",
            "zoneinfo": "../x", "nickname": "buy at cheap.example", "address": {"locality": "a\nb", "country": "<b>"},
        });
        let problem = patch(&server, &own, &wrong).await.json(422);
        let mut pointers: Vec<&str> =
            problem["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
        pointers.sort_unstable();
        let expected = [
            "#/address/country",
            "#/address/locality",
            "#/birthdate",
            "#/nickname",
            "#/phone_number",
            "#/picture",
            "#/zoneinfo",
        ];
        assert_eq!(pointers, expected);
        for wrong in [
            json!({"address": {"planet": "Earth"}}),
            json!({"address": "Oxford"}),
            json!({"phone_number_verified": true}),
            json!({"sub": "x"}),
            json!({"nickname": 7}),
        ] {
            patch(&server, &own, &wrong).await.json(422);
        }
        let me = patch(&server, &own, &json!({})).await.json(200);
        assert_eq!((&me["given_name"], me.get("birthdate")), (&json!("Ann"), None));
    })
    .await;
}
