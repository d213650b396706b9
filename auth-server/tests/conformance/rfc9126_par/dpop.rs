//! RFC 9449 §10: the code is bound to a DPoP key, by the parameter `dpop_jkt` or by a proof at the endpoint (§10.1).

use jsonwebtoken::Algorithm;
use serde_json::json;
use shared::fetch_all;
use shared::jose::testing::Signer;
use sqlx::types::Json;

use super::{push, push_with, pushed, referring};
use crate::harness::{App, Server, each_server};

fn proof(server: &Server, signer: &Signer, jti: &str) -> String {
    let url = server.state.platform.config.auth.public_url.join("/oauth/par");
    let now = server.state.platform.clock.timestamp();
    signed(server, signer, signer.proof_claims("POST", &url, now, jti, None))
}

/// A proof with these claims and the nonce that is wanted.
fn signed(server: &Server, signer: &Signer, mut claims: serde_json::Value) -> String {
    claims["nonce"] = server.state.nonces.issue(server.state.platform.clock.timestamp()).into();
    signer.proof(&claims)
}

/// What the codes that were issued are bound to.
async fn bound(server: &Server) -> Vec<serde_json::Value> {
    let mut conn = server.state.platform.db.read().await.unwrap();
    let rows = fetch_all!(&mut conn, (Json<serde_json::Value>,), "SELECT request FROM authorization_codes").unwrap();
    rows.into_iter().map(|(Json(request),)| request["dpop_jkt"].clone()).collect()
}

async fn code(app: &App, request_uri: &str) -> String {
    app.server.browser().code(&referring(&app.client_id, request_uri, &[]), "ann@example.com").await
}

#[tokio::test]
async fn a_proof_or_the_parameter_or_both_bind_the_code__rfc9449_10_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let signer = Signer::new(Algorithm::ES256);
        let jkt = signer.public_key().thumbprint().to_owned();
        let (first, second) = (proof(&server, &signer, "1"), proof(&server, &signer, "2"));
        let by_parameter = pushed(&app, &[("dpop_jkt", &jkt)]).await;
        let by_proof = push_with(&app, &[("dpop", &first)], &[]).await.json(201);
        let by_both = push_with(&app, &[("dpop", &second)], &[("dpop_jkt", &jkt)]).await.json(201);
        for uri in [&by_parameter, by_proof["request_uri"].as_str().unwrap(), by_both["request_uri"].as_str().unwrap()]
        {
            code(&app, uri).await;
        }
        assert_eq!(bound(&server).await, [json!(jkt), json!(jkt), json!(jkt)]);
    })
    .await;
}

#[tokio::test]
async fn a_code_is_bound_by_the_parameter_at_the_authorization_endpoint__rfc9449_10() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let jkt = Signer::new(Algorithm::EdDSA).public_key().thumbprint().to_owned();
        let before = server.rows().await;
        for bad in ["x", &jkt[1..], &format!("{}=", &jkt[1..]), &format!("{jkt}x")] {
            let told = server.get(&app.authorization(&[("dpop_jkt", bad)])).await;
            told.redirects_with_error("invalid_request");
        }
        assert_eq!(server.rows().await, before);
        app.code(&mut server.browser(), "ann@example.com", &[("dpop_jkt", &jkt)]).await;
        assert_eq!(bound(&server).await, [json!(jkt)]);
    })
    .await;
}

#[tokio::test]
async fn a_proof_that_does_not_hold_is_refused__rfc9449_10_1() {
    each_server(&[], |server| async move {
        let app = server.app(|_| {}).await;
        let (signer, other) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
        let used = proof(&server, &signer, "used");
        push_with(&app, &[("dpop", &used)], &[]).await.json(201);
        let base = &server.state.platform.config.auth.public_url;
        let (here, token) = (base.join("/oauth/par"), base.join("/oauth/token"));
        let now = server.state.platform.clock.timestamp();
        let elsewhere = signed(&server, &signer, signer.proof_claims("POST", &token, now, "a", None));
        let by_get = signed(&server, &signer, signer.proof_claims("GET", &here, now, "b", None));
        let old = signed(&server, &signer, signer.proof_claims("POST", &here, now - 3600, "c", None));
        let before = server.rows().await;
        for bad in [&used, &elsewhere, &by_get, &old, "x", "x.y.z"] {
            push_with(&app, &[("dpop", bad)], &[]).await.is_error(400, "invalid_dpop_proof");
        }
        // Without the server's nonce, which comes with the answer (§8).
        let bare = signer.proof(&signer.proof_claims("POST", &here, now, "g", None));
        let told = push_with(&app, &[("dpop", &bare)], &[]).await;
        told.is_error(400, "use_dpop_nonce");
        assert!(!told.header("dpop-nonce").is_empty(), "{told:?}");
        let (one, two) = (proof(&server, &signer, "d"), proof(&server, &signer, "e"));
        push_with(&app, &[("dpop", &one), ("dpop", &two)], &[]).await.is_error(400, "invalid_dpop_proof");
        // The parameter names another key.
        let jkt = other.public_key().thumbprint().to_owned();
        let third = proof(&server, &signer, "f");
        push_with(&app, &[("dpop", &third)], &[("dpop_jkt", &jkt)]).await.is_error(400, "invalid_request");
        assert_eq!(server.rows().await, before);
        // As at the token endpoint, a proof is written down with what it served for: strangers can make any number.
        push_with(&app, &[("dpop", &third)], &[]).await.json(201);
        push_with(&app, &[("dpop", &third)], &[]).await.is_error(400, "invalid_dpop_proof");
        push(&app, &[]).await.json(201);
    })
    .await;
}
