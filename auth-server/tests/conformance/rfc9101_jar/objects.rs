//! §4, §6 and §10: what is a request object, and what is none.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use shared::jose::ASYMMETRIC;
use shared::jose::testing::{Signer, encode};

use super::SigningApp;
use crate::harness::each_server;

#[tokio::test]
async fn a_signed_request_is_answered_as_its_claims_say__rfc9101_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        for algorithm in ASYMMETRIC {
            let SigningApp { app, signer } = SigningApp::with(&server, algorithm, |_| {}).await;
            let signing = SigningApp { app, signer };
            let object = signing.object(json!({"state": "inside", "scope": "openid email", "max_age": 3600}));
            let answer = server.browser().authorize(&signing.carrying(&object, &[]), "ann@example.com").await;
            let query = answer.query();
            assert_eq!(query["state"], "inside");
            assert_eq!(signing.app.exchange(&query["code"]).await.json(200)["scope"], "openid email");
        }
    })
    .await;
}

#[tokio::test]
async fn the_request_may_be_posted__rfc9101_5() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let signing = SigningApp::new(&server, |_| {}).await;
        let object = signing.object(json!({}));
        let mut browser = server.browser();
        let form = [("client_id", signing.app.client_id.as_str()), ("request", &object)];
        let answer = browser.post("/oauth/authorize", &form).await;
        let answer = browser.follow(answer, "ann@example.com").await;
        signing.app.exchange(&answer.query()["code"]).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn what_stands_beside_the_object_changes_nothing__rfc9101_6_3() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let signing = SigningApp::new(&server, |_| {}).await;
        // The challenge beside it does not stand in for the one that is missing inside.
        let without = signing.object(json!({"code_challenge": null, "code_challenge_method": null}));
        let beside = signing.app.parameters(&[("client_id", "")]);
        let told = server.get(&signing.carrying(&without, &beside)).await;
        told.redirects_with_error("invalid_request");
        let object = signing.object(json!({"scope": "openid", "state": null}));
        let beside = [("scope", "openid email"), ("state", "outside"), ("prompt", "none"), ("response_type", "code")];
        let answer = server.browser().authorize(&signing.carrying(&object, &beside), "ann@example.com").await;
        assert!(!answer.query().contains_key("state"), "{answer:?}");
        assert_eq!(signing.app.exchange(&answer.query()["code"]).await.json(200)["scope"], "openid");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_signed_by_the_client_is_refused__rfc9101_6_2() {
    each_server(&[], |server| async move {
        let signing = SigningApp::new(&server, |_| {}).await;
        let claims = signing.claims(json!({}));
        let header = encode(json!({"alg": "none"}).to_string());
        signing.refuses(&format!("{header}.{}.", encode(claims.to_string()))).await;
        let object = signing.object(json!({}));
        signing.refuses(&object[..object.rfind('.').unwrap() + 1]).await;
        // Another's key, its own public key as a secret, and changed claims under a good signature.
        let stranger = Signer::new(Algorithm::ES256);
        signing.refuses(&stranger.sign(&stranger.header("oauth-authz-req+jwt"), &claims)).await;
        let mut with_key = stranger.header("oauth-authz-req+jwt");
        with_key["jwk"] = stranger.jwk();
        signing.refuses(&stranger.sign(&with_key, &claims)).await;
        let symmetric = Signer::hmac(signing.signer.jwk().to_string().as_bytes());
        signing.refuses(&symmetric.sign(&symmetric.header("JWT"), &claims)).await;
        let parts: Vec<&str> = object.split('.').collect();
        let changed = encode(signing.claims(json!({"scope": "openid email"})).to_string());
        signing.refuses(&format!("{}.{changed}.{}", parts[0], parts[2])).await;
        // A key that was not registered under this name.
        let mut named = signing.signer.header("oauth-authz-req+jwt");
        named["kid"] = "other".into();
        signing.refuses(&signing.signer.sign(&named, &claims)).await;
    })
    .await;
}

