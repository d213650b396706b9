//! Security Profile §5.3.2.2 and Message Signing §5.3, §5.4: the authorization request and its answer.

use jsonwebtoken::Algorithm;
use serde_json::json;

use super::FapiApp;
use crate::harness::each_server;
use crate::rfc9126_par::referring;

#[tokio::test]
async fn requests_come_pushed_and_signed_only__fapi2_sp_5_3_2_2() {
    each_server(&[], |server| async move {
        let fapi = FapiApp::new(&server).await;
        let app = fapi.app();
        let object = fapi.signing.object(json!({}));
        let before = server.rows().await;
        // In the browser, plain and signed.
        server.get(&app.authorization(&[])).await.redirects_with_error("invalid_request");
        let told = server.get(&fapi.signing.carrying(&object, &[])).await;
        told.redirects_with_error("invalid_request");
        // Pushed and not signed (Message Signing §5.3.1).
        let plain = app.parameters(&[]);
        fapi.post("/oauth/par", &[], &plain).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
        assert!(fapi.push(&object).await.json(201)["expires_in"].as_u64().unwrap() < 600);
    })
    .await;
}

#[tokio::test]
async fn a_request_has_pkce_by_s256_and_a_redirect_uri_and_asks_for_a_code__fapi2_sp_5_3_2_2() {
    each_server(&[], |server| async move {
        let fapi = FapiApp::new(&server).await;
        let before = server.rows().await;
        for (more, code) in [
            (json!({"code_challenge": null, "code_challenge_method": null}), "invalid_request"),
            (json!({"code_challenge_method": "plain"}), "invalid_request"),
            (json!({"redirect_uri": null}), "invalid_request"),
            (json!({"response_type": "code id_token"}), "unsupported_response_type"),
            (json!({"response_type": "token"}), "unsupported_response_type"),
        ] {
            fapi.push(&fapi.signing.object(more)).await.is_error(400, code);
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_request_object_lives_an_hour_at_most__fapi2_ms_5_3_1() {
    each_server(&[], |server| async move {
        let fapi = FapiApp::new(&server).await;
        let now = server.state.platform.clock.timestamp();
        let before = server.rows().await;
        for wrong in [
            json!({"nbf": null}),
            json!({"exp": null}),
            json!({"nbf": now - 3601, "iat": now}),
            json!({"nbf": now - 10, "exp": now + 3600}),
            json!({"exp": now - 11}),
            json!({"nbf": now + 60}),
            json!({"aud": "https://elsewhere.example"}),
            json!({"iss": "https://elsewhere.example"}),
        ] {
            fapi.push(&fapi.signing.object(wrong.clone())).await.is_error(400, "invalid_request_object");
        }
        assert_eq!(server.rows().await, before);
        // Ten seconds into the future are taken (Security Profile §5.3.2.1).
        fapi.push(&fapi.signing.object(json!({"nbf": now + 8, "iat": now + 8}))).await.json(201);
        fapi.push(&fapi.signing.object(json!({"nbf": now - 100, "exp": now + 3500}))).await.json(201);
    })
    .await;
}

#[tokio::test]
async fn only_the_algorithms_of_the_profile_sign__fapi2_sp_5_4_1() {
    each_server(&[], |server| async move {
        for algorithm in [Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA] {
            let fapi = FapiApp::with(&server, algorithm).await;
            fapi.push(&fapi.signing.object(json!({}))).await.json(201);
        }
        // The same RSA key under RS256: neither its request objects nor its assertions are taken.
        let mut fapi = FapiApp::with(&server, Algorithm::PS256).await;
        fapi.signing.signer.algorithm = Algorithm::RS256;
        let before = server.rows().await;
        fapi.push(&fapi.signing.object(json!({}))).await.is_error(401, "invalid_client");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn the_assertion_is_for_the_issuer_and_nothing_else__fapi2_sp_5_3_2_1() {
    each_server(&[], |server| async move {
        let fapi = FapiApp::new(&server).await;
        let object = fapi.signing.object(json!({}));
        let base = &server.state.platform.config.auth.public_url;
        let before = server.rows().await;
        for aud in [json!(base.join("/oauth/par")), json!(base.join("/oauth/token")), json!([server.state.issuer()])] {
            let assertion = fapi.assertion(json!({"aud": aud}));
            let form = [
                ("request", object.as_str()),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", &assertion),
            ];
            server.post("/oauth/par", &form).await.is_error(401, "invalid_client");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn the_answer_names_the_issuer_and_is_signed_where_asked__fapi2_ms_5_4_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        for (mode, parameter) in [(json!(null), "code"), (json!("jwt"), "response")] {
            let pushed = fapi.push(&fapi.signing.object(json!({"response_mode": mode}))).await.json(201);
            let url = referring(&fapi.app().client_id, pushed["request_uri"].as_str().unwrap(), &[]);
            let answer = server.browser().authorize(&url, "ann@example.com").await;
            let query = answer.query();
            assert!(query.contains_key(parameter), "{query:?}");
            let Some(response) = query.get("response") else {
                assert_eq!(query["iss"], server.state.issuer());
                continue;
            };
            let header = jsonwebtoken::decode_header(response).unwrap();
            assert!(["PS256", "ES256", "EdDSA"].contains(&shared::jose::name_of(header.alg)), "{header:?}");
            let claims = crate::rfc8707_resource::claims(&json!(response));
            assert_eq!(claims["iss"], server.state.issuer());
            assert_eq!(claims["aud"], fapi.app().client_id.as_str());
            assert!(claims["code"].is_string(), "{claims}");
        }
    })
    .await;
}
