//! What the authorization endpoint is said to take, it takes, and what it is not said to take it refuses.

use serde_json::{Value, json};

use super::{each_document, list};
use crate::client_id_metadata_document;
use crate::harness::{Answer, App, Server, Site};
use crate::rfc9101_jar::SigningApp;
use crate::rfc9396_rar;

/// The answer to an authorization request of somebody who is not signed in.
async fn asked(app: &App, more: &[(&str, &str)]) -> Answer {
    app.server.browser().get(&app.authorization(more)).await
}

/// Is the person asked to sign in, so that the request was found good?
fn goes_on(answer: &Answer) -> bool {
    answer.status.is_redirection() && ["/login", "/signup"].iter().any(|page| answer.location().starts_with(page))
}

/// The error that the client is told, wherever it is told it; the empty text when it is told in another way.
fn error(answer: &Answer) -> String {
    let parameters = answer.header("location").split(['?', '#', '&']).skip(1);
    parameters.filter_map(|pair| pair.strip_prefix("error=")).next().unwrap_or_default().to_owned()
}

/// Each of `values` is accepted exactly when it is listed.
async fn exactly(app: &App, document: &Value, member: &str, parameter: &str, values: &[&str]) {
    let listed = list(document, member);
    assert!(!listed.is_empty(), "{member}");
    for value in listed.iter().map(String::as_str).chain(values.iter().copied()) {
        let answer = asked(app, &[(parameter, value)]).await;
        assert_eq!(goes_on(&answer), listed.iter().any(|l| l == value), "{parameter}={value}: {answer:?}");
    }
}

async fn own_app(server: &Server, document: &Value) -> App {
    let scopes = list(document, "scopes_supported");
    server.own_app(|metadata| metadata.scopes = scopes).await
}

#[tokio::test]
async fn response_types_modes_and_challenges_are_those_listed__rfc8414_2() {
    each_document(|server, document| async move {
        let app = server.app(|_| ()).await;
        let types = ["token", "id_token", "code id_token", "code token", "none", "magic"];
        exactly(&app, &document, "response_types_supported", "response_type", &types).await;
        let modes = [
            "query",
            "fragment",
            "form_post",
            "jwt",
            "query.jwt",
            "fragment.jwt",
            "form_post.jwt",
            "web_message",
            "magic",
        ];
        exactly(&app, &document, "response_modes_supported", "response_mode", &modes).await;
        let challenges = ["plain", "S512", "magic"];
        exactly(&app, &document, "code_challenge_methods_supported", "code_challenge_method", &challenges).await;
    })
    .await;
}

#[tokio::test]
async fn scopes_are_those_listed__rfc8414_2() {
    each_document(|server, document| async move {
        let app = own_app(&server, &document).await;
        exactly(&app, &document, "scopes_supported", "scope", &["magic", "admin", "openid magic"]).await;
    })
    .await;
}

#[tokio::test]
async fn prompts_are_those_listed__oidc_core_3_1_2_1() {
    each_document(|server, document| async move {
        let app = server.app(|_| ()).await;
        let listed = list(&document, "prompt_values_supported");
        for prompt in &listed {
            let answer = asked(&app, &[("prompt", prompt)]).await;
            match prompt.as_str() {
                "none" => drop(answer.redirects_with_error("login_required")),
                _ => assert!(goes_on(&answer), "{prompt}: {answer:?}"),
            }
        }
        asked(&app, &[("prompt", "magic")]).await.redirects_with_error("invalid_request");
    })
    .await;
}

#[tokio::test]
async fn displays_are_those_listed__oidc_core_3_1_2_1() {
    each_document(|server, document| async move {
        let app = server.app(|_| ()).await;
        exactly(&app, &document, "display_values_supported", "display", &["sidebar", "magic"]).await;
    })
    .await;
}

