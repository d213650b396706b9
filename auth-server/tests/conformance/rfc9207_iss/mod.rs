//! RFC 9207: OAuth 2.0 Authorization Server Issuer Identification.

use crate::harness::each_server;
use crate::rfc9126_par::{pushed, referring};

#[tokio::test]
async fn every_answer_at_the_client_names_the_issuer__rfc9207_2() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let issuer = server.state.issuer();
        let mut browser = server.browser();
        // A code, asked for and pushed.
        let answer = browser.authorize(&app.authorization(&[]), "ann@example.com").await;
        assert_eq!(answer.query()["iss"], issuer);
        let uri = pushed(&app, &[]).await;
        let answer = browser.authorize(&referring(&app.client_id, &uri, &[]), "ann@example.com").await;
        assert_eq!(answer.query()["iss"], issuer);
        // Errors: of the request, of the person, of the moment.
        for (more, code) in [
            (("response_type", "token"), "unsupported_response_type"),
            (("scope", "account:write"), "invalid_scope"),
            (("code_challenge", ""), "invalid_request"),
            (("request", "x"), "invalid_request_object"),
            (("request_uri", "https://app.example/x"), "request_uri_not_supported"),
        ] {
            let told = browser.get(&app.authorization(&[more])).await.redirects_with_error(code);
            assert_eq!(told["iss"], issuer, "{code}");
        }
        let silent = server.browser().get(&app.authorization(&[("prompt", "none")])).await;
        assert_eq!(silent.redirects_with_error("login_required")["iss"], issuer);
        let consent = browser.get(&app.authorization(&[("prompt", "consent")])).await;
        let page = browser.get(consent.location()).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let form = [("csrf", csrf.as_str()), ("request", &request), ("decision", "deny")];
        let denied = browser.post("/consent", &form).await.redirects_with_error("access_denied");
        assert_eq!(denied["iss"], issuer);
    })
    .await;
}

#[tokio::test]
async fn the_issuer_is_the_one_of_discovery_and_of_the_id_token__rfc9207_2_4() {
    each_server(&[], |server| async move {
        server.person("ann@example.com").await;
        let app = server.app(|_| {}).await;
        let answer = server.browser().authorize(&app.authorization(&[]), "ann@example.com").await;
        let query = answer.query();
        for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
            let document = server.get(path).await.json(200);
            assert_eq!(document["issuer"], query["iss"]);
            assert_eq!(document["authorization_response_iss_parameter_supported"], true);
        }
        let tokens = app.exchange(&query["code"]).await.json(200);
        assert_eq!(crate::rfc8707_resource::claims(&tokens["id_token"])["iss"], query["iss"]);
    })
    .await;
}
