//! What is signed, here and there, is signed with what is listed.

use auth_server::clients::ClientMetadata;
use axum::http::Request;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use shared::jose::algorithm_named;
use shared::jose::testing::Signer;

use super::{each_document, list};
use crate::harness::{Answer, App, Server};
use crate::rfc9101_jar::SigningApp;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Signs with the algorithm of this name.
fn signer(name: &str) -> Signer {
    Signer::new(algorithm_named(name).unwrap_or_else(|| panic!("{name} is not known")))
}

#[tokio::test]
async fn what_is_signed_comes_in_each_algorithm_listed__oidc_discovery_3() {
    each_document(|server, document| async move {
        server.person("ann@example.com").await;
        let mut browser = server.browser();
        let listed = list(&document, "id_token_signing_alg_values_supported");
        for what in ["userinfo", "authorization", "introspection"] {
            assert_eq!(list(&document, &format!("{what}_signing_alg_values_supported")), listed, "{what}");
        }
        for algorithm in listed {
            let named = Some(algorithm.clone());
            let app = server
                .app(|metadata| {
                    metadata.id_token_signed_response_alg.clone_from(&algorithm);
                    metadata.userinfo_signed_response_alg.clone_from(&named);
                    metadata.authorization_signed_response_alg.clone_from(&named);
                    metadata.introspection_signed_response_alg = named;
                })
                .await;
            let url = app.authorization(&[("response_mode", "jwt")]);
            let response = browser.authorize(&url, "ann@example.com").await.query()["response"].clone();
            let (header, claims) = server.jwt(&response).await;
            assert_eq!(header["alg"], algorithm, "the authorization response");
            let tokens = app.exchange(claims["code"].as_str().expect("a code")).await.json(200);
            let (header, _) = server.jwt(tokens["id_token"].as_str().expect("an ID token")).await;
            assert_eq!(header["alg"], algorithm, "the ID token");
            let access = tokens["access_token"].as_str().expect("an access token");
            let request = Request::get("/oauth/userinfo").header("authorization", format!("Bearer {access}"));
            let (header, _) = server.jwt(&server.send(request, "").await.body).await;
            assert_eq!(header["alg"], algorithm, "userinfo");
            let accept = [("accept", "application/token-introspection+jwt")];
            let answer = app.post_with("/oauth/introspect", &accept, &[("token", access)]).await;
            let (header, _) = server.jwt(&answer.body).await;
            assert_eq!(header["alg"], algorithm, "introspection");
        }
    })
    .await;
}

#[tokio::test]
async fn request_objects_are_taken_in_the_algorithms_listed__rfc9101_10_5() {
    each_document(|server, document| async move {
        assert_eq!(document["request_parameter_supported"], true);
        for name in list(&document, "request_object_signing_alg_values_supported") {
            let algorithm = algorithm_named(&name).unwrap_or_else(|| panic!("{name} is not known"));
            let app = SigningApp::with(&server, algorithm, |_| ()).await;
            let answer = server.get(&app.carrying(&app.object(json!({})), &[])).await;
            assert!(answer.location().starts_with("/login"), "{name}: {answer:?}");
        }
        let app = SigningApp::new(&server, |_| ()).await;
        let unsigned = app.signer.sign(&json!({ "alg": "none" }), &app.claims(json!({})));
        server.get(&app.carrying(&unsigned, &[])).await.is_error_page();
    })
    .await;
}

#[tokio::test]
async fn proofs_are_taken_in_the_algorithms_listed__rfc9449_5_1() {
    each_document(|server, document| async move {
        let app = server.app(|metadata| metadata.grant_types = vec!["client_credentials".into()]).await;
        let listed = list(&document, "dpop_signing_alg_values_supported");
        for name in listed.iter().map(String::as_str).chain(["ES384"]) {
            let signer = signer(name);
            let platform = &server.state.platform;
            let url = platform.config.auth.public_url.join("/oauth/token");
            let now = platform.clock.timestamp();
            let jti = platform.random.uuid_v4().to_string();
            let mut claims = signer.proof_claims("POST", &url, now, &jti, None);
            claims["nonce"] = server.state.nonces.issue(now).into();
            let proof = signer.proof(&claims);
            let form = [("grant_type", "client_credentials")];
            let answer = app.post_with("/oauth/token", &[("dpop", &proof)], &form).await;
            match listed.iter().any(|known| known == name) {
                true => assert_eq!(answer.json(200)["token_type"], "DPoP", "{name}"),
                false => {
                    answer.is_error(400, "invalid_dpop_proof");
                }
            }
        }
    })
    .await;
}

/// A client that authenticates with assertions by `algorithm`, and what it signs them with.
async fn asserting(server: &Server, algorithm: Algorithm) -> (App, Signer) {
    let machine = |metadata: &mut ClientMetadata, method: &str| {
        metadata.grant_types = vec!["client_credentials".into()];
        metadata.token_endpoint_auth_method = method.into();
    };
    if algorithm == Algorithm::HS256 {
        let app = server.app(|metadata| machine(metadata, "client_secret_jwt")).await;
        let signer = Signer::hmac(app.secret.as_deref().expect("a secret").as_bytes());
        return (app, signer);
    }
    let signer = Signer::new(algorithm);
    let jwks = json!({ "keys": [signer.jwk()] });
    let app = server
        .app(|metadata| {
            machine(metadata, "private_key_jwt");
            metadata.jwks = Some(jwks);
        })
        .await;
    (app, signer)
}

/// Posts `form` with an assertion by `signer`.
async fn assert_to(app: &App, signer: &Signer, path: &str, form: &[(&str, &str)]) -> Answer {
    let platform = &app.server.state.platform;
    let now = platform.clock.timestamp();
    let claims: Value = json!({
        "iss": app.client_id, "sub": app.client_id, "aud": app.server.state.issuer(),
        "iat": now, "exp": now + 60, "jti": platform.random.uuid_v4(),
    });
    let assertion = signer.sign(&signer.header("JWT"), &claims);
    let mut form = form.to_vec();
    form.extend([("client_assertion_type", ASSERTION), ("client_assertion", assertion.as_str())]);
    app.server.post(path, &form).await
}

#[tokio::test]
async fn assertions_are_taken_in_the_algorithms_listed__rfc8414_2() {
    each_document(|server, document| async move {
        let endpoints = [
            ("token_endpoint_auth_signing_alg_values_supported", "/oauth/token", ("grant_type", "client_credentials")),
            ("revocation_endpoint_auth_signing_alg_values_supported", "/oauth/revoke", ("token", "x")),
            ("introspection_endpoint_auth_signing_alg_values_supported", "/oauth/introspect", ("token", "x")),
        ];
        let listed = list(&document, endpoints[0].0);
        for (member, ..) in endpoints {
            assert_eq!(list(&document, member), listed, "{member}");
        }
        for name in listed {
            let algorithm = algorithm_named(&name).unwrap_or_else(|| panic!("{name} is not known"));
            let (app, signer) = asserting(&server, algorithm).await;
            // Another key of the same algorithm is nobody's.
            let stranger = match algorithm {
                Algorithm::HS256 => Signer::hmac(b"somebody else's secret of thirty-two bytes"),
                _ => Signer::new(algorithm),
            };
            for (_, path, form) in endpoints {
                let answer = assert_to(&app, &signer, path, &[form]).await;
                assert_eq!(answer.status, 200, "{path}: {name}: {answer:?}");
                assert_to(&app, &stranger, path, &[form]).await.is_error(401, "invalid_client");
            }
        }
    })
    .await;
}
