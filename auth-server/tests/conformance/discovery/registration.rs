//! What clients are said to be able to register, they can, and nothing else.

use serde_json::{Value, json};
use shared::jose::testing::Signer;

use super::{each_document, list};
use crate::harness::Server;
use crate::rfc7591_registration::{register, web_app};

const ALGORITHMS: &[&str] = &[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "HS256",
    "HS384", "HS512", "none", "magic",
];

/// Can this be registered?
async fn accepted(server: &Server, changes: Value) -> bool {
    let mut metadata = web_app();
    metadata.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
    let answer = register(server, &metadata).await;
    match answer.status.as_u16() {
        201 => true,
        400 => false,
        _ => panic!("{metadata}: {answer:?}"),
    }
}

/// A key set of a client's.
pub fn keys() -> Value {
    json!({ "keys": [Signer::new(jsonwebtoken::Algorithm::ES256).jwk()] })
}

#[tokio::test]
async fn ways_to_authenticate_are_those_listed__rfc8414_2() {
    each_document(|server, document| async move {
        let listed = list(&document, "token_endpoint_auth_methods_supported");
        for method in [
            "client_secret_basic",
            "client_secret_post",
            "client_secret_jwt",
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth",
            "none",
            "magic",
        ]
        .map(str::to_owned)
        .iter()
        .chain(&listed)
        {
            let mut changes = json!({ "token_endpoint_auth_method": method });
            match method.as_str() {
                "private_key_jwt" | "self_signed_tls_client_auth" => changes["jwks"] = keys(),
                "tls_client_auth" => changes["tls_client_auth_san_dns"] = json!("app.example"),
                _ => {}
            }
            assert_eq!(accepted(&server, changes).await, listed.contains(method), "{method}");
        }
    })
    .await;
}

#[tokio::test]
async fn algorithms_are_those_listed__oidc_discovery_3() {
    each_document(|server, document| async move {
        for (listed_as, registered_as) in [
            ("id_token_signing_alg_values_supported", "id_token_signed_response_alg"),
            ("userinfo_signing_alg_values_supported", "userinfo_signed_response_alg"),
            ("authorization_signing_alg_values_supported", "authorization_signed_response_alg"),
            ("introspection_signing_alg_values_supported", "introspection_signed_response_alg"),
            ("request_object_signing_alg_values_supported", "request_object_signing_alg"),
            ("token_endpoint_auth_signing_alg_values_supported", "token_endpoint_auth_signing_alg"),
        ] {
            let listed = list(&document, listed_as);
            for algorithm in ALGORITHMS.iter().copied().chain(listed.iter().map(String::as_str)) {
                let mut changes = json!({ registered_as: algorithm });
                if registered_as.starts_with("token_endpoint") {
                    let symmetric = algorithm.starts_with("HS");
                    let method = if symmetric { "client_secret_jwt" } else { "private_key_jwt" };
                    changes["token_endpoint_auth_method"] = json!(method);
                    if !symmetric {
                        changes["jwks"] = keys();
                    }
                }
                let expected = listed.iter().any(|known| known == algorithm);
                assert_eq!(accepted(&server, changes).await, expected, "{registered_as}: {algorithm}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn subject_types_are_those_listed__oidc_discovery_3() {
    each_document(|server, document| async move {
        let listed = list(&document, "subject_types_supported");
        for kind in ["public", "pairwise", "magic"] {
            let changes = json!({ "subject_type": kind });
            assert_eq!(accepted(&server, changes).await, listed.iter().any(|known| known == kind), "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn grants_that_are_listed_can_be_registered_by_the_operator__rfc8414_2() {
    each_document(|server, document| async move {
        for grant in list(&document, "grant_types_supported") {
            let also = if grant == "refresh_token" { "authorization_code" } else { &grant };
            let grants = vec![grant.clone(), also.to_owned()];
            // The harness fails the test where a client can't be registered.
            server
                .own_app(|metadata| {
                    metadata.grant_types = grants;
                    metadata.jwks = Some(keys());
                })
                .await;
        }
    })
    .await;
}
