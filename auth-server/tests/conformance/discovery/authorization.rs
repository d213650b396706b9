//! What the authorization endpoint is said to take, it takes, and what it is not said to take it refuses.

use serde_json::Value;

use super::{each_document, list};
use crate::harness::{Answer, App, Server};

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
            let expected = if prompt == "none" { "login_required" } else { "" };
            assert_eq!(error(&answer), expected, "{prompt}: {answer:?}");
        }
        asked(&app, &[("prompt", "magic")]).await.redirects_with_error("invalid_request");
    })
    .await;
}

#[tokio::test]
async fn preferences_that_are_listed_are_taken__oidc_core_3_1_2_1() {
    each_document(|server, document| async move {
        let app = server.app(|_| ()).await;
        for (member, parameter) in [
            ("display_values_supported", "display"),
            ("acr_values_supported", "acr_values"),
            ("ui_locales_supported", "ui_locales"),
        ] {
            for value in list(&document, member) {
                assert!(goes_on(&asked(&app, &[(parameter, &value)]).await), "{parameter}={value}");
            }
        }
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
        if document["claims_parameter_supported"] == true {
            let claims = [("claims", r#"{"userinfo":{"given_name":null}}"#)];
            assert!(goes_on(&asked(&app, &claims).await));
        }
    })
    .await;
}

#[tokio::test]
async fn every_answer_names_the_issuer_as_announced__rfc9207_3() {
    each_document(|server, document| async move {
        assert_eq!(document["authorization_response_iss_parameter_supported"], true);
        let answer = asked(&server.app(|_| ()).await, &[("scope", "magic")]).await;
        assert_eq!(answer.redirects_with_error("invalid_scope")["iss"], server.state.issuer());
    })
    .await;
}
