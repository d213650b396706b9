//! The document's own form, and that nothing in it is left untried.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::users::{Address, Profile};
use sqlx::types::Json as Column;

use super::{document, each_document, list};
use crate::harness::{Server, each_server};

/// Each member there may be, and the test of this folder that tries it.
const TRIED: &[(&str, &str)] = &[
    ("issuer", "both_documents_are_one_and_name_the_issuer"),
    ("authorization_endpoint", "every_url_in_the_document_is_answered_at"),
    ("token_endpoint", "every_url_in_the_document_is_answered_at"),
    ("userinfo_endpoint", "every_url_in_the_document_is_answered_at"),
    ("jwks_uri", "every_url_in_the_document_is_answered_at"),
    ("revocation_endpoint", "every_url_in_the_document_is_answered_at"),
    ("introspection_endpoint", "every_url_in_the_document_is_answered_at"),
    ("device_authorization_endpoint", "every_url_in_the_document_is_answered_at"),
    ("pushed_authorization_request_endpoint", "every_url_in_the_document_is_answered_at"),
    ("end_session_endpoint", "every_url_in_the_document_is_answered_at"),
    ("registration_endpoint", "every_url_in_the_document_is_answered_at"),
    ("service_documentation", "every_url_in_the_document_is_answered_at"),
    ("mtls_endpoint_aliases", "every_url_in_the_document_is_answered_at"),
    ("scopes_supported", "scopes_are_those_listed"),
    ("response_types_supported", "response_types_modes_and_challenges_are_those_listed"),
    ("response_modes_supported", "response_types_modes_and_challenges_are_those_listed"),
    ("code_challenge_methods_supported", "response_types_modes_and_challenges_are_those_listed"),
    ("grant_types_supported", "every_grant_that_is_listed_is_served_and_no_other"),
    ("subject_types_supported", "subject_types_are_those_listed"),
    ("prompt_values_supported", "prompts_are_those_listed"),
    ("display_values_supported", "displays_are_those_listed"),
    ("acr_values_supported", "sign_ins_are_of_the_kinds_listed"),
    ("ui_locales_supported", "pages_speak_the_languages_listed_and_no_others"),
    ("authorization_details_types_supported", "authorization_details_are_of_the_types_listed"),
    ("claims_parameter_supported", "claims_can_be_asked_for_one_by_one_as_announced"),
    ("request_parameter_supported", "parameters_that_are_said_not_to_be_supported_are_refused_as_such"),
    ("request_uri_parameter_supported", "parameters_that_are_said_not_to_be_supported_are_refused_as_such"),
    ("require_pushed_authorization_requests", "requests_need_be_neither_pushed_nor_signed_unless_it_is_said"),
    ("require_signed_request_object", "requests_need_be_neither_pushed_nor_signed_unless_it_is_said"),
    ("authorization_response_iss_parameter_supported", "every_answer_names_the_issuer_as_announced"),
    ("client_id_metadata_document_supported", "a_client_may_be_known_by_its_document_exactly_when_it_is_said"),
    ("claims_supported", "every_claim_that_is_told_is_listed_and_every_one_listed_can_be_told"),
    ("claim_types_supported", "every_claim_that_is_told_is_listed_and_every_one_listed_can_be_told"),
    ("token_endpoint_auth_methods_supported", "ways_to_authenticate_are_those_listed"),
    ("revocation_endpoint_auth_methods_supported", "each_endpoint_lets_clients_in_by_the_ways_it_lists"),
    ("introspection_endpoint_auth_methods_supported", "each_endpoint_lets_clients_in_by_the_ways_it_lists"),
    ("token_endpoint_auth_signing_alg_values_supported", "assertions_are_taken_in_the_algorithms_listed"),
    ("revocation_endpoint_auth_signing_alg_values_supported", "assertions_are_taken_in_the_algorithms_listed"),
    ("introspection_endpoint_auth_signing_alg_values_supported", "assertions_are_taken_in_the_algorithms_listed"),
    ("request_object_signing_alg_values_supported", "request_objects_are_taken_in_the_algorithms_listed"),
    ("id_token_signing_alg_values_supported", "what_is_signed_comes_in_each_algorithm_listed"),
    ("userinfo_signing_alg_values_supported", "what_is_signed_comes_in_each_algorithm_listed"),
    ("authorization_signing_alg_values_supported", "what_is_signed_comes_in_each_algorithm_listed"),
    ("introspection_signing_alg_values_supported", "what_is_signed_comes_in_each_algorithm_listed"),
    ("dpop_signing_alg_values_supported", "proofs_are_taken_in_the_algorithms_listed"),
    ("tls_client_certificate_bound_access_tokens", "tokens_are_bound_to_certificates_as_announced"),
    ("backchannel_logout_supported", "clients_are_told_of_a_sign_out_behind_the_scenes_as_announced"),
    ("backchannel_logout_session_supported", "clients_are_told_of_a_sign_out_behind_the_scenes_as_announced"),
    ("frontchannel_logout_supported", "clients_are_told_of_a_sign_out_in_frames_as_announced"),
    ("frontchannel_logout_session_supported", "clients_are_told_of_a_sign_out_in_frames_as_announced"),
];

