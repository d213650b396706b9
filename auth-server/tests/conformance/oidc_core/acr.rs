//! §3.1.2.1, `acr_values`; §5.5.1.1, `acr` as an essential claim.

use serde_json::json;

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
