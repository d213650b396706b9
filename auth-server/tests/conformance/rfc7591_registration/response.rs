//! What a client is told that has registered itself.

use serde_json::json;

use super::{OPEN, app, register, web_app};
use crate::harness::each_server;

#[tokio::test]
async fn a_client_is_told_its_credentials_and_all_registered_metadata__rfc7591_3_2_1() {
    each_server(&[OPEN], |server| async move {
        let asked = json!({
            "client_name": "Wonder App",
            "client_name#ru": "Чудо",
            "redirect_uris": ["https://app.example/callback", "https://app.example/other"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "scope": "openid email",
            "token_endpoint_auth_method": "client_secret_post",
            "contacts": ["dev@app.example"],
            "client_uri": "https://app.example/",
            "logo_uri": "https://app.example/logo.png",
            "policy_uri": "https://app.example/policy",
            "tos_uri": "https://app.example/terms",
            "software_id": "4NRB1-0XZABZI9E6-5SM3R",
            "software_version": "2.0",
            "application_type": "web",
            "subject_type": "pairwise",
            "id_token_signed_response_alg": "ES256",
            "default_max_age": 3600,
            "require_auth_time": true,
            "post_logout_redirect_uris": ["https://app.example/bye"],
            "frontchannel_logout_uri": "https://app.example/out",
            "initiate_login_uri": "https://app.example/start",
            "unheard_of": { "ignored": true },
        });
        let answer = register(&server, &asked).await;
        let said = answer.json(201);
        answer.is_not_cached();
        assert_eq!(answer.header("pragma"), "no-cache");
        assert!(answer.header("content-type").starts_with("application/json"));
        for (member, value) in asked.as_object().expect("an object") {
            match member.as_str() {
                "unheard_of" | "client_name#ru" => assert!(said.get(member).is_none(), "{said}"),
                _ => assert_eq!(said[member], *value, "{member}"),
            }
        }
        let id = said["client_id"].as_str().expect("an id");
        assert!(said["client_secret"].as_str().is_some_and(|secret| secret.len() >= 43), "{said}");
        assert_eq!(said["client_secret_expires_at"], 0);
        let issued = said["client_id_issued_at"].as_i64().expect("seconds");
        assert!((server.state.platform.clock.timestamp() - issued).abs() <= 5);
        assert!(said["registration_access_token"].as_str().is_some_and(|token| token.len() >= 43));
        let uri = format!("{}/oauth/register/{id}", server.state.issuer());
        assert_eq!(said["registration_client_uri"], uri);
    })
    .await;
}

#[tokio::test]
async fn what_is_left_out_or_null_has_its_default__rfc7591_2() {
    each_server(&[OPEN], |server| async move {
        let asked = json!({ "redirect_uris": ["https://app.example/cb"], "scope": null, "contacts": [], "jwks": null });
        let said = register(&server, &asked).await.json(201);
        assert_eq!(said["grant_types"], json!(["authorization_code"]));
        assert_eq!(said["response_types"], json!(["code"]));
        assert_eq!(said["token_endpoint_auth_method"], "client_secret_basic");
        assert_eq!(said["id_token_signed_response_alg"], "RS256");
        assert_eq!(said["application_type"], "web");
        assert_eq!(said["subject_type"], "public");
        assert_eq!(said["client_name"], said["client_id"]);
        let scope = said["scope"].as_str().expect("a scope");
        assert!(scope.contains("openid") && !scope.contains("account:") && !scope.contains("admin"), "{scope}");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_keeps_no_secret_is_given_none__rfc7591_3_2_1() {
    each_server(&[OPEN], |server| async move {
        let mut asked = web_app();
        asked["token_endpoint_auth_method"] = json!("none");
        let said = register(&server, &asked).await.json(201);
        assert!(said.get("client_secret").is_none() && said.get("client_secret_expires_at").is_none(), "{said}");
        // The basic suite of OpenID certification leaves PKCE out; a public client may not, whatever is configured.
        let app = app(&server, &said).await;
        let without = app.authorization(&[("code_challenge", ""), ("code_challenge_method", "")]);
        let page = server.browser().get(&without).await;
        assert!(page.is_error_page().body.contains("error=invalid_request"), "{page:?}");
    })
    .await;
}

#[tokio::test]
async fn a_client_signs_people_in_right_after_it_registered__rfc7591_1_3() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        let mut asked = web_app();
        asked["grant_types"] = json!(["authorization_code", "refresh_token"]);
        let said = register(&server, &asked).await.json(201);
        let app = app(&server, &said).await;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("scope", "openid offline_access")]).await;
        app.refresh(tokens["refresh_token"].as_str().expect("a refresh token")).await.json(200);
    })
    .await;
}

#[tokio::test]
async fn whether_pkce_is_required_is_the_operators_choice__rfc9700_2_1_1() {
    for required in ["true", "false"] {
        each_server(&[OPEN, ("REGISTRATION__REQUIRE_PKCE", required)], |server| async move {
            let said = register(&server, &web_app()).await.json(201);
            let app = app(&server, &said).await;
            let without = app.authorization(&[("code_challenge", ""), ("code_challenge_method", "")]);
            let answer = server.browser().get(&without).await;
            if required == "true" {
                assert!(answer.is_error_page().body.contains("error=invalid_request"), "{answer:?}");
            } else {
                assert!(answer.location().starts_with("/login"), "{answer:?}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn people_are_asked_for_consent_always_to_a_client_that_registered_itself__rfc7591_5() {
    each_server(&[OPEN], |server| async move {
        server.person("ann@example.com").await;
        let said = register(&server, &web_app()).await.json(201);
        let mut browser = server.browser();
        browser.sign_in("ann@example.com").await;
        let answer = browser.get(&app(&server, &said).await.authorization(&[])).await;
        assert!(answer.location().starts_with("/consent"), "{answer:?}");
    })
    .await;
}