/// The folder's tests.
const SOURCES: [&str; 7] = [
    include_str!("authorization.rs"),
    include_str!("endpoints.rs"),
    include_str!("logout.rs"),
    include_str!("members.rs"),
    include_str!("registration.rs"),
    include_str!("signatures.rs"),
    include_str!("tokens.rs"),
];

#[tokio::test]
async fn every_member_is_known_to_be_tried__oidc_discovery_3() {
    for (member, test) in TRIED {
        let tests: usize = SOURCES.iter().map(|source| source.matches(&format!("async fn {test}__")).count()).sum();
        assert_eq!(tests, 1, "{member}: {test}");
    }
    each_document(|_, document| async move {
        let members = document.as_object().expect("an object");
        for (member, _) in TRIED {
            // Everything is switched on here.
            assert!(members.contains_key(*member), "{member} is tried, and not listed");
        }
        for (member, value) in members {
            let known = TRIED.iter().any(|(tried, _)| tried == member);
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
        let members = document.as_object().expect("an object").keys();
        for member in members.filter(|member| member.ends_with("_auth_methods_supported")) {
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

/// Ann, of whom everything is known that can be.
async fn person_with_a_full_profile(server: &Server) {
    let ann = server.person("ann@example.com").await;
    let text = |text: &str| Some(text.to_owned());
    let profile = Profile {
        middle_name: text("May"),
        nickname: text("Annie"),
        preferred_username: text("ann"),
        profile: text("https://ann.example/about"),
        picture: text("https://ann.example/me.png"),
        website: text("https://ann.example"),
        gender: text("female"),
        birthdate: text("1990-05-17"),
        zoneinfo: text("Europe/Paris"),
        phone_number: text("+14155550123"),
        address: Some(Address { country: text("FR"), ..Address::default() }),
    };
    let mut tx = server.state.platform.db.begin().await.expect("the database answers");
    shared::execute!(&mut tx, "UPDATE users SET profile = $2, locale = 'en' WHERE id = $1", ann, Column(&profile))
        .expect("it is written");
    tx.commit().await.expect("it is written");
}

#[tokio::test]
async fn every_claim_that_is_told_is_listed_and_every_one_listed_can_be_told__oidc_discovery_3() {
    each_document(|server, document| async move {
        person_with_a_full_profile(&server).await;
        let app = server.app(|_| ()).await;
        let scope = "openid profile email address phone offline_access";
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("scope", scope), ("nonce", "n")]).await;
        let access = format!("Bearer {}", tokens["access_token"].as_str().expect("an access token"));
        let request = axum::http::Request::get("/oauth/userinfo").header("authorization", access);
        let userinfo = server.send(request, "").await.json(200);
        let (_, id_token) = server.jwt(tokens["id_token"].as_str().expect("an ID token")).await;
        let told: BTreeSet<&str> = [&userinfo, &id_token]
            .into_iter()
            .flat_map(|claims| claims.as_object().expect("an object").keys())
            .map(String::as_str)
            // These are about the token, not about the person (Core §3.1.3.6).
            .filter(|claim| !["at_hash", "c_hash", "s_hash", "azp", "jti"].contains(claim))
            .collect();
        let listed = list(&document, "claims_supported");
        assert_eq!(told, listed.iter().map(String::as_str).collect());
        // Nothing is aggregated or distributed (Core §5.6.2): that would be members of these names.
        assert_eq!(list(&document, "claim_types_supported"), ["normal"]);
        for claims in [&userinfo, &id_token] {
            assert!(claims.get("_claim_names").is_none() && claims.get("_claim_sources").is_none(), "{claims}");
        }
    })
    .await;
}
