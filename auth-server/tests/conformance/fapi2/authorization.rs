//! Security Profile §5.3.2.2 and Message Signing §5.3, §5.4: the authorization request and its answer.

use jsonwebtoken::Algorithm;
use serde_json::json;
use shared::jose::testing::encode;

use super::{FapiApp, signed};
use crate::harness::each_server;
use crate::rfc9126_par::referring;

#[tokio::test]
async fn requests_come_pushed_and_signed_only__fapi2_sp_5_3_2_2() {
    each_server(&[], |server| async move {
        let fapi = FapiApp::new(&server).await;
        let app = fapi.app();
        let object = fapi.object(json!({}));
        let before = server.rows().await;
        // In the browser, plain and signed. The client is told, and believes what is signed only.
        for url in [app.authorization(&[]), fapi.signing.carrying(&object, &[])] {
            let told = signed(&server.get(&url).await.query());
            assert_eq!(told["error"], "invalid_request", "{told}");
        }
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
            fapi.push(&fapi.object(more)).await.is_error(400, code);
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
            fapi.push(&fapi.object(wrong.clone())).await.is_error(400, "invalid_request_object");
        }
        assert_eq!(server.rows().await, before);
        // Ten seconds into the future are taken (Security Profile §5.3.2.1).
        fapi.push(&fapi.object(json!({"nbf": now + 8, "iat": now + 8}))).await.json(201);
        fapi.push(&fapi.object(json!({"nbf": now - 100, "exp": now + 3500}))).await.json(201);
    })
    .await;
}

#[tokio::test]
async fn only_the_algorithms_of_the_profile_sign__fapi2_sp_5_4_1() {
    each_server(&[], |server| async move {
        for algorithm in [Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA] {
            let fapi = FapiApp::with(&server, algorithm).await;
            fapi.push(&fapi.object(json!({}))).await.json(201);
        }
        // The same RSA key under RS256, and no signature at all: neither request objects nor assertions are taken so.
        let mut fapi = FapiApp::with(&server, Algorithm::PS256).await;
        fapi.signing.signer.algorithm = Algorithm::RS256;
        let object = fapi.object(json!({}));
        let claims = fapi.signing.claims(json!({"response_mode": "jwt"})).to_string();
        let unsigned = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(&claims));
        let before = server.rows().await;
        fapi.push(&object).await.is_error(401, "invalid_client");
        fapi.signing.signer.algorithm = Algorithm::PS256;
        for object in [&object, &unsigned] {
            fapi.push(object).await.is_error(400, "invalid_request_object");
        }
        assert_eq!(server.rows().await, before);
        fapi.push(&fapi.object(json!({}))).await.json(201);
    })
    .await;
}

#[tokio::test]
async fn the_assertion_is_for_the_issuer_and_nothing_else__fapi2_sp_5_3_2_1() {
    each_server(&[], |server| async move {
        let fapi = FapiApp::new(&server).await;
        let object = fapi.object(json!({}));
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
async fn the_answer_is_signed_and_names_the_issuer__fapi2_ms_5_4_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        let pushed = fapi.push(&fapi.object(json!({}))).await.json(201);
        let url = referring(&fapi.app().client_id, pushed["request_uri"].as_str().unwrap(), &[]);
        let query = server.browser().authorize(&url, "ann@example.com").await.query();
        let header = jsonwebtoken::decode_header(&query["response"]).unwrap();
        assert!(["PS256", "ES256", "EdDSA"].contains(&shared::jose::name_of(header.alg)), "{header:?}");
        let claims = signed(&query);
        assert_eq!(claims["iss"], server.state.issuer());
        assert_eq!(claims["aud"], fapi.app().client_id.as_str());
        assert!(claims["code"].is_string(), "{claims}");
    })
    .await;
}

#[tokio::test]
async fn only_a_signed_answer_can_be_asked_for_and_no_other_is_given__fapi2_ms_5_4_1() {
    each_server(&[], |server| async move {
        let fapi = FapiApp::new(&server).await;
        let before = server.rows().await;
        for mode in [json!(null), json!("query"), json!("fragment"), json!("form_post"), json!("web_message")] {
            let object = fapi.object(json!({"response_mode": mode}));
            let refused = fapi.push(&object).await;
            refused.is_error(400, "invalid_request");
            assert!(refused.body.contains("response_mode"), "{mode}: {refused:?}");
            // In a browser the refusal goes to the client in the way that was asked for, and signed.
            let told = server.get(&fapi.signing.carrying(&object, &[])).await;
            let told = match mode.as_str() {
                Some("fragment") => told.fragment(),
                Some("form_post") => told.form().1,
                _ => told.query(),
            };
            let told = signed(&told);
            assert_eq!((&told["error"], &told["state"]), (&json!("invalid_request"), &json!("af0ifjsldkj")), "{mode}");
            assert!(told["error_description"].as_str().unwrap().contains("response_mode"), "{told}");
        }
        // What is wrong with the object itself is told by what stands beside it; that is not signed by the client, and
        // the answer is all the same.
        let beside = [("redirect_uri", fapi.app().redirect_uri.as_str()), ("response_mode", "query"), ("state", "s")];
        let told = signed(&server.get(&fapi.signing.carrying("x.y.z", &beside)).await.query());
        assert_eq!((&told["error"], &told["state"]), (&json!("invalid_request_object"), &json!("s")));
        assert_eq!(server.rows().await, before);
        for mode in ["jwt", "query.jwt", "fragment.jwt", "form_post.jwt"] {
            fapi.push(&fapi.object(json!({"response_mode": mode}))).await.json(201);
        }
    })
    .await;
}
