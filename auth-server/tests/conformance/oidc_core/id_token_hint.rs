//! §3.1.2.1, `id_token_hint`.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use shared::jose::testing::{Signer, encode};

use crate::harness::{Server, each_server};

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

/// Signed input as it must not be, made of the claims of a good ID token. What has no `jti` and may come back as often as
/// it likes, long after it expired, can't be replayed and can't be too old (RP-Initiated Logout §2).
pub async fn forgeries(server: &Server, claims: &Value) -> Vec<(&'static str, String)> {
    let now = server.state.platform.clock.now();
    let key = server.state.keys.signing(auth_server::keys::Algorithm::Es256, now);
    let sign = |claims: &Value| key.sign_jwt("JWT", claims).unwrap();
    let good = sign(claims);
    let parts: Vec<&str> = good.split('.').collect();
    let kid = jsonwebtoken::decode_header(&good).unwrap().kid.unwrap();
    let keys = server.get("/oauth/jwks").await.json(200);
    let jwk = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid.as_str()).unwrap().to_string();
    let stranger = Signer::new(Algorithm::ES256);
    let changed = |member: &str, value: Value| {
        let mut claims = claims.clone();
        claims[member] = value;
        sign(&claims)
    };
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let mut without = claims.clone();
    without.as_object_mut().unwrap().remove("iat");
    vec![
        ("nonsense", "nonsense".to_owned()),
        ("padding", good.replace('.', "=.")),
        ("unsigned", format!("{}.{}.", encode(r#"{"alg":"none"}"#), parts[1])),
        (
            "unsigned under the key's name",
            format!("{}.{}.", encode(format!(r#"{{"alg":"none","kid":"{kid}"}}"#)), parts[1]),
        ),
        ("another's key", stranger.sign(&json!({"alg": "ES256", "kid": kid}), claims)),
        ("another's key by its own name", stranger.sign(&json!({"alg": "ES256", "kid": "unknown"}), claims)),
        ("a key it brings", stranger.sign(&json!({"alg": "ES256", "kid": kid, "jwk": stranger.jwk()}), claims)),
        ("a MAC by the public key", Signer::hmac(jwk.as_bytes()).sign(&json!({"alg": "HS256", "kid": kid}), claims)),
        ("another message", format!("{}.{}.{}", parts[0], encode(json!({"sub": "x"}).to_string()), parts[2])),
        ("another issuer", changed("iss", json!("https://elsewhere.example"))),
        ("two audiences", changed("aud", json!([claims["aud"], "another"]))),
        ("an audience that is none", changed("aud", json!(7))),
        ("nobody", changed("sub", json!(""))),
        ("exp that is no time", changed("exp", json!("soon"))),
        ("no exp", changed("exp", json!(null))),
        ("no iat", sign(&without)),
        ("from the future", changed("iat", json!(now.timestamp() + 60))),
        ("deep", changed("x", deep)),
        ("large", changed("x", json!("x".repeat(17 * 1024)))),
        ("a member twice", key.sign_jwt("JWT", &Twice(claims)).unwrap()),
        ("another type", key.sign_jwt("logout+jwt", claims).unwrap()),
        ("an access token's type", key.sign_jwt("at+jwt", claims).unwrap()),
    ]
}

/// The claims, with `sub` once more.
struct Twice<'c>(&'c Value);

impl Serialize for Twice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.as_object().expect("an object") {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("sub", "again")?;
        map.end()
    }
}

#[tokio::test]
async fn what_is_no_id_token_of_ours_for_this_client_is_refused__oidc_core_3_1_2_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let (app, other) = (server.own_app(|_| {}).await, server.own_app(|_| {}).await);
        let mut browser = server.browser();
        let tokens = app.tokens(&mut browser, "ann@example.com", &[]).await;
        let others = other.tokens(&mut browser, "ann@example.com", &[]).await;
        let (_, claims) = server.jwt(tokens["id_token"].as_str().unwrap()).await;
        let key = server.state.keys.signing(auth_server::keys::Algorithm::Es256, server.state.platform.clock.now());
        let changed = |member: &str, value: Value| {
            let mut claims = claims.clone();
            claims[member] = value;
            key.sign_jwt("JWT", &claims).unwrap()
        };
        let mut wrong = forgeries(&server, &claims).await;
        wrong.extend([
            ("another client's", others["id_token"].as_str().unwrap().to_owned()),
            ("for another client", changed("aud", json!(["somebody"]))),
            ("an access token", tokens["access_token"].as_str().unwrap().to_owned()),
        ]);
        let before = server.rows().await;
        for (case, wrong) in wrong {
            // Too long for a URL as browsers take it, a hint may be posted.
            let answer = browser.post("/oauth/authorize", &app.parameters(&[("id_token_hint", &wrong)])).await;
            let query = answer.redirects_with_error("invalid_request");
            assert!(query["error_description"].contains("id_token_hint"), "{case}: {query:?}");
        }
        // Somebody who is no more, or never was, can't sign in.
        for sub in [json!("0190b3a0-0000-7000-8000-000000000000"), json!("nobody")] {
            let gone = changed("sub", sub);
            browser.get(&app.authorization(&[("id_token_hint", &gone)])).await.redirects_with_error("login_required");
        }
        assert_eq!(server.rows().await, before);
        // As it was, it serves; and so it does once it has expired, and from a clock that is a little ahead.
        let now = server.state.platform.clock.timestamp();
        for (member, value) in [("exp", json!(now - 3600)), ("iat", json!(now + 5))] {
            let good = changed(member, value);
            let asked = app.authorization(&[("id_token_hint", &good), ("prompt", "none")]);
            assert!(browser.get(&asked).await.query().contains_key("code"), "{member}");
        }
    })
    .await;
}
