//! Security Profile §5.3.2.1: codes, tokens and refresh.

use std::time::Duration;

use axum::http::Request;
use jsonwebtoken::Algorithm;
use serde_json::json;
use shared::jose::testing::Signer;

use super::FapiApp;
use crate::harness::{Server, each_server};
use crate::rfc8707_resource::claims;

#[tokio::test]
async fn a_code_lives_a_minute_whatever_is_configured__fapi2_sp_5_3_2_1() {
    each_server(&[("TOKENS__CODE_SECONDS", "600")], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        let plain = server.app(|_| {}).await;
        let code = fapi.code("ann@example.com").await;
        let plain_code = plain.code(&mut server.browser(), "ann@example.com", &[]).await;
        server.state.platform.clock.advance(Duration::from_secs(61));
        let before = server.rows().await;
        fapi.token(&fapi.app().exchange_form(&code)).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
        plain.exchange(&plain_code).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn tokens_are_bound_to_their_holder__fapi2_sp_5_3_2_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        let code = fapi.code("ann@example.com").await;
        let before = server.rows().await;
        fapi.post("/oauth/token", &[], &fapi.app().exchange_form(&code)).await.is_error(400, "invalid_dpop_proof");
        assert_eq!(server.rows().await, before);
        let tokens = fapi.token(&fapi.app().exchange_form(&code)).await.json(200);
        assert_eq!(tokens["token_type"], "DPoP");
        let jkt = fapi.dpop.public_key().thumbprint().to_owned();
        assert_eq!(claims(&tokens["access_token"])["cnf"], json!({"jkt": jkt}));
    })
    .await;
}

#[tokio::test]
async fn refresh_tokens_do_not_rotate__fapi2_sp_5_3_2_1() {
    each_server(&[("TOKENS__REFRESH_TOKEN_DAYS", "2")], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        let code = fapi.code("ann@example.com").await;
        let tokens = fapi.token(&fapi.app().exchange_form(&code)).await.json(200);
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        let before = server.rows().await;
        // Days apart, again and again: using it keeps it alive.
        for _ in 0..3 {
            server.state.platform.clock.advance(Duration::from_secs(86_400 + 3600));
            let refreshed = fapi.token(&form).await.json(200);
            assert!(refreshed.get("refresh_token").is_none_or(|same| same == refresh), "{refreshed}");
            assert!(refreshed["access_token"].is_string(), "{refreshed}");
        }
        let kept = server.rows().await;
        assert_eq!(
            kept.changed_since(&before),
            [("refresh_tokens", 1), ("app_permissions", 1)].into(),
            "it expires later, is the only one, and the person is told when it was used"
        );
        server.state.platform.clock.advance(Duration::from_secs(2 * 86_400 + 1));
        fapi.token(&form).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, kept);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_that_was_revoked_is_not_kept__rfc7009_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let fapi = FapiApp::new(&server).await;
        let code = fapi.code("ann@example.com").await;
        let tokens = fapi.token(&fapi.app().exchange_form(&code)).await.json(200);
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let revoked = fapi.post("/oauth/revoke", &[], &[("token", refresh)]).await;
        assert_eq!(revoked.status.as_u16(), 200, "{revoked:?}");
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        let before = server.rows().await;
        fapi.token(&form).await.is_error(400, "invalid_grant");
        assert_eq!(server.rows().await, before);
    })
    .await;
}

/// A proof for one of our endpoints, with the server's nonce.
fn proof(server: &Server, signer: &Signer, (method, path): (&str, &str), token: Option<&str>) -> String {
    let state = &server.state;
    let now = state.platform.clock.timestamp();
    let url = state.platform.config.auth.public_url.join(path);
    let jti = state.platform.random.uuid_v4().to_string();
    let mut claims = signer.proof_claims(method, &url, now, &jti, token);
    claims["nonce"] = state.nonces.issue(now).into();
    signer.proof(&claims)
}

#[tokio::test]
async fn a_proof_by_rs256_proves_nothing__fapi2_sp_5_4_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let mut fapi = FapiApp::new(&server).await;
        fapi.dpop = Signer::new(Algorithm::PS256);
        let code = fapi.code("ann@example.com").await;
        fapi.dpop.algorithm = Algorithm::RS256;
        let before = server.rows().await;
        fapi.token(&fapi.app().exchange_form(&code)).await.is_error(400, "invalid_dpop_proof");
        let shown = proof(&server, &fapi.dpop, ("POST", "/oauth/par"), None);
        let object = fapi.object(json!({}));
        let pushed = fapi.post("/oauth/par", &[("dpop", &shown)], &[("request", &object)]).await;
        pushed.is_error(400, "invalid_dpop_proof");
        assert_eq!(server.rows().await, before);
        // Nor where its tokens are used: the very key, under the other algorithm.
        fapi.dpop.algorithm = Algorithm::PS256;
        let tokens = fapi.token(&fapi.app().exchange_form(&code)).await.json(200);
        let token = tokens["access_token"].as_str().unwrap();
        let ask = async |signer: &Signer| {
            let shown = proof(&server, signer, ("GET", "/oauth/userinfo"), Some(token));
            let request = Request::get("/oauth/userinfo").header("authorization", format!("DPoP {token}"));
            server.send(request.header("dpop", shown), "").await
        };
        fapi.dpop.algorithm = Algorithm::RS256;
        let refused = ask(&fapi.dpop).await;
        assert_eq!(refused.status, 401);
        assert!(
            refused
                .headers
                .get_all("www-authenticate")
                .iter()
                .any(|challenge| { challenge.to_str().unwrap().contains("error=\"invalid_dpop_proof\"") })
        );
        fapi.dpop.algorithm = Algorithm::PS256;
        ask(&fapi.dpop).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn signed_answers_have_an_algorithm_of_the_profile_without_being_told__fapi2_ms_5_5_1() {
    each_server(&[], |server| async move {
        let fapi = FapiApp::new(&server).await;
        let accept = [("accept", "application/token-introspection+jwt")];
        let answer = fapi.post("/oauth/introspect", &accept, &[("token", "x")]).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, accept[0].1));
        assert_eq!(server.jwt(&answer.body).await.0["alg"], "ES256");
        // Whoever is not held to the profile has the specification's default (RFC 9701 §6).
        let plain = server.app(|_| {}).await.post_with("/oauth/introspect", &accept, &[("token", "x")]).await;
        assert_eq!(server.jwt(&plain.body).await.0["alg"], "RS256");
    })
    .await;
}
