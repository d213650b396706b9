//! Discovery 1.0 §3, of what Core has.

use serde_json::json;

use crate::harness::each_server;

#[tokio::test]
async fn discovery_tells_what_works__oidc_discovery_3() {
    each_server(&[], |server| async move {
        let document = server.get("/.well-known/openid-configuration").await.json(200);
        for (member, expected) in [
            ("subject_types_supported", json!(["public", "pairwise"])),
            ("id_token_signing_alg_values_supported", json!(["ES256", "RS256", "PS256", "EdDSA"])),
            ("userinfo_signing_alg_values_supported", json!(["ES256", "RS256", "PS256", "EdDSA"])),
            ("authorization_signing_alg_values_supported", json!(["ES256", "RS256", "PS256", "EdDSA"])),
            ("acr_values_supported", json!(["urn:referris:acr:password", "urn:referris:acr:mfa", "phr"])),
            ("display_values_supported", json!(["page", "popup", "touch"])),
            ("claims_parameter_supported", json!(true)),
            ("prompt_values_supported", json!(["none", "login", "consent", "select_account", "create"])),
            ("response_types_supported", json!(["code"])),
            ("ui_locales_supported", json!(["en", "ru"])),
        ] {
            assert_eq!(document[member], expected, "{member}");
        }
        let claims = document["claims_supported"].as_array().unwrap();
        for claim in ["sub", "auth_time", "acr", "sid", "birthdate", "address", "phone_number_verified", "email"] {
            assert!(claims.contains(&json!(claim)), "{claim}");
        }
    })
    .await;
}
