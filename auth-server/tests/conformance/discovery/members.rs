//! The document's own form, and that nothing in it is left untried.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{document, each_document, list};
use crate::harness::each_server;

/// What the tests of this folder try, beside `…_endpoint`, `…_uri`, and the two patterns below.
const TRIED: &[&str] = &[
    "issuer",
    "service_documentation",
    "mtls_endpoint_aliases",
    "scopes_supported",
    "response_types_supported",
    "response_modes_supported",
    "grant_types_supported",
    "subject_types_supported",
    "token_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_methods_supported",
    "claim_types_supported",
    "claims_supported",
    "code_challenge_methods_supported",
    "prompt_values_supported",
    "display_values_supported",
    "acr_values_supported",
    "ui_locales_supported",
    "authorization_details_types_supported",
    "protected_resources",
];

#[tokio::test]
async fn every_member_is_known_to_be_tried__oidc_discovery_3() {
    each_document(|_, document| async move {
        for (member, value) in document.as_object().expect("an object") {
            let known = TRIED.contains(&member.as_str())
                || member.ends_with("_endpoint")
                || member.ends_with("_uri")
                || member.ends_with("_alg_values_supported")
                || value.is_boolean();
            assert!(known, "{member} is listed and nothing in tests/conformance/discovery tries it");
            match value {
                Value::Array(values) => {
                    assert!(!values.is_empty(), "{member}: leave out what has nothing in it");
                    let distinct: BTreeSet<String> = values.iter().map(Value::to_string).collect();
                    assert_eq!(distinct.len(), values.len(), "{member}: {value}");
                }
                Value::Null => panic!("{member} is null"),
                _ => {}
            }
            // An attacker's favourite (RFC 8725 §3.2).
            if member.ends_with("_alg_values_supported") {
                assert!(!values_of(value).contains("none"), "{member}");
            }
        }
    })
    .await;
}

fn values_of(value: &Value) -> BTreeSet<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn endpoints_accept_no_other_authentication_than_the_token_endpoint__rfc8414_2() {
    each_document(|_, document| async move {
        let token = list(&document, "token_endpoint_auth_methods_supported");
        for member in document.as_object().expect("an object").keys().filter(|m| m.ends_with("_auth_methods_supported"))
        {
            for method in list(&document, member) {
                assert!(token.contains(&method), "{member}: {method}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_configuration_switched_off_is_not_listed__oidc_discovery_3() {
    let off = [("REGISTRATION__POLICY", "off"), ("REGISTRATION__METADATA_DOCUMENTS", "false")];
    each_server(&off, |server| async move {
        let document = document(&server).await;
        for member in [
            "registration_endpoint",
            "client_id_metadata_document_supported",
            "mtls_endpoint_aliases",
            "tls_client_certificate_bound_access_tokens",
        ] {
            assert!(document.get(member).is_none(), "{member}: {document}");
        }
        let methods = list(&document, "token_endpoint_auth_methods_supported");
        assert!(!methods.iter().any(|method| method.contains("tls")), "{methods:?}");
    })
    .await;
}

#[tokio::test]
async fn every_claim_that_is_told_is_listed__oidc_discovery_3() {
    each_document(|server, document| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| ()).await;
        let scope = "openid profile email address phone offline_access";
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("scope", scope), ("nonce", "n")]).await;
        let access = format!("Bearer {}", tokens["access_token"].as_str().expect("an access token"));
        let request = axum::http::Request::get("/oauth/userinfo").header("authorization", access);
        let userinfo = server.send(request, "").await.json(200);
        let id_token = tokens["id_token"].as_str().expect("an ID token").split('.').nth(1).expect("claims");
        let id_token = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, id_token);
        let id_token: Value = serde_json::from_slice(&id_token.expect("base64url")).expect("JSON");
        let listed = list(&document, "claims_supported");
        for told in [&userinfo, &id_token] {
            for claim in told.as_object().expect("an object").keys() {
                // These are about the token, not about the person (Core §3.1.3.6).
                let own = ["at_hash", "c_hash", "s_hash", "azp", "jti"].contains(&claim.as_str());
                assert!(own || listed.contains(claim), "{claim} is told and not listed");
            }
        }
    })
    .await;
}
