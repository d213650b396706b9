//! RFC 9701, JWT Response for OAuth Token Introspection.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::each_server;

const MEDIA_TYPE: &str = "application/token-introspection+jwt";

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn the_answer_is_signed_for_the_asker_and_is_no_access_token__rfc9701_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        for algorithm in ["RS256", "ES256", "PS256", "EdDSA"] {
            let app =
                server.app(|metadata| metadata.introspection_signed_response_alg = Some(algorithm.to_owned())).await;
            let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
            let access = tokens["access_token"].as_str().unwrap();
            let accept = [("accept", MEDIA_TYPE)];
            let answer = app.post_with("/oauth/introspect", &accept, &[("token", access)]).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, MEDIA_TYPE));
            answer.is_not_cached();
            let header = part(&answer.body, 0);
            assert_eq!((&header["typ"], &header["alg"]), (&json!("token-introspection+jwt"), &json!(algorithm)));
            let jwks = server.get("/oauth/jwks").await.json(200);
            let jwk = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).unwrap();
            let mut validation = jsonwebtoken::Validation::new(algorithm.parse().unwrap());
            validation.set_audience(&[&app.client_id]);
            validation.set_issuer(&[server.state.issuer()]);
            validation.required_spec_claims.remove("exp");
            let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
            let claims = jsonwebtoken::decode::<Value>(&answer.body, &key, &validation).unwrap().claims;
            assert_eq!(claims["token_introspection"]["active"], true);
            assert!(claims.get("sub").is_none() && claims.get("exp").is_none(), "{claims}");
            // It opens nothing.
            let bearer = format!("Bearer {}", answer.body);
            let refused =
                server.send(axum::http::Request::get("/oauth/userinfo").header("authorization", bearer), "").await;
            assert_eq!(refused.status, 401);
        }
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_json_gets_json_and_an_inactive_token_is_signed_alike__rfc9701_4() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let plain = app.post("/oauth/introspect", &[("token", "x")]).await;
        assert_eq!(plain.json(200), json!({ "active": false }));
        let accept = [("accept", "text/html, application/token-introspection+jwt;q=0.5")];
        let signed = app.post_with("/oauth/introspect", &accept, &[("token", "x")]).await;
        assert_eq!(part(&signed.body, 1)["token_introspection"], json!({ "active": false }));
        let registered = server.app(|metadata| metadata.introspection_signed_response_alg = Some("ES256".into())).await;
        let signed = registered.post("/oauth/introspect", &[("token", "x")]).await;
        assert_eq!(signed.header("content-type"), MEDIA_TYPE);
        let accept = [("accept", "application/json")];
        let plain = registered.post_with("/oauth/introspect", &accept, &[("token", "x")]).await;
        assert_eq!(plain.json(200), json!({ "active": false }));
        // Weights count (RFC 9110 §12.4.2), and a range names neither.
        for (client, accept, is_signed) in [
            (&app, "application/token-introspection+jwt;q=0", false),
            (&app, "application/json, application/token-introspection+jwt;q=0.5", false),
            (&app, "application/json;q=0.5, application/token-introspection+jwt", true),
            (&app, "*/*", false),
            (&registered, "*/*", true),
            (&registered, "application/token-introspection+jwt;q=0, */*", false),
            (&registered, "application/json;q=0, */*", true),
        ] {
            let answer = client.post_with("/oauth/introspect", &[("accept", accept)], &[("token", "x")]).await;
            assert_eq!(answer.header("content-type") == MEDIA_TYPE, is_signed, "{accept}");
        }
        // An error is an error, whatever was asked for.
        let accept = [("accept", MEDIA_TYPE)];
        server.post_with("/oauth/introspect", &accept, &[("token", "x")]).await.is_error(401, "invalid_client");
    })
    .await;
}