#[tokio::test]
async fn only_the_registered_algorithm_serves__oidc_registration_2() {
    each_server(&[], |server| async move {
        let keys = [Signer::new(Algorithm::ES256), Signer::new(Algorithm::EdDSA)];
        let jwks = json!({"keys": [keys[0].jwk(), keys[1].jwk()]});
        let app = server
            .app(|client| {
                client.jwks = Some(jwks);
                client.request_object_signing_alg = Some("EdDSA".into());
            })
            .await;
        let [es256, eddsa] = keys;
        let signing = SigningApp { app: app.clone(), signer: eddsa };
        server.get(&signing.carrying(&signing.object(json!({})), &[])).await.location();
        let signing = SigningApp { app, signer: es256 };
        signing.refuses(&signing.object(json!({}))).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_without_keys_can_sign_nothing__rfc9101_6_2() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let signing = SigningApp { app, signer: Signer::new(Algorithm::ES256) };
        signing.refuses(&signing.object(json!({}))).await;
    })
    .await;
}

#[tokio::test]
async fn only_a_request_object_is_one__rfc9101_10_8() {
    each_server(&[], |server| async move {
        let signing = SigningApp::new(&server, |_| {}).await;
        let claims = signing.claims(json!({}));
        for typ in ["", "JWT", "jwt", "application/oauth-authz-req+jwt", "OAUTH-AUTHZ-REQ+JWT"] {
            let object = signing.signer.sign(&signing.signer.header(typ), &claims);
            server.get(&signing.carrying(&object, &[])).await.location();
        }
        for typ in ["at+jwt", "dpop+jwt", "logout+jwt", "client-authentication+jwt"] {
            signing.refuses(&signing.signer.sign(&signing.signer.header(typ), &claims)).await;
        }
        // A client assertion, whatever its type.
        signing.refuses(&signing.object(json!({"sub": signing.app.client_id}))).await;
        let mut critical = signing.signer.header("oauth-authz-req+jwt");
        critical["crit"] = json!(["b64"]);
        signing.refuses(&signing.signer.sign(&critical, &claims)).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_one_sound_jwt_is_refused__rfc8725_2() {
    each_server(&[], |server| async move {
        let signing = SigningApp::new(&server, |_| {}).await;
        let object = signing.object(json!({}));
        for broken in ["x", "x.y", "x.y.z", "....", &format!("{object}."), &format!("{object}=")] {
            signing.refuses(broken).await;
        }
        // Encrypted: five parts.
        signing.refuses(&format!("{object}.x.y")).await;
        let header = signing.signer.header("oauth-authz-req+jwt").to_string();
        let claims = signing.claims(json!({})).to_string();
        let twice = format!("{},\"state\":\"again\"}}", &claims[..claims.len() - 1]);
        signing.refuses(&signing.signer.sign_text(&header, &twice)).await;
        let inner = signing.claims(json!({"claims": {}})).to_string();
        let inner_twice = inner.replace("\"claims\":{}", "\"claims\":{\"id_token\":{},\"id_token\":{}}");
        signing.refuses(&signing.signer.sign_text(&header, &inner_twice)).await;
        signing.refuses(&signing.signer.sign_text(&header, "[]")).await;
        signing.refuses(&signing.signer.sign_text(&header, "{")).await;
        let mut deep = json!(1);
        for _ in 0..40 {
            deep = json!([deep]);
        }
        signing.refuses(&signing.object(json!({"claims": deep}))).await;
        signing.refuses(&signing.object(json!({"state": "x".repeat(16 * 1024)}))).await;
    })
    .await;
}

#[tokio::test]
async fn nothing_nests_in_a_request_object__rfc9101_4() {
    each_server(&[], |server| async move {
        let signing = SigningApp::new(&server, |_| {}).await;
        let object = signing.object(json!({}));
        let nested: [Value; 3] = [
            json!({"request": object}),
            json!({"request_uri": "urn:ietf:params:oauth:request_uri:x"}),
            json!({"request_uri": "https://app.example/request.jwt"}),
        ];
        for more in nested {
            signing.refuses(&signing.object(more)).await;
        }
        for odd in [json!({"state": true}), json!({"state": "a\u{0}b"}), json!({"resource": [1]})] {
            signing.refuses(&signing.object(odd)).await;
        }
        // A member that nobody knows is ignored, whatever it is (RFC 6749 §3.1).
        let unknown = signing.object(json!({"x-flag": true, "x-nothing": {"a": null}}));
        server.get(&signing.carrying(&unknown, &[])).await.location();
    })
    .await;
}
