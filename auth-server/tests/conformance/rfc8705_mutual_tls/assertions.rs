//! §5: an assertion of a client that calls the endpoints at their aliases.

use jsonwebtoken::Algorithm;
use serde_json::json;
use shared::jose::testing::Signer;
use shared::testing::certificates::Identity;

use super::each_stage;
use crate::harness::{Answer, App};

/// An authorization request that is pushed with an assertion for `audience`.
async fn push(app: &App, signer: &Signer, audience: &str) -> Answer {
    ask(app, signer, "/oauth/par", audience, &app.parameters(&[])).await
}

async fn ask(app: &App, signer: &Signer, path: &str, audience: &str, form: &[(&str, &str)]) -> Answer {
    let state = &app.server.state;
    let now = state.platform.clock.timestamp();
    let claims = json!({
        "iss": app.client_id, "sub": app.client_id, "aud": audience, "iat": now, "exp": now + 60,
        "jti": state.platform.random.uuid_v4(),
    });
    let assertion = signer.sign(&signer.header("JWT"), &claims);
    let mut form = form.to_vec();
    form.extend([
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ]);
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = axum::http::Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .extension(super::parsed(&Identity::self_signed("client")));
    app.server.send(request, body).await
}

#[tokio::test]
async fn an_assertion_may_be_made_for_the_alias_of_the_endpoint__rfc8705_5() {
    each_stage(|stage| async move {
        let server = &stage.server;
        let alias = "https://mtls.id.example.com";
        let signer = Signer::new(Algorithm::ES256);
        let registered = |client: &mut auth_server::clients::ClientMetadata| {
            client.grant_types.push("client_credentials".into());
            client.token_endpoint_auth_method = "private_key_jwt".into();
            client.jwks = Some(json!({"keys": [signer.jwk()]}));
            client.tls_client_certificate_bound_access_tokens = true;
        };
        let app = server.app(registered).await;
        let document = server.get("/.well-known/oauth-authorization-server").await.json(200);
        let aliases = &document["mtls_endpoint_aliases"];
        let token_endpoint = aliases["token_endpoint"].as_str().unwrap();
        assert!(token_endpoint.starts_with(alias), "{aliases}");
        let machine = [("grant_type", "client_credentials"), ("scope", "referral-codes:read")];
        ask(&app, &signer, "/oauth/token", token_endpoint, &machine).await.json(200);
        for audience in ["token_endpoint", "pushed_authorization_request_endpoint"] {
            push(&app, &signer, aliases[audience].as_str().unwrap()).await.json(201);
        }
        let before = server.rows().await;
        // Another endpoint's is not this one's; nor is the alias itself an issuer.
        let wrong = aliases["pushed_authorization_request_endpoint"].as_str().unwrap();
        for audience in [wrong, alias, "https://mtls.id.example.com.evil.example/oauth/token"] {
            ask(&app, &signer, "/oauth/token", audience, &machine).await.is_error(401, "invalid_client");
        }
        assert_eq!(server.rows().await, before);
        // Under FAPI 2.0 it is the issuer and nothing else (Security Profile §5.3.2.1).
        let fapi = server.app(|client| {
            registered(client);
            client.profile = Some(auth_server::clients::Profile::Fapi2);
            client.id_token_signed_response_alg = "ES256".into();
        });
        let fapi = fapi.await;
        let before = server.rows().await;
        ask(&fapi, &signer, "/oauth/token", token_endpoint, &machine).await.is_error(401, "invalid_client");
        assert_eq!(server.rows().await, before);
        ask(&fapi, &signer, "/oauth/token", server.state.issuer(), &machine).await.json(200);
    })
    .await;
}
