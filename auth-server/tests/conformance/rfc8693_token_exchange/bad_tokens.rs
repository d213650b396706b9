//! §2.2.2, subject and actor tokens that are none: whatever is wrong with them, they are refused alike and nothing is
//! written.

use std::collections::HashMap;

use auth_server::keys::Algorithm;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use shared::jose::testing::Signer;

use super::{ACCESS_TOKEN, GRANT, form};
use crate::harness::{App, Server, each_server};

/// Claims of which one is there twice.
struct Twice<'c>(&'c Value, &'c str, Value);

impl Serialize for Twice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.as_object().expect("claims") {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry(self.1, &self.2)?;
        map.end()
    }
}

/// Claims in which another member is inside.
struct Inside<'c>(&'c Value, &'c str, Twice<'c>);

impl Serialize for Inside<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.as_object().expect("claims") {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry(self.1, &self.2)?;
        map.end()
    }
}

/// Signed with our own key.
fn sign(server: &Server, typ: &str, claims: &impl Serialize) -> String {
    let state = &server.state;
    state.keys.signing(Algorithm::Es256, state.platform.clock.now()).sign_jwt(typ, claims).unwrap()
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

/// What is wrong, and the token that is wrong so; made from the header and the claims of a good one.
fn bad(server: &Server, header: &Value, claims: &Value) -> HashMap<&'static str, String> {
    let ours = |claims: &Value| sign(server, "at+jwt", claims);
    let now = server.state.platform.clock.timestamp();
    let b64 = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let deep = (0..20).fold(json!("x"), |inside, _| json!({ "sub": "x", "act": inside }));
    let jwks: Value = serde_json::from_slice(&server.state.keys.jwks()).unwrap();
    let jwk = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let (none, hmac) = (with(header, "alg", json!("none")), with(header, "alg", json!("HS256")));
    let secret = jwk.to_string();
    let mut headless = claims.clone();
    headless.as_object_mut().unwrap().remove("exp");
    HashMap::from([
        ("no signature", format!("{}.{}.", b64(&none), b64(claims))),
        ("another's key under our kid", Signer::new(jsonwebtoken::Algorithm::ES256).sign(header, claims)),
        ("a MAC with our public key", Signer::hmac(secret.as_bytes()).sign(&hmac, claims)),
        ("an unknown kid", Signer::new(jsonwebtoken::Algorithm::ES256).sign(&with(header, "kid", json!("x")), claims)),
        ("another type", sign(server, "JWT", claims)),
        ("another issuer", ours(&with(claims, "iss", json!("https://evil.example")))),
        ("from the future", ours(&with(claims, "iat", json!(now + 3600)))),
        ("expired", ours(&with(claims, "exp", json!(now)))),
        ("without an end", ours(&headless)),
        ("oversized", ours(&with(claims, "padding", json!("x".repeat(16 * 1024))))),
        ("deeply nested", ours(&with(claims, "act", deep))),
        ("a claim twice", sign(server, "at+jwt", &Twice(claims, "sub", claims["sub"].clone()))),
        ("a member twice inside", {
            let act = json!({ "sub": "one" });
            sign(server, "at+jwt", &Inside(claims, "act", Twice(&act, "sub", json!("two"))))
        }),
    ])
}

#[tokio::test]
async fn a_token_that_is_none_of_ours_is_refused_as_subject_and_as_actor__rfc8693_2_2_2__rfc8725_3_1() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let desk = server.own_app(|metadata| metadata.grant_types.push(GRANT.into())).await;
        let tokens = desk.tokens(&mut server.browser(), "ann@example.com", &[("scope", "openid email")]).await;
        let good = tokens["access_token"].as_str().unwrap();
        let (header, claims) = server.jwt(good).await;
        // What the bad ones are made from serves, signed in the same way.
        let ours = sign(&server, "at+jwt", &claims);
        as_both(&desk, good, &ours, |answer| assert_eq!(answer.status, 200)).await;
        for (what, token) in bad(&server, &header, &claims) {
            let before = server.rows().await;
            as_both(&desk, good, &token, |answer| {
                assert_eq!(answer.status, 400, "{what}");
                answer.is_error(400, "invalid_request");
            })
            .await;
            assert_eq!(server.rows().await, before, "{what}");
            // Nor does it open anything, or tell anything.
            let bearer = format!("Bearer {token}");
            assert_eq!(
                server.post_with("/oauth/userinfo", &[("authorization", &bearer)], &[]).await.status,
                401,
                "{what}"
            );
            let said = desk.post("/oauth/introspect", &[("token", &token)]).await.json(200);
            assert_eq!(said, json!({ "active": false }), "{what}");
        }
    })
    .await;
}

async fn as_both(desk: &App, good: &str, token: &str, holds: impl Fn(&crate::harness::Answer)) {
    holds(&desk.token(&form(token, &[])).await);
    holds(&desk.token(&form(good, &[("actor_token", token), ("actor_token_type", ACCESS_TOKEN)])).await);
}
