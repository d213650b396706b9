//! Protected resource metadata (RFC 9728).

use serde_json::json;

use crate::world::{on_each_store, on_each_store_with};

const PATH: &str = "/.well-known/oauth-protected-resource";

#[tokio::test]
async fn the_metadata_names_the_issuer_the_audience_and_what_is_enforced__rfc9728_2() {
    on_each_store(|world| async move {
        let answer = world.anon().get(PATH).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        let api = world.platform.config.api.public_url.as_str();
        // No `jwks_uri`: nothing here is signed.
        assert_eq!(
            answer.body,
            json!({
                "resource": api,
                "authorization_servers": [world.issuer.url()],
                "scopes_supported":
                    ["referral-codes:read", "referral-codes:write", "referrals:read", "referrals:manage", "webhooks:manage", "referrals:admin"],
                "authorization_details_types_supported": ["referral_code"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Referris referral API",
                "resource_documentation": format!("{api}/docs/"),
                "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "PS256"],
                "dpop_bound_access_tokens_required": false,
            })
        );
    })
    .await;
}

#[tokio::test]
async fn the_metadata_says_when_tokens_must_be_bound__rfc9728_2() {
    on_each_store_with(&[("API__REQUIRE_DPOP", "true")], |world| async move {
        assert_eq!(world.anon().get(PATH).await.body["dpop_bound_access_tokens_required"], true);
    })
    .await;
}

#[tokio::test]
async fn the_metadata_says_when_certificates_arrive__rfc9728_2() {
    on_each_store_with(
        &[("CLIENT_CERTIFICATE_HEADER", "Client-Cert"), ("TRUSTED_PROXIES", "[\"10.0.0.1/32\"]")],
        |world| async move {
            assert_eq!(world.anon().get(PATH).await.body["tls_client_certificate_bound_access_tokens"], true);
        },
    )
    .await;
}

#[tokio::test]
async fn every_challenge_leads_to_the_metadata__rfc9728_5_1() {
    on_each_store(|world| async move {
        let api = world.platform.config.api.public_url.as_str().to_owned();
        let leads = format!("resource_metadata=\"{api}{PATH}\"");
        let ann = world.person("Ann").await;
        for answer in [
            world.anon().get("/v1/referral-codes").await,
            world.bearer("nonsense").get("/v1/referral-codes").await,
            ann.with_scope("openid").get("/v1/referral-codes").await,
            world.anon().with_header("authorization", "DPoP nonsense").get("/v1/referral-codes").await,
            world.anon().with_header("authorization", "Bearer").get("/v1/referral-codes").await,
        ] {
            for scheme in ["Bearer", "DPoP"] {
                assert!(answer.challenge(scheme).ends_with(&leads), "{answer:?}");
            }
        }
    })
    .await;
}
