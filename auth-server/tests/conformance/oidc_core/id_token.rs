//! §2 and §3.1.3.6, the ID token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256, Sha512};

use crate::harness::each_server;

#[tokio::test]
async fn it_says_what_it_must_in_each_algorithm__oidc_core_2() {
    each_server(&[], |server| async move {
        let ann = server.person("ann@example.com").await;
        for alg in ["RS256", "ES256", "PS256", "EdDSA"] {
            let app = server.app(|m| m.id_token_signed_response_alg = alg.into()).await;
            let before = server.state.platform.clock.timestamp();
            let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("nonce", "n-0S6_WzA2Mj")]).await;
            let access_token = tokens["access_token"].as_str().unwrap();
            let (header, claims) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
            assert_eq!(header["alg"], alg);
            assert!(header["kid"].is_string());
            let now = server.state.platform.clock.timestamp();
            // The left half of the hash that the algorithm goes with; Ed25519 goes with SHA-512.
            let at_hash = match alg {
                "EdDSA" => URL_SAFE_NO_PAD.encode(&Sha512::digest(access_token)[..32]),
                _ => URL_SAFE_NO_PAD.encode(&Sha256::digest(access_token)[..16]),
            };
            let sid = server.jwt(access_token).await.1["sid"].clone();
            assert!(sid.is_string());
            let aud = if claims["aud"].is_array() { json!([app.client_id]) } else { json!(app.client_id) };
            let expected = json!({
                "iss": server.state.issuer(), "sub": ann, "aud": aud, "iat": claims["iat"], "exp": claims["exp"],
                "auth_time": claims["auth_time"], "nonce": "n-0S6_WzA2Mj", "acr": "urn:referris:acr:password", "amr": ["pwd"],
                "at_hash": at_hash, "sid": sid,
            });
            assert_eq!(claims, expected, "{alg}");
            let at = |claim: &str| claims[claim].as_i64().unwrap();
            assert!(before <= at("auth_time") && at("auth_time") <= at("iat") && at("iat") <= now, "{claims}");
            assert_eq!(at("exp") - at("iat"), 600);
        }
    })
    .await;
}

#[tokio::test]
async fn after_a_refresh_it_keeps_auth_time_and_has_no_nonce__oidc_core_12_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("nonce", "n")]).await;
        let (_, first) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
        server.state.platform.clock.advance(std::time::Duration::from_secs(60));
        let refreshed = app.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
        let (_, second) = server.jwt(refreshed["id_token"].as_str().unwrap()).await;
        for same in ["iss", "sub", "aud", "auth_time", "acr", "sid"] {
            assert_eq!(first[same], second[same], "{same}");
        }
        assert!(second.get("nonce").is_none(), "{second}");
        assert!(second["iat"].as_i64().unwrap() >= first["iat"].as_i64().unwrap() + 60);
    })
    .await;
}
