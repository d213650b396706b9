//! §3.1.2.1, `acr_values`; §5.5.1.1, `acr` as an essential claim.

use serde_json::{Value, json};
use shared::cache::CacheKey;
use sqlx::types::Json;

use crate::harness::each_server;

const PASSWORD_ACR: &str = "urn:referris:acr:password";

#[tokio::test]
async fn acr_values_are_wishes_and_the_id_token_tells_what_came_of_them__oidc_core_3_1_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let mut browser = server.browser();
        for wish in ["urn:example:gold", "urn:example:gold urn:referris:acr:password"] {
            let tokens = app.tokens(&mut browser, "ann@example.com", &[("acr_values", wish)]).await;
            let (_, claims) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
            assert_eq!((&claims["acr"], &claims["amr"]), (&json!(PASSWORD_ACR), &json!(["pwd"])));
        }
    })
    .await;
}

#[tokio::test]
async fn an_essential_acr_is_met_or_the_request_fails__oidc_core_5_5_1_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let essential =
            |values: serde_json::Value| json!({"id_token": {"acr": {"essential": true, "values": values}}}).to_string();
        let mut browser = server.browser();
        let good = essential(json!(["urn:example:gold", PASSWORD_ACR]));
        let tokens = app.tokens(&mut browser, "ann@example.com", &[("claims", &good)]).await;
        assert_eq!(server.jwt(tokens["id_token"].as_str().unwrap()).await.1["acr"], PASSWORD_ACR);

        let before = server.rows().await;
        for values in [json!(["urn:example:gold"]), json!([]), json!([7])] {
            let query = browser.get(&app.authorization(&[("claims", &essential(values))])).await;
            let query = query.redirects_with_error("unmet_authentication_requirements");
            assert_eq!(query["state"], "af0ifjsldkj");
        }
        assert_eq!(server.rows().await, before);
        // A wish that can't be met is no obstacle.
        let voluntary = json!({"id_token": {"acr": {"values": ["urn:example:gold"]}}}).to_string();
        app.tokens(&mut browser, "ann@example.com", &[("claims", &voluntary)]).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_client_registered_is_wished_for_where_the_request_wishes_nothing__oidcr_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|m| m.default_acr_values = vec!["urn:example:gold".into(), PASSWORD_ACR.into()]).await;
        let without = server.own_app(|_| {}).await;
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        assert!(browser.get(&app.authorization(&[])).await.query().contains_key("code"));
        // The session began in a way that is not known here any more.
        let platform = &server.state.platform;
        let mut tx = platform.db.begin().await.unwrap();
        let (hash, Json(mut record)): (Vec<u8>, Json<Value>) =
            shared::fetch_one!(&mut tx, (Vec<u8>, Json<Value>), "SELECT id_hash, record FROM browser_sessions")
                .unwrap();
        record["signed_in"]["acr"] = json!("urn:example:bronze");
        shared::execute!(&mut tx, "UPDATE browser_sessions SET record = $1", Json(&record)).unwrap();
        tx.commit().await.unwrap();
        platform.cache.invalidate(&CacheKey::new("session", &hash)).await.unwrap();

        let answer = browser.get(&app.authorization(&[])).await;
        assert!(answer.location().starts_with("/login?"), "{answer:?}");
        for (client, more) in
            [(&app, ("acr_values", "urn:example:gold")), (&app, ("prompt", "none")), (&without, ("acr_values", ""))]
        {
            assert!(browser.get(&client.authorization(&[more])).await.query().contains_key("code"), "{more:?}");
        }
        let asked = browser.get(&without.authorization(&[("acr_values", PASSWORD_ACR)])).await;
        assert!(asked.location().starts_with("/login?"), "{asked:?}");
        let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
        assert_eq!(server.jwt(tokens["id_token"].as_str().unwrap()).await.1["acr"], PASSWORD_ACR);
    })
    .await;
}
