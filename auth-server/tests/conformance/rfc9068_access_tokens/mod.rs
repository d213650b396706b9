//! RFC 9068, JWT Profile for OAuth 2.0 Access Tokens: what we issue.

use std::collections::{BTreeMap, BTreeSet};

use auth_server::clients::{DEVICE_CODE, JWT_BEARER, TOKEN_EXCHANGE};
use serde_json::{Value, json};

use crate::harness::{EveryGrant, each_server};

/// §2.2: these are required of every token.
const REQUIRED: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];

/// What each grant's token says beyond that, and `scope` (§2.2.3).
fn beyond() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("authorization_code", vec!["grant_id", "auth_time", "acr", "sid"]),
        ("refresh_token", vec!["grant_id", "auth_time", "acr", "sid"]),
        // Nobody signed in, and nobody is meant.
        ("client_credentials", vec![]),
        // No browser session goes with it.
        ("password", vec!["grant_id", "auth_time", "acr"]),
        (DEVICE_CODE, vec!["grant_id", "auth_time", "acr"]),
        // Nobody signed in: it does not say when (§2.2.1).
        (JWT_BEARER, vec!["grant_id", "acr"]),
        (TOKEN_EXCHANGE, vec!["grant_id", "auth_time", "acr", "sid"]),
    ])
}

#[tokio::test]
async fn every_grants_token_has_this_header_and_these_claims__rfc9068_2_1__rfc9068_2_2() {
    each_server(&[], |server| async move {
        let service = EveryGrant::new(&server, "client_secret_basic").await;
        let mut ids = BTreeSet::new();
        let beyond = beyond();
        assert_eq!(service.grants().collect::<BTreeSet<_>>(), beyond.keys().copied().collect());
        for grant in service.grants() {
            let form = service.prepare(grant, "openid email").await;
            let now = server.state.platform.clock.timestamp();
            let tokens = service.token(&form).await.json(200);
            let (header, claims) = server.jwt(tokens["access_token"].as_str().unwrap()).await;

            let members: BTreeSet<_> = header.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(members, BTreeSet::from(["typ", "alg", "kid"]), "{grant}");
            assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")), "{grant}");

            let members: BTreeSet<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
            let expected = REQUIRED.into_iter().chain(["scope"]).chain(beyond[grant].iter().copied());
            assert_eq!(members, expected.collect(), "{grant}");
            assert_eq!(claims["iss"], server.state.issuer(), "{grant}");
            assert_eq!(claims["aud"], server.state.issuer(), "{grant}");
            assert_eq!(claims["client_id"], service.app.client_id, "{grant}");
            let sub = if grant == "client_credentials" { json!(service.app.client_id) } else { json!(service.ann) };
            assert_eq!(claims["sub"], sub, "{grant}");
            assert_eq!(claims["scope"], tokens["scope"], "{grant}");
            let iat = claims["iat"].as_i64().unwrap();
            assert!((now..=now + 5).contains(&iat), "{grant}");
            let lives = claims["exp"].as_i64().unwrap() - iat;
            // What is exchanged ends with what it was exchanged for.
            let least = if grant == TOKEN_EXCHANGE { 590 } else { 598 };
            assert!((least..=600).contains(&lives), "{grant} {lives}");
            assert!(ids.insert(claims["jti"].as_str().unwrap().to_owned()), "{grant}");
        }
    })
    .await;
}

/// §3: it follows from the resource that was asked for, or else from the scope. (Scopes of two resources and no resource
/// give a token for both, where §3 would rather have the request refused.)
#[tokio::test]
async fn the_audience_is_the_resource_that_was_asked_for_or_follows_from_the_scope__rfc9068_3() {
    each_server(&[], |server| async move {
        let app = server.app(|metadata| metadata.grant_types = vec!["client_credentials".into()]).await;
        let (issuer, api) = (server.state.issuer(), server.state.platform.config.api.public_url.as_str());
        for (scope, resource, audience) in [
            ("openid", "", json!(issuer)),
            ("referral-codes:read", "", json!(api)),
            ("openid referral-codes:read", "", json!([issuer, api])),
            ("openid referral-codes:read", api, json!(api)),
            ("openid referral-codes:read", issuer, json!(issuer)),
        ] {
            let form = [("grant_type", "client_credentials"), ("scope", scope), ("resource", resource)];
            let form = &form[..if resource.is_empty() { 2 } else { 3 }];
            let tokens: Value = app.token(form).await.json(200);
            let (_, claims) = server.jwt(tokens["access_token"].as_str().unwrap()).await;
            assert_eq!(claims["aud"], audience, "{scope} {resource}");
        }
    })
    .await;
}