#[tokio::test]
async fn sign_ins_are_of_the_kinds_listed__oidc_discovery_3__oidc_core_5_5_1_1() {
    each_document(|server, document| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| ()).await;
        let listed = list(&document, "acr_values_supported");
        // As a wish any value would do; as an essential claim only what can be had goes on.
        let essential = |acr: &str| json!({"id_token": {"acr": {"essential": true, "values": [acr]}}}).to_string();
        for acr in &listed {
            if acr != "urn:referris:acr:password" {
                // The person has no more than a password: they are asked for it, and the client learns that it was not
                // enough. `oidc_core::acr` tells of those who have more.
                let asked = app.authorization(&[("claims", &essential(acr))]);
                let answer = server.browser().authorize(&asked, "ann@example.com").await;
                answer.redirects_with_error("unmet_authentication_requirements");
                continue;
            }
            let claims = essential(acr);
            let mut browser = server.browser();
            let tokens = app.tokens(&mut browser, "ann@example.com", &[("claims", &claims)]).await;
            let (_, told) = server.jwt(tokens["id_token"].as_str().expect("an ID token")).await;
            assert_eq!(told["acr"], acr.as_str());
        }
        for acr in ["magic", "0", "urn:example:gold"] {
            let answer = asked(&app, &[("claims", &essential(acr))]).await;
            answer.redirects_with_error("unmet_authentication_requirements");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_speak_the_languages_listed_and_no_others__oidc_discovery_3() {
    each_document(|server, document| async move {
        let app = server.app(|_| ()).await;
        let listed = list(&document, "ui_locales_supported");
        let known: Vec<&str> = auth_server::locales::Locale::ALL.iter().map(|locale| locale.tag()).collect();
        assert_eq!(listed, known);
        let page = async |locale: &str| {
            let mut browser = server.browser();
            // So that the answer is not in the language by the browser's own wish.
            browser.language = if locale == "en" { "ru" } else { "en" };
            let to_sign_in = browser.get(&app.authorization(&[("ui_locales", locale)])).await;
            assert!(goes_on(&to_sign_in), "{locale}: {to_sign_in:?}");
            browser.get(to_sign_in.location()).await
        };
        for locale in &listed {
            let page = page(locale).await;
            assert!(page.body.contains(&format!("lang=\"{locale}\"")), "{locale}: {page:?}");
        }
        assert!(page("xx").await.body.contains("lang=\"en\""), "a wish that can't be met is no error");
    })
    .await;
}

#[tokio::test]
async fn authorization_details_are_of_the_types_listed__rfc9396_10() {
    each_document(|server, document| async move {
        let listed = list(&document, "authorization_details_types_supported");
        let app = rfc9396_rar::rich_app(&server).await;
        for kind in listed.iter().map(String::as_str).chain(["magic", "payment_initiation"]) {
            let details = json!([{ "type": kind, "actions": ["read"] }]).to_string();
            let answer = asked(&app, &[("authorization_details", &details)]).await;
            match listed.iter().any(|known| known == kind) {
                true => assert!(goes_on(&answer), "{kind}: {answer:?}"),
                false => drop(answer.redirects_with_error("invalid_authorization_details")),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn claims_can_be_asked_for_one_by_one_as_announced__oidc_core_5_5() {
    each_document(|server, document| async move {
        assert_eq!(document["claims_parameter_supported"], true);
        server.person("ann@example.com").await;
        let app = server.app(|_| ()).await;
        let claims = r#"{"userinfo":{"given_name":null}}"#;
        let tokens = app.tokens(&mut server.browser(), "ann@example.com", &[("claims", claims)]).await;
        let access = format!("Bearer {}", tokens["access_token"].as_str().expect("an access token"));
        let request = axum::http::Request::get("/oauth/userinfo").header("authorization", access);
        assert_eq!(server.send(request, "").await.json(200)["given_name"], "Ann");
    })
    .await;
}

#[tokio::test]
async fn requests_need_be_neither_pushed_nor_signed_unless_it_is_said__rfc9126_5__rfc9101_10_5() {
    each_document(|server, document| async move {
        let plain = asked(&server.app(|_| ()).await, &[]).await;
        for member in ["require_pushed_authorization_requests", "require_signed_request_object"] {
            // Both are false where they are not there.
            assert_eq!(goes_on(&plain), !document[member].as_bool().unwrap_or_default(), "{member}: {plain:?}");
        }
        // Who registered to be held to it is.
        let pushing = server.app(|metadata| metadata.require_pushed_authorization_requests = true).await;
        asked(&pushing, &[]).await.redirects_with_error("invalid_request");
        let signing = SigningApp::new(&server, |metadata| metadata.require_signed_request_object = true).await;
        asked(&signing.app, &[]).await.redirects_with_error("invalid_request");
    })
    .await;
}

#[tokio::test]
async fn a_client_may_be_known_by_its_document_exactly_when_it_is_said__cimd_6() {
    each_document(|server, document| async move {
        let site = Site::start().await;
        let client_id = client_id_metadata_document::publish(&site, "/client");
        let app = client_id_metadata_document::app(&server, &client_id).await;
        let announced = document["client_id_metadata_document_supported"].as_bool().unwrap_or_default();
        assert_eq!(goes_on(&asked(&app, &[]).await), announced);
    })
    .await;
}

#[tokio::test]
async fn parameters_that_are_said_not_to_be_supported_are_refused_as_such__oidc_core_3_1_2_6() {
    each_document(|server, document| async move {
        let app = server.app(|_| ()).await;
        for (member, parameter, value, refusal) in [
            ("request_parameter_supported", "request", "e30.e30.", "request_not_supported"),
            ("request_uri_parameter_supported", "request_uri", "https://app.example/r", "request_uri_not_supported"),
        ] {
            // Discovery §3: request_uri is supported unless it is said not to be.
            let otherwise = parameter == "request_uri";
            let supported = document[member].as_bool().unwrap_or(otherwise);
            let answer = asked(&app, &[(parameter, value)]).await;
            assert_eq!(error(&answer) == refusal, !supported, "{parameter}: {answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_answer_names_the_issuer_as_announced__rfc9207_3() {
    each_document(|server, document| async move {
        assert_eq!(document["authorization_response_iss_parameter_supported"], true);
        let answer = asked(&server.app(|_| ()).await, &[("scope", "magic")]).await;
        let answer = answer.redirects_with_error("invalid_scope");
        assert_eq!(answer["iss"], server.state.issuer());
        assert!(answer["error_description"].ends_with(" magic"), "what is not registered is named");
    })
    .await;
}
