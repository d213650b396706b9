//! §3.1.2.1, `id_token_hint`.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::json;
use shared::jose::testing::Signer;

use crate::harness::each_server;

#[tokio::test]
async fn whoever_is_hinted_at_and_nobody_else_gets_in__oidc_core_3_1_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        server.person("bob@example.com").await;
        let app = server.own_app(|_| {}).await;
        let (mut ann, mut bob) = (server.browser(), server.browser());
        let tokens = app.tokens(&mut ann, "ann@example.com", &[]).await;
        bob.sign_in("bob@example.com").await;
        let hint = ("id_token_hint", tokens["id_token"].as_str().unwrap());
        let silent = app.authorization(&[("prompt", "none"), hint]);
        assert!(ann.get(&silent).await.query().contains_key("code"));
        let before = server.rows().await;
        bob.get(&silent).await.redirects_with_error("login_required");
        server.get(&silent).await.redirects_with_error("login_required");
        assert_eq!(server.rows().await, before);

        // With a page in between: sign in as the one who is meant. Somebody else won't do, and asking on would go in
        // circles.
        let url = app.authorization(&[hint]);
        assert!(bob.get(&url).await.location().starts_with("/login?"));
        bob.authorize(&url, "bob@example.com").await.redirects_with_error("login_required");
        assert!(bob.authorize(&url, "ann@example.com").await.query().contains_key("code"));
    })
    .await;
}

#[tokio::test]
async fn a_hint_serves_after_it_expired_and_its_key_retired__oidc_core_3_1_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.own_app(|m| m.id_token_signed_response_alg = "ES256".into()).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[]).await;
        let hint = tokens["id_token"].as_str().unwrap();
        let (platform, keys) = (&server.state.platform, &server.state.keys);
        for days in [89, 2, 1] {
            platform.clock.advance(Duration::from_secs(days * 86_400));
            keys.refresh(platform).await.unwrap();
        }
        let kid = jsonwebtoken::decode_header(hint).unwrap().kid.unwrap();
        assert!(keys.published(&kid).is_none(), "the key has retired");
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let silent = app.authorization(&[("prompt", "none"), ("id_token_hint", hint)]);
        assert!(browser.get(&silent).await.query().contains_key("code"));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_id_token_of_ours_for_this_client_is_refused__oidc_core_3_1_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, other) = (server.own_app(|_| {}).await, server.own_app(|_| {}).await);
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
        let others = other.tokens(&mut browser, "ann@example.com", &[]).await;
        let good = tokens["id_token"].as_str().unwrap();
        let (_, claims) = server.jwt(good).await;
        let kid = jsonwebtoken::decode_header(good).unwrap().kid.unwrap();
        let stranger = Signer::new(Algorithm::RS256);
        let forged = stranger.sign(&json!({"alg": "RS256", "kid": kid}), &claims);
        let unsigned = {
            let parts: Vec<&str> = good.split('.').collect();
            format!("eyJhbGciOiJub25lIn0.{}.", parts[1])
        };
        let now = server.state.platform.clock.now();
        let key = server.state.keys.signing(auth_server::keys::Algorithm::Es256, now);
        let changed = |member: &str, value: serde_json::Value| {
            let mut claims = claims.clone();
            claims[member] = value;
            key.sign_jwt("JWT", &claims).unwrap()
        };
        let before = server.rows().await;
        for wrong in [
            "nonsense".to_owned(),
            forged,
            unsigned,
            good.replace('.', "=."),
            others["id_token"].as_str().unwrap().to_owned(),
            tokens["access_token"].as_str().unwrap().to_owned(),
            changed("iss", json!("https://elsewhere.example")),
            changed("aud", json!(["somebody"])),
            changed("sub", json!("")),
            changed("exp", json!("soon")),
            key.sign_jwt("logout+jwt", &claims).unwrap(),
        ] {
            let answer = browser.get(&app.authorization(&[("id_token_hint", &wrong)])).await;
            let query = answer.redirects_with_error("invalid_request");
            assert!(query["error_description"].contains("id_token_hint"), "{query:?}");
        }
        // Somebody who is no more, or never was, can't sign in.
        for sub in [json!("0190b3a0-0000-7000-8000-000000000000"), json!("nobody")] {
            let gone = changed("sub", sub);
            browser.get(&app.authorization(&[("id_token_hint", &gone)])).await.redirects_with_error("login_required");
        }
        assert_eq!(server.rows().await, before);
    })
    .await;
}
